"""The `git` program: what it may do, how long, and what its refusals mean."""

import asyncio
import base64
import os
import re
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from activities.gitaddress import GitAddress
from model.failure import Failure, InfrastructureFailure, NotFound, UserFailure

OUTPUT_LIMIT = 8 * 1024 * 1024
ERROR_LIMIT = 64 * 1024
_MESSAGE_LIMIT = 300
# The way out of a company's network, and whom to trust there, is the operator's to say.
_INHERITED = (
    *("PATH", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("GIT_SSL_CAINFO", "SSL_CERT_FILE", "SSH_AUTH_SOCK"),
)
_SETTINGS = (
    ("core.hooksPath", os.devnull),
    ("protocol.allow", "never"),
    ("protocol.http.allow", "always"),
    ("protocol.https.allow", "always"),
    ("protocol.ssh.allow", "always"),
    # Git would carry the credentials of the declared host along: redirects are looked at below, one by one.
    ("http.followRedirects", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "20"),
    ("credential.helper", ""),
    ("transfer.fsckObjects", "false"),
)
_REFUSED = re.compile(
    r"Authentication failed|could not read (Username|Password)|returned error: 40[13]|Permission denied|"
    r"Access denied|HTTP Basic",
    re.IGNORECASE,
)
_REDIRECTED = re.compile(r"returned error: 30[1278]\b")
_REF_GONE = re.compile(r"couldn't find remote ref")
_REPOSITORY_GONE = re.compile(r"repository .*not found|returned error: 404|appear to be a git repository", re.I)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class Output(NamedTuple):
    """How a call ended. `cut` says that it wrote more than the limit; then `text` is only the beginning."""

    code: int
    text: bytes
    error: str
    cut: bool


class Git:
    """Runs `git` with argument lists, without anybody's configuration, hooks, prompts or helpers.

    Args:
        seconds: time limit of one call.
        reachable: judges where addresses lead; None trusts them all (in tests).
    """

    def __init__(self, seconds: float = 100, reachable: GitAddress | None = None) -> None:
        self._seconds = seconds
        self._address = reachable or GitAddress()

    async def run(
        self,
        folder: Path,
        arguments: Sequence[str],
        basic: tuple[str, str] | None = None,
        url: str = "",
        stdin: bytes | None = None,
    ) -> Output:
        """Run one command in a repository.

        Args:
            folder: the bare repository.
            arguments: of git; addresses and refs after a `--`.
            basic: user and password for `url`'s host; they travel by environment, never on a command line.
            url: what the credentials are for; where a call goes over the network it must be given. A redirect of
                that host to another address of its own is followed, others are not.
            stdin: what it reads.

        Raises:
            InfrastructureFailure: `GitTimeout`, `GitMissing`.
            UserFailure: `AddressRefused`, `NameUnknown`; `GitRedirected`, the repository is at another host now.
        """
        if not url:
            return await self._once(folder, arguments, stdin, _environment(()))
        target = self._address.known(url)
        output = await self._once(folder, arguments, stdin, await self._towards(url, target, basic))
        if output.code == 0 or not _REDIRECTED.search(output.error):
            return output
        target = await self._address.follow(url, basic)
        return await self._once(folder, arguments, stdin, await self._towards(url, target, basic))

    async def _towards(self, url: str, target: str, basic: tuple[str, str] | None) -> dict[str, str]:
        settings = await self._address.settings(target)
        if target != url:
            settings = (*settings, (f"url.{target}.insteadOf", url))
        return _environment(settings, basic, target)

    async def _once(
        self, folder: Path, arguments: Sequence[str], stdin: bytes | None, environment: dict[str, str]
    ) -> Output:
        try:
            process = await asyncio.create_subprocess_exec(
                *("git", f"--git-dir={folder}", *arguments),
                stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise InfrastructureFailure("GitMissing", "The git program is not installed on this worker.") from None
        try:
            async with asyncio.timeout(self._seconds):
                assert process.stdout is not None  # noqa: S101  (it is a pipe)
                assert process.stderr is not None  # noqa: S101
                (text, cut), (error, _), _ = await asyncio.gather(
                    _read(process.stdout, OUTPUT_LIMIT),
                    _read(process.stderr, ERROR_LIMIT),
                    _feed(process.stdin, stdin),
                )
                code = await process.wait()
        except TimeoutError:
            raise InfrastructureFailure(
                "GitTimeout", f"git {arguments[0]} took more than {self._seconds:.0f} s; is the server slow?"
            ) from None
        finally:
            if process.returncode is None:
                # Helpers such as git-remote-https are in its session: they end with it.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return Output(code, text, error.decode(errors="replace"), cut)


def failure(output: Output, url: str, ref: str) -> Failure:
    """Whose fault a failed fetch was.

    Args:
        output: of the call.
        url: the repository, for the message.
        ref: what was fetched, for the message.
    """
    lines = [line for line in output.error.splitlines() if line.startswith(("fatal:", "error:", "remote:"))]
    told = _CONTROL.sub(" ", "; ".join(lines))[:_MESSAGE_LIMIT] or f"git ended with {output.code}"
    if _REFUSED.search(output.error):
        return UserFailure(
            "GitAuthFailed",
            f"{url} refuses the credentials, or needs some ({told}); check the component's source secret.",
        )
    if _REF_GONE.search(output.error):
        return NotFound("RefNotFound", f"{ref} is not in {url} (any more).")
    if _REPOSITORY_GONE.search(output.error):
        return NotFound("RepositoryNotFound", f"{url} is no repository, or it needs credentials ({told}).")
    return InfrastructureFailure("GitUnreachable", f"{url} could not be fetched: {told}")


def _environment(
    more: Sequence[tuple[str, str]], basic: tuple[str, str] | None = None, url: str = ""
) -> dict[str, str]:
    settings = [*_SETTINGS, *more]
    parts = urlsplit(url)
    if basic is not None and parts.scheme in ("http", "https"):
        pair = base64.b64encode(":".join(basic).encode()).decode()
        # Bound to the host; what keeps it there is that no redirect is followed unseen.
        settings.append((f"http.{parts.scheme}://{parts.netloc}/.extraHeader", f"Authorization: Basic {pair}"))
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment |= {
        "LC_ALL": "C",
        "HOME": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oConnectTimeout=10",
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for position, (key, value) in enumerate(settings):
        environment[f"GIT_CONFIG_KEY_{position}"] = key
        environment[f"GIT_CONFIG_VALUE_{position}"] = value
    return environment


async def _feed(stream: asyncio.StreamWriter | None, content: bytes | None) -> None:
    if stream is None or content is None:
        return
    # A program that ends before it has read everything says so by its code.
    with suppress(ConnectionError):
        stream.write(content)
        await stream.drain()
    stream.close()


async def _read(stream: asyncio.StreamReader, limit: int) -> tuple[bytes, bool]:
    """Everything that is written, kept up to the limit; the rest is read and dropped, so that nobody blocks."""
    kept = bytearray()
    cut = False
    while piece := await stream.read(64 * 1024):
        room = limit - len(kept)
        cut = cut or len(piece) > room
        kept += piece[:room]
    return bytes(kept), cut
