"""Gitea, an extra: a real Git host with webhooks, statuses and an API, as people have them."""

from __future__ import annotations

import getpass
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path

import httpx

from deploy.local import credentials
from deploy.local.catalogue import GITEA
from deploy.local.configuration import write_text
from deploy.local.errors import ServiceFailed
from deploy.local.readiness import http_ok
from deploy.local.service import Service
from deploy.local.settings import Settings

NAME = "gitea"
ADMINISTRATOR = "towpath"
_COMMAND_SECONDS = 60
# Web pages lack their styles: the front end is built with npm, and is not in the module. All else is there.
_CONFIGURATION = """\
APP_NAME = Towpath's local Gitea
RUN_MODE = prod
RUN_USER = {user}
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
WORK_PATH = {folder}

[server]
HTTP_ADDR = {address}
HTTP_PORT = {port}
ROOT_URL = {url}/
STATIC_ROOT_PATH = {static}
DISABLE_SSH = true
OFFLINE_MODE = true

[database]
DB_TYPE = sqlite3

[security]
INSTALL_LOCK = true
SECRET_KEY = {key}
INTERNAL_TOKEN = {internal}
DISABLE_GIT_HOOKS = true

[service]
DISABLE_REGISTRATION = true

[webhook]
ALLOWED_HOST_LIST = loopback, private
DELIVER_TIMEOUT = 10

[oauth2]
ENABLED = false

[actions]
ENABLED = false

[packages]
ENABLED = false

[indexer]
ISSUE_INDEXER_TYPE = db

[cron.update_checker]
ENABLED = false

[log]
MODE = console
LEVEL = warn
"""


def url(settings: Settings) -> str:
    """Where it answers, for host and pods."""
    return f"http://{settings.bridge_address}:{settings.gitea_port}"


def token_file(settings: Settings) -> Path:
    """The file with the administrator's token, which may do everything there."""
    return settings.secrets / "gitea-token"


def exports(settings: Settings) -> Mapping[str, str]:
    """What a shell is told of it: the token lies in a file."""
    return {"TOWPATH_GITEA_URL": url(settings), "TOWPATH_GITEA_TOKEN_FILE": str(token_file(settings))}


def services(settings: Settings) -> list[Service]:
    """The server, with its database and repositories below the state folder."""
    configuration = write_text(
        settings.state / NAME / "app.ini",
        _CONFIGURATION.format(
            user=getpass.getuser(),
            folder=settings.state / NAME,
            address=settings.bridge_address,
            port=settings.gitea_port,
            url=url(settings),
            static=GITEA.folder(settings),
            key=credentials.gitea_key(settings),
            internal=credentials.gitea_internal_token(settings),
        ),
        mode=0o600,
    )
    return [
        Service(
            name=NAME,
            argv=(str(GITEA.folder(settings) / "gitea"), "web", "--config", str(configuration)),
            ready=http_ok(f"{url(settings)}/api/healthz"),
            then=lambda: _make_administrator(settings, configuration),
            config=(configuration,),
        )
    ]


def _make_administrator(settings: Settings, configuration: Path) -> None:
    """An administrator and a token, unless the token that is there is taken.

    Raises:
        ServiceFailed: `GiteaRefused`.
    """
    kept = token_file(settings)
    if kept.exists() and _taken(settings, kept.read_text().strip()):
        return
    name = ["--username", ADMINISTRATOR]
    # Fails when there is one already, whose token has got lost.
    _command(
        settings,
        configuration,
        *("create", "--admin", *name, "--email", f"{ADMINISTRATOR}@towpath.local"),
        *("--random-password", "--must-change-password=false"),
    )
    label = f"stack-{secrets.token_hex(4)}"
    answer = _command(
        settings, configuration, "generate-access-token", *name, "--token-name", label, "--scopes", "all", "--raw"
    )
    token = answer.stdout.strip().splitlines()[-1] if answer.stdout.strip() else ""
    if answer.returncode != 0 or not _taken(settings, token):
        raise ServiceFailed("GiteaRefused", f"Gitea made no token: {answer.stderr.strip()[-300:]}")
    write_text(kept, token + "\n", mode=0o600)


def _taken(settings: Settings, token: str) -> bool:
    headers = {"Authorization": f"token {token}"}
    try:
        answer = httpx.get(f"{url(settings)}/api/v1/user", headers=headers, timeout=10, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code == httpx.codes.OK


def _command(settings: Settings, configuration: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [GITEA.folder(settings) / "gitea", "--config", configuration, "admin", "user", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=_COMMAND_SECONDS,
    )
