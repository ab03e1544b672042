"""GitHub's REST API: https://docs.github.com/rest"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from activities.hosted import comments
from activities.hosted.caller import PAGE_SIZE, PAGES_LIMIT, Caller
from activities.hosted.naming import numbered
from activities.hosted.reading import flag, number, part, text
from activities.hosting import HookWish
from model.failure import NotFound
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

NEEDS = "to write commit statuses, pull requests and (for `towpath repository register`) webhooks"
HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_DELIVERIES_SIZE = 100
_DETAIL_LIMIT = 60_000
_STATES = {"cancelled": "error"}
_CONCLUSIONS = {"success": "success", "failure": "failure", "error": "failure", "cancelled": "cancelled"}
_DEPLOYED = {"pending": "queued", "running": "in_progress", "cancelled": "error"}
_PERMISSIONS: dict[str, Permission] = {
    "admin": "admin",
    "owner": "admin",
    "maintain": "write",
    "write": "write",
    "triage": "read",
    "read": "read",
}
_EVENTS: Mapping[HookEvent, tuple[str, ...]] = {
    "push": ("push",),
    "change": ("pull_request",),
    "comment": ("issue_comment",),
}


class GitHub:
    """One repository at GitHub.

    Args:
        caller: speaks to its API.
        path: `owner/name`, quoted.
        checks: whether statuses are written as check runs, which only Apps may.
    """

    events = _EVENTS

    def __init__(self, caller: Caller, path: str, checks: bool = False) -> None:
        self._caller = caller
        self._path = f"/repos/{path}"
        self._checks = checks

    async def status(self, status: HostedStatus) -> str:
        """A commit status; as an App a check run, which shows the detail as well."""
        if self._checks:
            return await self._check(status)
        content = {
            "state": _STATES.get(status.state, status.state),
            "context": status.context,
            "description": status.description,
            **({"target_url": status.link} if status.link else {}),
        }
        await self._caller.call("POST", f"{self._path}/statuses/{status.commit}", content)
        return ""

    async def comment(self, comment: HostedComment) -> str:
        """A comment on the pull request, which GitHub takes for an issue."""
        issue = f"{self._path}/issues/{numbered(comment.change)}/comments"
        content = {"body": comment.body}

        async def own() -> list[str]:
            found = await self._caller.pages(issue, self._sized())
            return [number(each, "id") for each in found if text(each, "body").startswith(comment.marker)]

        async def update(known: str) -> None:
            await self._caller.call("PATCH", f"{self._path}/issues/comments/{numbered(known)}", content)

        async def create() -> str:
            return number(await self._caller.call("POST", issue, content), "id")

        return await comments.put(comment, own, update, create)

    async def permission(self, login: str) -> Permission:
        """What GitHub says of a collaborator, teams and organisation included."""
        place = f"{self._path}/collaborators/{quote(login, safe='')}/permission"
        try:
            found = await self._caller.call("GET", place)
        except NotFound:
            return "none"
        return _PERMISSIONS.get(text(found, "permission"), "none")

    async def change(self, change: str) -> HostedChange:
        """The pull request."""
        found = await self._caller.call("GET", f"{self._path}/pulls/{numbered(change)}")
        head, base = part(found, "head"), part(found, "base")
        source, target = text(part(head, "repo"), "full_name"), text(part(base, "repo"), "full_name")
        merged = flag(found, "merged")
        return HostedChange(
            change=change,
            title=text(found, "title")[:300],
            state="merged" if merged else "open" if text(found, "state") == "open" else "closed",
            head=text(head, "sha"),
            branch=text(head, "ref"),
            base=text(base, "ref"),
            author=text(part(found, "user"), "login"),
            association=text(found, "author_association").lower(),
            # A deleted fork leaves no repository behind.
            fork=not source or source.lower() != target.lower(),
            head_url=text(part(head, "repo"), "clone_url"),
            # Before it is merged, this is a commit that GitHub has made to try.
            merged_as=text(found, "merge_commit_sha") if merged else "",
        )

    async def deployment(self, deployment: HostedDeployment) -> str:
        """A deployment and its newest status. `key` lies in the payload, by which it is found again."""
        known = deployment.remote or await self._deployed(deployment) or await self._deploy(deployment)
        content = {
            "state": _DEPLOYED.get(deployment.state, deployment.state),
            "description": deployment.description,
            **({"log_url": deployment.link} if deployment.link else {}),
        }
        await self._caller.call("POST", f"{self._path}/deployments/{known}/statuses", content)
        return known

    async def hooks(self) -> list[HostedHook]:
        """All there are."""
        return [self._hook(each) for each in await self._caller.pages(f"{self._path}/hooks", self._sized())]

    async def create_hook(self, wish: HookWish) -> HostedHook:
        """Signed with SHA-256, as JSON."""
        content = {**self._hook_kind(), **self._wished(wish)}
        return self._hook(await self._caller.call("POST", f"{self._path}/hooks", content))

    async def update_hook(self, hook: str, wish: HookWish) -> HostedHook:
        """The whole configuration is replaced."""
        made = await self._caller.call("PATCH", f"{self._path}/hooks/{numbered(hook)}", self._wished(wish))
        return self._hook(made)

    async def delete_hook(self, hook: str) -> None:
        """As the Protocol says."""
        try:
            await self._caller.call("DELETE", f"{self._path}/hooks/{numbered(hook)}")
        except NotFound:
            return

    async def failed_deliveries(self, url: str, since: float) -> list[FailedDelivery]:
        """From the hooks' logs, which reach back three days:
        https://docs.github.com/rest/repos/webhooks#list-deliveries-for-a-repository-webhook"""
        found: list[FailedDelivery] = []
        for hook in [each for each in await self.hooks() if each.url == url]:
            found += await self._failed(hook.id, since)
        return sorted(found, key=lambda delivery: delivery.at)

    async def redeliver(self, delivery: FailedDelivery) -> None:
        """A new attempt, which carries the delivery id of the first."""
        attempts = f"{self._path}/hooks/{numbered(delivery.hook)}/deliveries/{numbered(delivery.id)}/attempts"
        await self._caller.call("POST", attempts)

    async def _check(self, status: HostedStatus) -> str:
        """https://docs.github.com/rest/checks/runs"""
        done = status.state != "pending"
        content: dict[str, Any] = {
            "name": status.context,
            "status": "completed" if done else "in_progress",
            "output": {
                "title": status.title or status.description or status.context,
                "summary": (status.detail or status.description)[:_DETAIL_LIMIT],
            },
            **({"conclusion": _CONCLUSIONS[status.state]} if done else {}),
            **({"details_url": status.link} if status.link else {}),
        }
        known = status.remote or await self._checked(status)
        if known:
            try:
                await self._caller.call("PATCH", f"{self._path}/check-runs/{numbered(known)}", content)
                return known
            except NotFound:
                pass
        content |= {"head_sha": status.commit, "external_id": status.context}
        return number(await self._caller.call("POST", f"{self._path}/check-runs", content), "id")

    async def _checked(self, status: HostedStatus) -> str:
        """The run that an earlier try made, whose answer was lost."""
        query = {"check_name": status.context, "filter": "latest"}
        found = await self._caller.call("GET", f"{self._path}/commits/{status.commit}/check-runs", query=query)
        runs = found.get("check_runs") if isinstance(found, dict) else None
        own = [each for each in runs or [] if text(each, "external_id") == status.context]
        return number(own[0], "id") if own else ""

    async def _deployed(self, deployment: HostedDeployment) -> str:
        query = {"sha": deployment.commit, "environment": deployment.environment, "per_page": str(PAGE_SIZE)}
        found = await self._caller.call("GET", f"{self._path}/deployments", query=query)
        for each in found if isinstance(found, list) else []:
            if text(part(each, "payload"), "towpath") == deployment.key:
                return number(each, "id")
        return ""

    async def _deploy(self, deployment: HostedDeployment) -> str:
        content = {
            "ref": deployment.commit,
            "environment": deployment.environment,
            "description": deployment.description,
            "production_environment": deployment.production,
            "payload": {"towpath": deployment.key},
            # What goes in is decided by Towpath's gates; GitHub would refuse what has pending statuses.
            "auto_merge": False,
            "required_contexts": [],
        }
        return number(await self._caller.call("POST", f"{self._path}/deployments", content), "id")

    async def _failed(self, hook: str, since: float) -> list[FailedDelivery]:
        good: set[str] = set()
        bad: dict[str, FailedDelivery] = {}
        query = f"per_page={_DELIVERIES_SIZE}"
        for _ in range(PAGES_LIMIT):
            answer = await self._caller.ask("GET", f"{self._path}/hooks/{hook}/deliveries", query=query)
            entries = answer.document if isinstance(answer.document, list) else []
            for entry in entries:
                one = _delivery(hook, entry)
                if 200 <= one.status < 300:
                    good.add(one.delivery)
                elif one.at >= since:
                    # Newest first: what stays is the first attempt.
                    bad[one.delivery] = one
            query = answer.next
            # A good attempt is newer than the failure that it makes up for, so it has been seen by then.
            if not query or not entries or _delivery(hook, entries[-1]).at < since:
                break
        return [one for guid, one in bad.items() if guid not in good]

    def _wished(self, wish: HookWish) -> dict[str, Any]:
        config = {"url": wish.url, "content_type": "json", "secret": wish.secret}
        return {"active": True, "events": self._announced(wish.events), "config": config}

    def _announced(self, events: Sequence[HookEvent]) -> list[str]:
        return [name for event in events for name in self.events[event]]

    def _hook(self, found: Any) -> HostedHook:
        named = found.get("events") if isinstance(found, dict) else None
        names = {each for each in named or [] if isinstance(each, str)}
        return HostedHook(
            id=number(found, "id"),
            url=text(part(found, "config"), "url"),
            events=tuple(event for event, wanted in self.events.items() if self._covers(names, wanted)),
            active=flag(found, "active"),
        )

    @staticmethod
    def _covers(names: set[str], wanted: Sequence[str]) -> bool:
        return "*" in names or names.issuperset(wanted)

    @staticmethod
    def _hook_kind() -> dict[str, str]:
        return {"name": "web"}

    @staticmethod
    def _sized() -> dict[str, str | int]:
        return {"per_page": PAGE_SIZE}


def _delivery(hook: str, entry: Any) -> FailedDelivery:
    status = entry.get("status_code") if isinstance(entry, dict) else None
    return FailedDelivery(
        id=number(entry, "id"),
        hook=hook,
        delivery=text(entry, "guid"),
        event=text(entry, "event"),
        at=_seconds(text(entry, "delivered_at")),
        status=status if isinstance(status, int) else 0,
    )


def _seconds(stamp: str) -> float:
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return 0
