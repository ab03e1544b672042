"""Where a provider's API is for a repository, and how the repository is called there."""

from typing import Literal
from urllib.parse import quote

from model.failure import UserFailure
from model.value import Value

ProviderKind = Literal["github", "gitlab", "bitbucket", "bitbucket-datacenter", "gitea", "azure"]
_KINDS: dict[str, ProviderKind] = {
    "github": "github",
    "gitlab": "gitlab",
    "bitbucket": "bitbucket",
    "bitbucket-datacenter": "bitbucket-datacenter",
    "gitea": "gitea",
    "forgejo": "gitea",
    "azure": "azure",
}


class Place(Value):
    """A repository at its provider: `base` is the API's address, `path` the names that lead to the repository
    there, from the outside in (owner and name; group, subgroup and name; organisation, project and name)."""

    kind: ProviderKind
    base: str
    path: tuple[str, ...]

    @property
    def quoted(self) -> str:
        """The path as a part of an address."""
        return "/".join(quote(each, safe="") for each in self.path)


def place(provider: str, repository: str, url: str | None = None) -> Place | None:
    """Where a repository (its normalised address) is spoken of; None for providers that have no API.

    Args:
        provider: as `Repository.spec.provider` has it.
        repository: the normalised address.
        url: the API's address where it is not the provider's usual one.

    Raises:
        UserFailure: `NotAtProvider`, the address is not one that this provider's repositories have.
    """
    kind = _KINDS.get(provider)
    if kind is None:
        return None
    host, _, rest = repository.partition("/")
    names = tuple(each for each in rest.split("/") if each)
    if kind == "bitbucket" and host != "bitbucket.org" and not (url or "").startswith("https://api.bitbucket.org"):
        kind = "bitbucket-datacenter"
    base, path = _PLACES[kind](host, names)
    if not path or (kind == "github" and len(names) != 2):
        raise UserFailure("NotAtProvider", f"{repository} is not {_SHAPES[kind]}, as {provider} has them.")
    return Place(kind=kind, base=(url or base).rstrip("/"), path=path)


_Found = tuple[str, tuple[str, ...]]
_SHAPES: dict[ProviderKind, str] = {
    "github": "HOST/OWNER/NAME",
    "gitea": "HOST/OWNER/NAME",
    "gitlab": "HOST/GROUP/NAME",
    "bitbucket": "bitbucket.org/WORKSPACE/NAME",
    "bitbucket-datacenter": "HOST/scm/PROJECT/NAME",
    "azure": "dev.azure.com/ORGANISATION/PROJECT/_git/NAME",
}


def _github(host: str, names: tuple[str, ...]) -> _Found:
    base = "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3"
    return base, names[-2:] if len(names) >= 2 else ()


def _gitea(host: str, names: tuple[str, ...]) -> _Found:
    # It may be served below a path of its host.
    base = "/".join((f"https://{host}", *names[:-2], "api/v1"))
    return base, names[-2:] if len(names) >= 2 else ()


def _gitlab(host: str, names: tuple[str, ...]) -> _Found:
    return f"https://{host}/api/v4", names if len(names) >= 2 else ()


def _bitbucket(_host: str, names: tuple[str, ...]) -> _Found:
    return "https://api.bitbucket.org/2.0", names if len(names) == 2 else ()


def _datacenter(host: str, names: tuple[str, ...]) -> _Found:
    """https://host/context/scm/PROJECT/name over HTTP, ssh://git@host:7999/project/name over SSH."""
    before, found = names[:-2], names[-2:]
    if before and before[-1] == "scm":
        before = before[:-1]
    name = host.partition(":")[0] if host.endswith(":7999") else host
    return "/".join((f"https://{name}", *before, "rest")), found if len(found) == 2 else ()


def _azure(host: str, names: tuple[str, ...]) -> _Found:
    """https://dev.azure.com/organisation/project/_git/name; the older https://organisation.visualstudio.com and
    git@ssh.dev.azure.com:v3/organisation/project/name."""
    if host == "ssh.dev.azure.com" and len(names) == 4:
        return "https://dev.azure.com", names[1:]
    if "_git" in names:
        at = names.index("_git")
        before, name = names[:at], names[at + 1 :]
        if host.endswith(".visualstudio.com"):
            before = (host.partition(".")[0], *(each for each in before if each != "DefaultCollection"))
        if len(before) == 1:
            # A project's first repository may leave the project out.
            before = (*before, *name)
        if len(before) == 2 and len(name) == 1:
            base = "https://dev.azure.com" if host.endswith((".visualstudio.com", "dev.azure.com")) else host
            return (base if base.startswith("https") else f"https://{base}"), (*before, *name)
    return "https://dev.azure.com", ()


_PLACES = {
    "github": _github,
    "gitea": _gitea,
    "gitlab": _gitlab,
    "bitbucket": _bitbucket,
    "bitbucket-datacenter": _datacenter,
    "azure": _azure,
}
