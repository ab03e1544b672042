"""The Git server: smart HTTP, repositories made by pushing, webhooks as plain Git sends them."""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.local import credentials, githttp
from deploy.local.readiness import http_ok
from deploy.local.service import Service
from deploy.local.settings import Settings

NAME = "git"


def repositories(settings: Settings) -> Path:
    """The folder with the bare repositories."""
    return settings.state / NAME / "repositories"


def service(settings: Settings) -> Service:
    """The server, which anybody on this machine may push to; writes the hook that announces pushes."""
    folder = settings.state / NAME
    hooks = folder / "hooks"
    hooks.mkdir(parents=True, exist_ok=True)
    repositories(settings).mkdir(exist_ok=True)
    credentials.webhook_secret(settings)
    hook = hooks / "post-receive"
    hook.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m deploy.local.announce\n')
    hook.chmod(0o755)
    return Service(
        name=NAME,
        argv=(
            *(sys.executable, "-m", "uvicorn", "deploy.local.githttp:application", "--factory"),
            *("--host", settings.bridge_address, "--port", str(settings.git_port)),
            *("--log-level", "warning", "--no-access-log", "--timeout-graceful-shutdown", "5"),
        ),
        env={
            githttp.REPOSITORIES: str(repositories(settings)),
            githttp.HOOKS: str(hooks),
            "TOWPATH_GIT_URL": settings.git_url,
            "TOWPATH_URL": settings.server_url,
            "TOWPATH_WEBHOOK_SECRET_FILE": str(settings.secrets / "webhook-secret"),
        },
        ready=http_ok(f"{settings.git_url}/healthz"),
        config=(hook, Path(githttp.__file__)),
    )
