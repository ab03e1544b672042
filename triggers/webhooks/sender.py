"""Whose delivery a request is, as its headers tell: what a wrong address is answered with."""

from collections.abc import Mapping

from triggers.problem import Problem

# In the order in which they are looked for: Gitea and Forgejo send GitHub's and Gogs' headers along with theirs.
_HEADERS = (
    ("x-towpath-event", "git", "A plain Git hook"),
    ("x-forgejo-event", "gitea", "Forgejo"),
    ("x-gitea-event", "gitea", "Gitea"),
    ("x-gogs-event", "gitea", "Gogs"),
    ("x-gitlab-event", "gitlab", "GitLab"),
    ("x-event-key", "bitbucket", "Bitbucket"),
    ("x-github-event", "github", "GitHub"),
)
_AZURE_AGENT = "VSServices/"
_NAMES = {address for _, address, _ in _HEADERS} | {"azure"}


def check_address(provider: str, headers: Mapping[str, str]) -> None:
    """Return when the delivery may be `provider`'s. Headers alone count: nobody has vouched for anything yet.

    Raises:
        Problem: 400 `WrongAddress`, which names the right one.
    """
    if provider not in _NAMES:
        return
    found = next(((address, name) for header, address, name in _HEADERS if headers.get(header)), None)
    if found is None and headers.get("user-agent", "").startswith(_AZURE_AGENT):
        found = ("azure", "Azure DevOps")
    if found is not None and found[0] != provider:
        detail = f"{found[1]} sent this: let it send to /webhooks/{found[0]}, where its deliveries are understood."
        raise Problem(400, "WrongAddress", detail)
