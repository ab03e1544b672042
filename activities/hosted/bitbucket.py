"""Bitbucket Cloud's REST API, version 2.0: https://developer.atlassian.com/cloud/bitbucket/rest/"""

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

NEEDS = "the scopes repository:write, pullrequest:write and webhook"
_STATES = {"pending": "INPROGRESS", "success": "SUCCESSFUL", "failure": "FAILED", "error": "FAILED"}
_PERMISSIONS: dict[str, Permission] = {"admin": "admin", "write": "write", "read": "read"}
_EVENTS: Mapping[HookEvent, tuple[str, ...]] = {
    "push": ("repo:push",),
    "change": ("pullrequest:created", "pullrequest:updated", "pullrequest:fulfilled", "pullrequest:rejected"),
    "comment": ("pullrequest:comment_created",),
}
_NOWHERE = "https://bitbucket.org/"


class Bitbucket(WithoutDeployments, WithoutDeliveries):
    """One repository at Bitbucket Cloud.

    Args:
        caller: speaks to its API.
        workspace: quoted.
        name: the repository's, quoted.
    """

    name = "Bitbucket"

    def __init__(self, caller: Caller, workspace: str, name: str) -> None:
        self._caller = caller
        self._workspace = workspace
        self._slug = name
        self._path = f"/repositories/{workspace}/{name}"

    async def status(self, status: HostedStatus) -> str:
        """A build status; its key has 40 characters at most and tells it from others."""
        content = {
            "key": key_of(status.context),
            "name": status.context,
            "state": _STATES.get(status.state, "STOPPED"),
            "description": status.description,
            # An address is obligatory.
            "url": status.link or _NOWHERE,
        }
        await self._caller.call("POST", f"{self._path}/commit/{status.commit}/statuses/build", content)
        return ""

    async def comment(self, comment: HostedComment) -> str:
        """A comment on the pull request."""
        place = f"{self._path}/pullrequests/{numbered(comment.change)}/comments"
        content = {"content": {"raw": comment.body}}

        async def own() -> list[str]:
            found = await self._all(place)
            raws = [(number(each, "id"), text(part(each, "content"), "raw")) for each in found]
            return [known for known, raw in raws if raw.startswith(comment.marker)]

        async def update(known: str) -> None:
            await self._caller.call("PUT", f"{place}/{numbered(known)}", content)

        async def create() -> str:
            return number(await self._caller.call("POST", place, content), "id")

        return await comments.put(comment, own, update, create)

    async def permission(self, login: str) -> Permission:
        """By account id (what webhooks call `account_id`), else by nickname, groups included:
        https://developer.atlassian.com/cloud/bitbucket/rest/api-group-workspaces/"""
        place = f"/workspaces/{self._workspace}/permissions/repositories/{self._slug}"
        found: list[Permission] = []
        for entry in await self._all(place):
            user = part(entry, "user")
            if login in (text(user, "account_id"), text(user, "uuid"), text(user, "nickname")):
                found.append(_PERMISSIONS.get(text(entry, "permission"), "none"))
        return max(found, key=("none", "read", "write", "admin").index, default="none")

    async def change(self, change: str) -> HostedChange:
        """The pull request."""
        found = await self._caller.call("GET", f"{self._path}/pullrequests/{numbered(change)}")
        source, target = part(found, "source"), part(found, "destination")
        origin = part(source, "repository")
        name = text(origin, "full_name")
        state = text(found, "state")
        author = part(found, "author")
        return HostedChange(
            change=change,
            title=text(found, "title")[:300],
            state="merged" if state == "MERGED" else "open" if state == "OPEN" else "closed",
            head=text(part(source, "commit"), "hash"),
            branch=text(part(source, "branch"), "name"),
            base=text(part(target, "branch"), "name"),
            author=text(author, "account_id") or text(author, "nickname"),
            fork=not name or name != text(part(target, "repository"), "full_name"),
            head_url=f"https://bitbucket.org/{name}.git" if name else "",
            merged_as=text(part(found, "merge_commit"), "hash") if state == "MERGED" else "",
        )

    async def hooks(self) -> list[HostedHook]:
        """All there are."""
        return [_hook(each) for each in await self._all(f"{self._path}/hooks")]

    async def create_hook(self, wish: HookWish) -> HostedHook:
        """With a secret, so that deliveries are signed."""
        return _hook(await self._caller.call("POST", f"{self._path}/hooks", _wished(wish)))

    async def update_hook(self, hook: str, wish: HookWish) -> HostedHook:
        """As the Protocol says; its id is a UUID in braces."""
        return _hook(await self._caller.call("PUT", f"{self._path}/hooks/{quote(hook, safe='')}", _wished(wish)))

    async def delete_hook(self, hook: str) -> None:
        """As the Protocol says."""
        try:
            await self._caller.call("DELETE", f"{self._path}/hooks/{quote(hook, safe='')}")
        except NotFound:
            return

    async def _all(self, path: str) -> list[Any]:
        found: list[Any] = []
        for page in range(1, PAGES_LIMIT + 1):
            answer = await self._caller.call("GET", path, query={"pagelen": PAGE_SIZE, "page": page})
            found += entries(answer, "values")
            if not text(answer, "next"):
                break
        return found


def _wished(wish: HookWish) -> dict[str, Any]:
    return {
        "description": "Towpath",
        "url": wish.url,
        "active": True,
        "secret": wish.secret,
        "events": [name for event in wish.events for name in _EVENTS[event]],
    }


def _hook(found: Any) -> HostedHook:
    names = set(entries(found, "events"))
    return HostedHook(
        id=text(found, "uuid"),
        url=text(found, "url"),
        events=tuple(event for event, wanted in _EVENTS.items() if names.issuperset(wanted)),
        active=flag(found, "active"),
    )
