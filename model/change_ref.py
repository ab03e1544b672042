"""Where the commits of a change request can be fetched, when its branch does not lie in the repository itself."""

import re

from model.change_request import ChangeRequest
from model.failure import UserFailure
from model.repository import check_ref, normalise

_REF = re.compile(r"refs/(pull/[0-9]{1,12}/head|merge-requests/[0-9]{1,12}/head|pull-requests/[0-9]{1,12}/from)")
# As GitHub, Gitea and Forgejo, GitLab, and Bitbucket Data Center document them. Bitbucket Cloud and Azure
# DevOps offer none.
_BY_PROVIDER = {
    "github": "refs/pull/{}/head",
    "gitea": "refs/pull/{}/head",
    "gitlab": "refs/merge-requests/{}/head",
    "bitbucket": "refs/pull-requests/{}/from",
}
_CLOUD = "bitbucket.org"


def check_fetched(ref: str) -> str:
    """The ref itself when it may be fetched: a branch, a tag, or a change request's head at a known provider.

    Raises:
        UserFailure: `BadRef`.
    """
    return ref if _REF.fullmatch(ref) else check_ref(ref)


def place(change: ChangeRequest, url: str) -> tuple[str, str]:
    """Address and ref at which a change's commit is fetched; `url` is the repository's own.

    Nothing is fetched from another host than the repository's.

    Raises:
        UserFailure: `ForkElsewhere`.
    """
    branch = f"refs/heads/{change.branch}"
    if not change.fork:
        return url, branch
    pattern = _BY_PROVIDER.get(change.provider, "") if _host(url) != _CLOUD else ""
    if pattern and change.change.isascii() and change.change.isdigit():
        return url, pattern.format(change.change)
    if change.head_url and _host(change.head_url) == _host(url):
        return change.head_url, branch
    raise UserFailure(
        "ForkElsewhere", "The fork is gone or lies on another host than the repository; push the branch to it."
    )


def own_address(place: str, url: str) -> bool:
    """Whether a place is in the repository itself, so that its credentials may be used."""
    return normalise(place) == normalise(url)


def _host(url: str) -> str:
    return normalise(url).partition("/")[0]
