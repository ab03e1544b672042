"""The source: exactly one commit of the repository."""

from __future__ import annotations

import base64
import os
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from deploy.builder.command import CommandFailed, run, say
from deploy.builder.plan import Plan
from deploy.builder.redirects import within_host
from deploy.builder.refusal import BuildInterrupted, BuildRefused

CREDENTIALS = Path("/var/run/towpath/source")
"""A `kubernetes.io/basic-auth` Secret is mounted here for private repositories."""

_REFUSED = re.compile(r"Authentication failed|could not read Username|HTTP 40[13]|error: 40[13]|Permission denied")
_ABSENT = re.compile(r"not our ref|couldn't find remote ref|unadvertised object|did not send all necessary")
_GONE = re.compile(r"[Rr]epository .*not found|error: 404")
_ERROR = re.compile(r"^(fatal|error|remote):")


def check_out(plan: Plan, folder: Path) -> Path:
    """Fetch the commit, and nothing of its history, into an empty folder.

    Raises:
        BuildRefused: `CommitNotFound`, `RepositoryNotFound`, `GitAuthFailed`, `GitRedirected`.
        BuildInterrupted: `GitUnreachable`.
    """
    say(f"Fetching {plan.commit} of {plan.url}")
    folder.mkdir(parents=True)
    url = within_host(plan.url, _authorization())
    env = _environment(url)
    git = ("git", "-C", str(folder), "-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false")
    run([*git, "init", "--quiet"], env=env)
    try:
        try:
            run([*git, "fetch", "--quiet", "--no-tags", "--depth=1", "--", url, plan.commit], env=env)
        except CommandFailed as failed:
            if not failed.says(_ABSENT):
                raise
            say("The server serves no single commits: fetching the ref's history")
            run([*git, "fetch", "--quiet", "--no-tags", "--", url, plan.ref], env=env)
    except CommandFailed as failed:
        raise _failure(plan, failed) from None
    try:
        run([*git, "checkout", "--quiet", "--force", "--detach", plan.commit], env=env)
    except CommandFailed:
        raise BuildRefused(
            "CommitNotFound", f"{plan.ref} of {plan.url} no longer holds {plan.commit}; push it again."
        ) from None
    return folder


def inside(root: Path, relative: str, what: str) -> Path:
    """A path within the clone, symbolic links followed.

    Raises:
        BuildRefused: `PathEscapes`, it leaves the clone; `PathNotFound`, there is nothing.
    """
    path = (root / relative.lstrip("/")).resolve()
    if path != root.resolve() and root.resolve() not in path.parents:
        raise BuildRefused("PathEscapes", f"The {what} {relative!r} leaves the repository; give a path inside it.")
    if not path.exists():
        raise BuildRefused("PathNotFound", f"The {what} {relative!r} is not in the repository at this commit.")
    return path


def without_history(root: Path) -> None:
    """Remove what only Git needs, so that it lands in no image."""
    shutil.rmtree(root / ".git", ignore_errors=True)


def _environment(url: str) -> dict[str, str]:
    """Git without prompts, configuration of others, or protocols that run programs."""
    settings = [("protocol.allow", "never")]
    settings += [(f"protocol.{scheme}.allow", "always") for scheme in ("https", "http", "ssh")]
    # Git would carry the credentials along to wherever it is sent.
    settings.append(("http.followRedirects", "false"))
    parts = urlsplit(url)
    authorization = _authorization()
    if authorization and parts.scheme in ("https", "http"):
        settings.append((f"http.{parts.scheme}://{parts.netloc}/.extraHeader", f"Authorization: {authorization}"))
    env = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for position, (key, value) in enumerate(settings):
        env[f"GIT_CONFIG_KEY_{position}"] = key
        env[f"GIT_CONFIG_VALUE_{position}"] = value
    return env


def _authorization() -> str:
    if not CREDENTIALS.is_dir():
        return ""
    pair = f"{_read('username') or 'git'}:{_read('password')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _read(name: str) -> str:
    path = CREDENTIALS / name
    return path.read_text().strip() if path.exists() else ""


def _failure(plan: Plan, failed: CommandFailed) -> BuildRefused:
    told = failed.told(_ERROR)
    if failed.says(_REFUSED):
        return BuildRefused(
            "GitAuthFailed", f"{plan.url} refuses the credentials ({told}); check the component's source secret."
        )
    if failed.says(_GONE):
        return BuildRefused("RepositoryNotFound", f"{plan.url} does not exist ({told}); check the address.")
    if failed.says(_ABSENT):
        return BuildRefused("CommitNotFound", f"{plan.ref} is no longer in {plan.url}; push it again.")
    return BuildInterrupted("GitUnreachable", f"{plan.url} could not be fetched: {told}")
