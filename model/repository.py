"""Addresses of repositories, and refs: what may reach Git, and when two addresses are the same."""

import re
from urllib.parse import urlsplit

from model.failure import UserFailure

_SCP = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?([A-Za-z0-9][A-Za-z0-9.-]*):([A-Za-z0-9_~][^:\s]*)")
_REF = re.compile(r"refs/(heads|tags)/[^\x00-\x20\x7f~^:?*\[\\]+")
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
SCHEMES = frozenset({"https", "http", "ssh"})
ADDRESS_LIMIT = 2048
REF_LIMIT = 255


def check_address(url: str) -> str:
    """The address itself when Git may be given it.

    Only https, http, ssh and the scp form (`user@host:path`). Credentials inside an address are refused
    since they would end up in logs and histories.

    Raises:
        UserFailure: `BadRepositoryAddress`, saying what is wrong with it.
    """
    if not url or len(url) > ADDRESS_LIMIT or url.startswith("-") or any(ch.isspace() or ch < " " for ch in url):
        raise UserFailure("BadRepositoryAddress", "The repository address is empty, too long or not an address.")
    if "://" not in url:
        if "::" in url or not _SCP.fullmatch(url):
            raise UserFailure(
                "BadRepositoryAddress", "Use an https://, http://, ssh:// or user@host:path address."
            )
        return url
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise UserFailure("BadRepositoryAddress", "The repository address cannot be read.") from None
    if parts.scheme not in SCHEMES:
        raise UserFailure("BadRepositoryAddress", f"Scheme {parts.scheme!r} is not allowed: https, http or ssh.")
    if not host or host.startswith("-") or not parts.path.strip("/"):
        raise UserFailure("BadRepositoryAddress", "The repository address lacks a host or a path.")
    if parts.password or (parts.username and parts.scheme != "ssh"):
        raise UserFailure("BadRepositoryAddress", "Put credentials into a Secret, not into the address.")
    if (parts.username or "").startswith("-"):
        raise UserFailure("BadRepositoryAddress", "The user of the repository address looks like an option.")
    return url


def normalise(url: str) -> str:
    """The same text for every way to write one repository: host in lower case, path without `.git`.

    `https://Git.Example/team/app.git`, `ssh://git@git.example/team/app` and `git@git.example:team/app.git`
    all give `git.example/team/app`. A port that is the scheme's own is dropped.

    Raises:
        UserFailure: `BadRepositoryAddress`.
    """
    check_address(url)
    if "://" in url:
        parts = urlsplit(url)
        port = parts.port
        default = {"https": 443, "http": 80, "ssh": 22}[parts.scheme]
        host = (parts.hostname or "").lower() + (f":{port}" if port and port != default else "")
        path = parts.path
    else:
        matched = _SCP.fullmatch(url)
        assert matched is not None  # noqa: S101  (check_address has matched it)
        host, path = matched.group(1).lower(), matched.group(2)
    return f"{host}/{path.strip('/').removesuffix('.git')}"


def check_ref(ref: str) -> str:
    """The ref itself when it is a full branch or tag name that Git itself would accept.

    Raises:
        UserFailure: `BadRef` (see git-check-ref-format for the rules).
    """
    bad = (
        len(ref) > REF_LIMIT
        or not _REF.fullmatch(ref)
        or not ref.isprintable()
        or ".." in ref
        or "//" in ref
        or "@{" in ref
        or ref.endswith(("/", ".", ".lock"))
        or any(part.startswith((".", "-")) or part.endswith(".lock") for part in ref.split("/"))
    )
    if bad:
        raise UserFailure("BadRef", "The ref is not a branch or tag name that Git accepts.")
    return ref


def check_commit(commit: str) -> str:
    """The id itself when it is a full SHA-1 or SHA-256 commit id in lower case.

    Raises:
        UserFailure: `BadCommit`.
    """
    if not _COMMIT.fullmatch(commit):
        raise UserFailure("BadCommit", "A commit id is 40 or 64 lower-case hex digits.")
    return commit


def branch_of(ref: str) -> str:
    """`main` of `refs/heads/main`; empty for anything that is not a branch."""
    return ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else ""


def tag_of(ref: str) -> str:
    """`v1.2.3` of `refs/tags/v1.2.3`; empty for anything that is not a tag."""
    return ref.removeprefix("refs/tags/") if ref.startswith("refs/tags/") else ""
