"""Azure DevOps' REST API, version 7.1: https://learn.microsoft.com/rest/api/azure/devops/"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from activities.hosted import comments
from activities.hosted.caller import Caller, Query
from activities.hosted.lacking import WithoutDeliveries, WithoutDeployments
from activities.hosted.naming import numbered
from activities.hosted.reading import entries, number, part, text
from activities.hosting import HookWish
from model.failure import NotFound, UserFailure
from model.hosting import HookEvent, HostedChange, HostedComment, HostedHook, HostedStatus, Permission

NEEDS = "the scopes Code (read, write and status) and, for webhooks, the right to edit service hooks"
_STATES = {"success": "succeeded", "failure": "failed", "error": "error", "cancelled": "notApplicable"}
_EVENTS: Mapping[HookEvent, tuple[str, ...]] = {
    "push": ("git.push",),
    "change": ("git.pullrequest.created", "git.pullrequest.updated", "git.pullrequest.merged"),
    "comment": ("ms.vss-code.git-pullrequest-comment-event",),
}
_VERSION = {"api-version": "7.1"}


class Azure(WithoutDeployments, WithoutDeliveries):
    """One repository at Azure DevOps.

    Args:
        caller: speaks to its API, as an account's personal access token.
        organisation: quoted.
        project: quoted.
        name: the repository's, quoted.
    """

    name = "Azure DevOps"

    def __init__(self, caller: Caller, organisation: str, project: str, name: str) -> None:
        self._caller = caller
        self._organisation = f"/{organisation}"
        self._project = project
        self._path = f"/{organisation}/{project}/_apis/git/repositories/{name}"

    async def status(self, status: HostedStatus) -> str:
        """A status of the commit; the newest of a context counts."""
        genre, _, name = status.context.partition("/")
        content = {
            "state": _STATES.get(status.state, "pending"),
            "description": status.description,
            "context": {"genre": genre, "name": name or genre},
            **({"targetUrl": status.link} if status.link else {}),
        }
        made = await self._call("POST", f"{self._path}/commits/{status.commit}/statuses", content)
        return number(made, "id")

    async def comment(self, comment: HostedComment) -> str:
        """The first comment of a thread of its own; the thread's id stands for it."""
        threads = f"{self._path}/pullRequests/{numbered(comment.change)}/threads"

        async def own() -> list[str]:
            found = entries(await self._call("GET", threads), "value")
            firsts = [(number(each, "id"), (entries(each, "comments") or [{}])[0]) for each in found]
            return [known for known, first in firsts if text(first, "content").startswith(comment.marker)]

        async def update(known: str) -> None:
            await self._call("PATCH", f"{threads}/{numbered(known)}/comments/1", {"content": comment.body})

        async def create() -> str:
            first = {"parentCommentId": 0, "content": comment.body, "commentType": "text"}
            # Closed: an open thread may hold up the request's completion.
            made = await self._call("POST", threads, {"comments": [first], "status": "closed"})
            return number(made, "id")

        return await comments.put(comment, own, update, create)

    async def permission(self, login: str) -> Permission:
        """Who may do what lies in access control lists of another service."""
        raise UserFailure(
            "NotOffered",
            f"Azure DevOps does not tell what {login[:100]!r} may do; name people in spec.pullRequests.trusted.",
        )

    async def change(self, change: str) -> HostedChange:
        """The pull request."""
        found = await self._call("GET", f"{self._path}/pullRequests/{numbered(change)}")
        fork = part(part(found, "forkSource"), "repository")
        status = text(found, "status")
        return HostedChange(
            change=change,
            title=text(found, "title")[:300],
            state="merged" if status == "completed" else "open" if status == "active" else "closed",
            head=text(part(found, "lastMergeSourceCommit"), "commitId"),
            branch=text(found, "sourceRefName").removeprefix("refs/heads/"),
            base=text(found, "targetRefName").removeprefix("refs/heads/"),
            author=text(part(found, "createdBy"), "uniqueName"),
            fork=bool(fork),
            head_url=text(fork, "remoteUrl") or text(part(found, "repository"), "remoteUrl"),
            merged_as=text(part(found, "lastMergeCommit"), "commitId") if status == "completed" else "",
        )

    async def hooks(self) -> list[HostedHook]:
        """Subscriptions of this repository, those of one address together; the ids of all are the hook's id."""
        repository = await self._repository()
        found = await self._call("GET", f"{self._organisation}/_apis/hooks/subscriptions")
        by_address: dict[str, list[Any]] = {}
        for each in entries(found, "value"):
            if text(each, "consumerId") == "webHooks" and _is_of(each, repository):
                by_address.setdefault(text(part(each, "consumerInputs"), "url"), []).append(each)
        return [_hook(url, subscriptions) for url, subscriptions in by_address.items()]

    async def create_hook(self, wish: HookWish) -> HostedHook:
        """One subscription for each kind of event. The secret is a password, which Azure sends along."""
        repository = await self._repository()
        made = []
        for name in [name for event in wish.events for name in _EVENTS[event]]:
            content = {
                "publisherId": "tfs",
                "eventType": name,
                "resourceVersion": "1.0",
                "consumerId": "webHooks",
                "consumerActionId": "httpRequest",
                "publisherInputs": {"projectId": repository[0], "repository": repository[1]},
                "consumerInputs": {
                    "url": wish.url,
                    "basicAuthUsername": "towpath",
                    "basicAuthPassword": wish.secret,
                },
            }
            made.append(await self._call("POST", f"{self._organisation}/_apis/hooks/subscriptions", content))
        return _hook(wish.url, made)

    async def update_hook(self, hook: str, wish: HookWish) -> HostedHook:
        """Made anew, then the old ones taken away: none is missed in between, and what is told twice is one."""
        made = await self.create_hook(wish)
        await self.delete_hook(hook)
        return made

    async def delete_hook(self, hook: str) -> None:
        """As the Protocol says."""
        for each in filter(None, hook.split(",")):
            try:
                place = f"{self._organisation}/_apis/hooks/subscriptions/{quote(each, safe='')}"
                await self._call("DELETE", place)
            except NotFound:
                continue

    async def _repository(self) -> tuple[str, str]:
        """The ids of the project and of the repository, by which subscriptions name them."""
        found = await self._call("GET", self._path)
        return text(part(found, "project"), "id"), text(found, "id")

    async def _call(self, method: str, path: str, content: object = None, query: Query | None = None) -> Any:
        asked: dict[str, str | int] = {**_VERSION}
        if isinstance(query, Mapping):
            asked |= query
        return await self._caller.call(method, path, content, asked)


def _is_of(subscription: Any, repository: tuple[str, str]) -> bool:
    inputs = part(subscription, "publisherInputs")
    return (text(inputs, "projectId"), text(inputs, "repository")) == repository


def _hook(url: str, subscriptions: list[Any]) -> HostedHook:
    names = {text(each, "eventType") for each in subscriptions}
    return HostedHook(
        id=",".join(text(each, "id") for each in subscriptions),
        url=url,
        events=tuple(event for event, wanted in _EVENTS.items() if names.issuperset(wanted)),
        active=all(text(each, "status") in ("", "enabled") for each in subscriptions),
    )
