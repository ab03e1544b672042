"""Bitbucket Data Center's REST API: https://developer.atlassian.com/server/bitbucket/rest/"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from activities.hosted import comments
from activities.hosted.caller import PAGE_SIZE, PAGES_LIMIT, Caller
from activities.hosted.lacking import WithoutDeliveries, WithoutDeployments
from activities.hosted.naming import key_of, numbered
from activities.hosted.reading import entries, flag, number, part, text
from activities.hosting import HookWish
from model.failure import NotFound
from model.hosting import HookEvent, HostedChange, HostedComment, HostedHook, HostedStatus, Permission

NEEDS = "to write to the repository (and to administer it, for webhooks)"
_STATES = {"pending": "INPROGRESS", "success": "SUCCESSFUL", "failure": "FAILED", "error": "FAILED"}
_PERMISSIONS: dict[str, Permission] = {
    "REPO_ADMIN": "admin",
    "PROJECT_ADMIN": "admin",
    "REPO_WRITE": "write",
    "PROJECT_WRITE": "write",
    "REPO_READ": "read",
    "PROJECT_READ": "read",
}
_ORDER = ("none", "read", "write", "admin")
_EVENTS: Mapping[HookEvent, tuple[str, ...]] = {
    "push": ("repo:refs_changed",),
    "change": ("pr:opened", "pr:from_ref_updated", "pr:merged", "pr:declined"),
    "comment": ("pr:comment:added",),
}


class BitbucketDataCenter(WithoutDeployments, WithoutDeliveries):
    """One repository at a Bitbucket Data Center.

    Args:
        caller: speaks to its API, below `/rest`.
        base: the API's address, for links.
        project: its key, quoted.
        name: the repository's, quoted.
    """

    name = "Bitbucket"

    def __init__(self, caller: Caller, base: str, project: str, name: str) -> None:
        self._caller = caller
        self._site = base.removesuffix("/rest")
        self._project = f"/api/1.0/projects/{project}"
        self._path = f"{self._project}/repos/{name}"

    async def status(self, status: HostedStatus) -> str:
        """A build status (since 7.4, where one key may be given again); cancelled ones came with 8."""
        content = {
            "key": key_of(status.context, 255),
            "name": status.context,
            "state": _STATES.get(status.state, "CANCELLED"),
            "description": status.description,
            "url": status.link or self._site,
        }
        await self._caller.call("POST", f"{self._path}/commits/{status.commit}/builds", content)
        return ""

    async def comment(self, comment: HostedComment) -> str:
        """A comment on the pull request; an update names the version that it is made on."""
        request = f"{self._path}/pull-requests/{numbered(comment.change)}"

        async def own() -> list[str]:
            found = await self._all(f"{request}/activities")
            told = [part(each, "comment") for each in found if text(each, "action") == "COMMENTED"]
            return [number(each, "id") for each in reversed(told) if text(each, "text").startswith(comment.marker)]

        async def update(known: str) -> None:
            place = f"{request}/comments/{numbered(known)}"
            version = (await self._caller.call("GET", place) or {}).get("version")
            await self._caller.call("PUT", place, {"text": comment.body, "version": version})

        async def create() -> str:
            return number(await self._caller.call("POST", f"{request}/comments", {"text": comment.body}), "id")

        return await comments.put(comment, own, update, create)

    async def permission(self, login: str) -> Permission:
        """What the person was given for the repository or its project; not what groups were given, which only
        administrators may ask."""
        found: list[Permission] = []
        for place in (f"{self._path}/permissions/users", f"{self._project}/permissions/users"):
            for entry in await self._all(place, {"filter": login}):
                user = part(entry, "user")
                if login.lower() in (text(user, "name").lower(), text(user, "slug").lower()):
                    found.append(_PERMISSIONS.get(text(entry, "permission"), "none"))
        return max(found, key=_ORDER.index, default="none")

    async def change(self, change: str) -> HostedChange:
        """The pull request."""
        found = await self._caller.call("GET", f"{self._path}/pull-requests/{numbered(change)}")
        source, target = part(found, "fromRef"), part(found, "toRef")
        origin, state = part(source, "repository"), text(found, "state")
        clones = entries(part(origin, "links"), "clone")
        addresses = [text(each, "href") for each in clones if text(each, "name") in ("http", "https")]
        return HostedChange(
            change=change,
            title=text(found, "title")[:300],
            state="merged" if state == "MERGED" else "open" if state == "OPEN" else "closed",
            head=text(source, "latestCommit"),
            branch=text(source, "displayId"),
            base=text(target, "displayId"),
            author=text(part(part(found, "author"), "user"), "name"),
            fork=number(origin, "id") != number(part(target, "repository"), "id"),
            head_url=addresses[0] if addresses else "",
            merged_as=text(part(part(found, "properties"), "mergeCommit"), "id") if state == "MERGED" else "",
        )

    async def hooks(self) -> list[HostedHook]:
        """All there are."""
        return [_hook(each) for each in await self._all(f"{self._path}/webhooks")]

    async def create_hook(self, wish: HookWish) -> HostedHook:
        """With a secret, so that deliveries are signed."""
        return _hook(await self._caller.call("POST", f"{self._path}/webhooks", _wished(wish)))

    async def update_hook(self, hook: str, wish: HookWish) -> HostedHook:
        """As the Protocol says."""
        return _hook(await self._caller.call("PUT", f"{self._path}/webhooks/{numbered(hook)}", _wished(wish)))

    async def delete_hook(self, hook: str) -> None:
        """As the Protocol says."""
        try:
            await self._caller.call("DELETE", f"{self._path}/webhooks/{numbered(hook)}")
        except NotFound:
            return

    async def _all(self, path: str, query: Mapping[str, str] | None = None) -> list[Any]:
        found: list[Any] = []
        start = "0"
        for _ in range(PAGES_LIMIT):
            answer = await self._caller.call(
                "GET", path, query={**(query or {}), "limit": PAGE_SIZE, "start": start}
            )
            found += entries(answer, "values")
            start = number(answer, "nextPageStart")
            if flag(answer, "isLastPage") or not start:
                break
        return found


def _wished(wish: HookWish) -> dict[str, Any]:
    return {
        "name": "Towpath",
        "url": wish.url,
        "active": True,
        "events": [name for event in wish.events for name in _EVENTS[event]],
        "configuration": {"secret": wish.secret},
        "sslVerificationRequired": True,
    }


def _hook(found: Any) -> HostedHook:
    names = set(entries(found, "events"))
    return HostedHook(
        id=number(found, "id"),
        url=text(found, "url"),
        events=tuple(event for event, wanted in _EVENTS.items() if names.issuperset(wanted)),
        active=flag(found, "active"),
    )


def quoted_project(name: str) -> str:
    """A project's key; a person's own is written `~name`."""
    return quote(name, safe="~")
