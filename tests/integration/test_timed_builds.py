"""Declared times become Temporal's schedules, and go with what declared them."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow
from temporalio.service import RPCError, RPCStatusCode

from activities.changes import Change
from activities.timed_builds import TimedBuilds
from deploy.local.settings import Settings
from model.push import Push
from tests.temporal_namespace import client_of

pytestmark = pytest.mark.stack
OPENCHOREO = "openchoreo.dev/v1alpha1"


def component(namespace: str, times: str, branch: str = "main") -> dict[str, Any]:
    repository = {"url": "https://git.test/shop/web.git", "revision": {"branch": branch}}
    return {
        "apiVersion": OPENCHOREO,
        "kind": "Component",
        "metadata": {
            "name": "web",
            "namespace": namespace,
            "annotations": {"towpath.dev/build-schedule": times},
        },
        "spec": {
            "componentType": {"name": "deployment/service"},
            "workflow": {"name": "dockerfile-builder", "parameters": {"repository": repository}},
        },
    }


class News:
    """An API server of which nothing is known but its changes."""

    def __init__(self) -> None:
        self._news: dict[str, asyncio.Queue[Change]] = {}

    def queue(self, api_version: str) -> asyncio.Queue[Change]:
        return self._news.setdefault(api_version, asyncio.Queue())

    async def watch(self, api_version: str, kind: str, *more: str, **options: str) -> AsyncIterator[Change]:
        yield Change("SYNCED", {})
        while True:
            yield await self.queue(api_version).get()


async def schedules(client: Client, namespace: str) -> list[Schedule]:
    """Asked for by its id, since lists are behind."""
    try:
        return [(await client.get_schedule_handle(f"timed-build/{namespace}/web").describe()).schedule]
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return []


async def eventually(client: Client, namespace: str, times: list[str]) -> Schedule | None:
    async with asyncio.timeout(60):
        while True:
            found = await schedules(client, namespace)
            told = [each.spec.time_zone_name for each in found]
            if told == times:
                return found[0] if found else None
            await asyncio.sleep(0.2)


async def test_declared_times_are_kept_in_step() -> None:
    client = await client_of(Settings.from_environment(), "test-timed-builds")
    namespace, news = f"t{uuid.uuid4().hex[:8]}", News()
    following = asyncio.create_task(TimedBuilds(news, client, f"timed-build/{namespace}/").run())
    try:
        queue = news.queue(OPENCHOREO)
        queue.put_nowait(Change("ADDED", component(namespace, "CRON_TZ=Europe/Berlin 0 3 * * *")))
        schedule = await eventually(client, namespace, ["Europe/Berlin"])
        assert schedule is not None
        action = schedule.action
        assert isinstance(action, ScheduleActionStartWorkflow)
        assert action.workflow == "Delivery"
        [payload] = action.args
        push = (await client.data_converter.decode([payload], [Push]))[0]
        assert (push.cause, push.ref, str(push.components[0])) == (
            "schedule",
            "refs/heads/main",
            f"{namespace}/web",
        )

        queue.put_nowait(Change("MODIFIED", component(namespace, "CRON_TZ=Asia/Tokyo 0 3 * * *")))
        await eventually(client, namespace, ["Asia/Tokyo"])
        queue.put_nowait(Change("DELETED", component(namespace, "CRON_TZ=Asia/Tokyo 0 3 * * *")))
        await eventually(client, namespace, [])
    finally:
        following.cancel()
        with suppress(RPCError):  # It is gone when all went well.
            await client.get_schedule_handle(f"timed-build/{namespace}/web").delete()
