"""Gitea's and Forgejo's API, which follows GitHub's in most: https://docs.gitea.com/api"""

import asyncio
from collections.abc import Sequence

from activities.hosted.caller import PAGE_SIZE
from activities.hosted.github import GitHub
from activities.hosted.lacking import WithoutDeliveries, WithoutDeployments
from activities.hosting import HookWish
from model.hosting import HostedHook

SETTLING_SECONDS = 2.0
NEEDS = "the scopes write:repository and write:issue"


class Gitea(WithoutDeployments, WithoutDeliveries, GitHub):
    """One repository at Gitea or Forgejo."""

    name = "Gitea"
    # `pull_request` as a whole would announce labels and assignments too.
    events = {
        "push": ("push", "delete"),
        "change": ("pull_request_only", "pull_request_sync"),
        "comment": ("pull_request_comment",),
    }

    async def update_hook(self, hook: str, wish: HookWish) -> HostedHook:
        """Another one in its place, since the API takes no secret for one that is there
        (`editHook` in Gitea's routers/api/v1/utils/hook.go)."""
        made = await self.create_hook(wish)
        # What was announced just before is still on its way, and goes with its webhook.
        await asyncio.sleep(SETTLING_SECONDS)
        await self.delete_hook(hook)
        return made

    @staticmethod
    def _covers(names: set[str], wanted: Sequence[str]) -> bool:
        # What is asked for as `pull_request_only` is told as `pull_request`.
        told = {"pull_request" if each == "pull_request_only" else each for each in wanted}
        return names.issuperset(told) or names.issuperset(wanted)

    @staticmethod
    def _hook_kind() -> dict[str, str]:
        return {"type": "gitea"}

    @staticmethod
    def _sized() -> dict[str, str | int]:
        return {"limit": PAGE_SIZE}
