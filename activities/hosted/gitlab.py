"""GitLab's REST API, version 4: https://docs.gitlab.com/api/rest/"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from activities.hosted import comments
from activities.hosted.caller import PAGE_SIZE, Caller
from activities.hosted.naming import numbered
from activities.hosted.reading import flag, number, part, text
from activities.hosting import HookWish
from model.failure import NotFound, UserFailure
from model.hosting import (
    FailedDelivery,
    HookEvent,
    HostedChange,
    HostedComment,
    HostedDeployment,
    HostedHook,
    HostedStatus,
    Permission,
)

NEEDS = "the scope api and the role Developer (Maintainer for webhooks)"
_STATES = {"success": "success", "failure": "failed", "error": "failed", "cancelled": "canceled"}
_DEPLOYED = {"pending": "created", "cancelled": "canceled", "failure": "failed", "inactive": "success"}
_EVENTS: Mapping[HookEvent, tuple[str, ...]] = {
    "push": ("push_events", "tag_push_events"),
    "change": ("merge_requests_events",),
    "comment": ("note_events",),
}
_DEVELOPER, _MAINTAINER, _REPORTER = 30, 40, 20


class GitLab:
    """One project at GitLab.

    Args:
        caller: speaks to its API.
        path: `group/…/name`, as the project's id in addresses (quoted with its slashes).
    """

    def __init__(self, caller: Caller, path: str) -> None:
        self._caller = caller
        self._path = f"/projects/{path}"

    async def status(self, status: HostedStatus) -> str:
        """A commit status of an external job: https://docs.gitlab.com/api/commits/#set-commit-pipeline-status"""
        content = {
            # `pending` first and then `running` would be told from each other; Towpath does not.
            "state": _STATES.get(status.state, "running"),
            "name": status.context,
            "description": status.description,
            **({"target_url": status.link} if status.link else {}),
        }
        try:
            await self._caller.call("POST", f"{self._path}/statuses/{status.commit}", content)
        except UserFailure as failure:
            # It is so already: that is how GitLab answers what is said twice.
            if failure.reason != "ProviderInvalid" or "cannot transition" not in failure.message.lower():
                raise
        return ""

    async def comment(self, comment: HostedComment) -> str:
        """A note on the merge request."""
        notes = f"{self._path}/merge_requests/{numbered(comment.change)}/notes"
        content = {"body": comment.body}

        async def own() -> list[str]:
            sorted_by_age: dict[str, str | int] = {"sort": "asc", "order_by": "created_at", "per_page": PAGE_SIZE}
            found = await self._caller.pages(notes, sorted_by_age)
            return [number(each, "id") for each in found if text(each, "body").startswith(comment.marker)]

        async def update(known: str) -> None:
            await self._caller.call("PUT", f"{notes}/{numbered(known)}", content)

        async def create() -> str:
            return number(await self._caller.call("POST", notes, content), "id")

        return await comments.put(comment, own, update, create)

    async def permission(self, login: str) -> Permission:
        """By the role, the project's groups included."""
        found = await self._caller.pages(f"{self._path}/members/all", {"query": login, "per_page": PAGE_SIZE})
        levels = [
            int(number(each, "access_level") or 0)
            for each in found
            # The query finds parts of names as well.
            if text(each, "username").lower() == login.lower() and text(each, "state") in ("", "active")
        ]
        level = max(levels, default=0)
        if level >= _MAINTAINER:
            return "admin"
        return "write" if level >= _DEVELOPER else "read" if level >= _REPORTER else "none"

    async def change(self, change: str) -> HostedChange:
        """The merge request."""
        found = await self._caller.call("GET", f"{self._path}/merge_requests/{numbered(change)}")
        source, target = number(found, "source_project_id"), number(found, "target_project_id")
        fork = source != target
        state = text(found, "state")
        return HostedChange(
            change=change,
            title=text(found, "title")[:300],
            state="merged" if state == "merged" else "closed" if state in ("closed", "locked") else "open",
            head=text(found, "sha"),
            branch=text(found, "source_branch"),
            base=text(found, "target_branch"),
            author=text(part(found, "author"), "username"),
            fork=fork,
            head_url=await self._address(source) if fork and source else "",
            merged_as=(text(found, "merge_commit_sha") or text(found, "squash_commit_sha") or text(found, "sha"))
            if state == "merged"
            else "",
        )

    async def deployment(self, deployment: HostedDeployment) -> str:
        """A deployment: https://docs.gitlab.com/api/deployments/"""
        state = _DEPLOYED.get(deployment.state, deployment.state)
        known = deployment.remote or await self._deployed(deployment)
        if known:
            try:
                await self._caller.call("PUT", f"{self._path}/deployments/{numbered(known)}", {"status": state})
            except UserFailure as failure:
                if failure.reason != "ProviderInvalid" or "cannot transition" not in failure.message.lower():
                    raise
            return known
        content = {
            "environment": deployment.environment,
            "sha": deployment.commit,
            "ref": deployment.ref or deployment.commit,
            "tag": False,
            "status": state,
        }
        return number(await self._caller.call("POST", f"{self._path}/deployments", content), "id")

    async def hooks(self) -> list[HostedHook]:
        """All there are."""
        found = await self._caller.pages(f"{self._path}/hooks", {"per_page": PAGE_SIZE})
        return [_hook(each) for each in found]

    async def create_hook(self, wish: HookWish) -> HostedHook:
        """With a secret token, which GitLab sends along."""
        return _hook(await self._caller.call("POST", f"{self._path}/hooks", _wished(wish)))

    async def update_hook(self, hook: str, wish: HookWish) -> HostedHook:
        """As the Protocol says."""
        return _hook(await self._caller.call("PUT", f"{self._path}/hooks/{numbered(hook)}", _wished(wish)))

    async def delete_hook(self, hook: str) -> None:
        """As the Protocol says."""
        try:
            await self._caller.call("DELETE", f"{self._path}/hooks/{numbered(hook)}")
        except NotFound:
            return

    async def failed_deliveries(self, url: str, since: float) -> list[FailedDelivery]:
        """From the hooks' events, which reach back seven days and do not say when they were (so `since` does not
        count): https://docs.gitlab.com/api/project_webhooks/"""
        del since
        found: list[FailedDelivery] = []
        for hook in [each for each in await self.hooks() if each.url == url]:
            query: dict[str, str | int] = {"per_page": PAGE_SIZE}
            events = await self._caller.pages(f"{self._path}/hooks/{numbered(hook.id)}/events", query)
            deliveries = [_delivery(hook.id, each) for each in events]
            good = {each.delivery for each in deliveries if 200 <= each.status < 300}
            bad = {each.delivery or each.id: each for each in deliveries if not 200 <= each.status < 300}
            found += [each for key, each in reversed(bad.items()) if key not in good]
        return found

    async def redeliver(self, delivery: FailedDelivery) -> None:
        """Sent with the same Idempotency-Key."""
        event = f"{self._path}/hooks/{numbered(delivery.hook)}/events/{numbered(delivery.id)}/resend"
        await self._caller.call("POST", event)

    async def _address(self, project: str) -> str:
        try:
            return text(await self._caller.call("GET", f"/projects/{numbered(project)}"), "http_url_to_repo")
        except (NotFound, UserFailure):
            # A private fork that the token may not see.
            return ""

    async def _deployed(self, deployment: HostedDeployment) -> str:
        """One of this commit that still runs: the answer to its creation may have been lost."""
        query: dict[str, str | int] = {
            "environment": deployment.environment,
            "order_by": "id",
            "sort": "desc",
            "per_page": PAGE_SIZE,
        }
        found = await self._caller.call("GET", f"{self._path}/deployments", query=query)
        for each in found if isinstance(found, list) else []:
            if text(each, "sha") == deployment.commit and text(each, "status") in ("created", "running"):
                return number(each, "id")
        return ""


def _wished(wish: HookWish) -> dict[str, Any]:
    wanted = {name for event in wish.events for name in _EVENTS[event]}
    every = [name for names in _EVENTS.values() for name in names]
    flags = {name: name in wanted for name in every}
    return {"url": wish.url, "token": wish.secret, "enable_ssl_verification": True, **flags}


def _hook(found: Any) -> HostedHook:
    events = tuple(event for event, names in _EVENTS.items() if all(flag(found, name) for name in names))
    # It is switched off for a while, or for good, after some failures.
    alert = text(found, "alert_status")
    return HostedHook(
        id=number(found, "id"), url=text(found, "url"), events=events, active=alert in ("", "executable")
    )


def _delivery(hook: str, found: Any) -> FailedDelivery:
    status = number(found, "response_status")
    headers = part(found, "request_headers")
    return FailedDelivery(
        id=number(found, "id"),
        hook=hook,
        delivery=text(headers, "Idempotency-Key") or text(headers, "X-Gitlab-Event-UUID"),
        event=text(found, "trigger"),
        status=int(status) if status.isdigit() else 0,
    )


def project(path: tuple[str, ...]) -> str:
    """A project's path as its id in addresses."""
    return quote("/".join(path), safe="")
