"""An edited ReleaseBinding starts one Rebinding, whoever watches and however often."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from model import ids
from model.key import ComponentKey
from model.rebinding import RebindingRequest
from tests.triggers.fakes import FakeApiServer, FakeRuns, FakeSecrets, component_object, convert
from triggers.bindings import BindingWatch
from triggers.declared import Declared

KEY = ComponentKey(name="hello-world")


def binding(manager: str, release: str = "hello-2", generation: int = 2, **metadata: Any) -> dict[str, Any]:
    written = {"manager": manager, "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:releaseName": {}}}}
    return {
        "apiVersion": "openchoreo.dev/v1alpha1",
        "kind": "ReleaseBinding",
        "metadata": {
            "name": "hello-world-production", "namespace": "default", "uid": "b", "generation": generation,
            "resourceVersion": "1", "managedFields": [written], **metadata,
        },
        "spec": {
            "owner": {"projectName": "default", "componentName": "hello-world"},
            "environment": "production", "releaseName": release,
        },
    }  # fmt: skip


@contextlib.asynccontextmanager
async def watching(apiserver: FakeApiServer, runs: FakeRuns) -> AsyncIterator[None]:
    declared = Declared(apiserver, FakeSecrets(), convert)
    watch = BindingWatch(runs, declared)
    declared.listen_bindings(watch.changed)
    tasks = [asyncio.create_task(declared.run()), asyncio.create_task(watch.run())]
    try:
        while not apiserver.watched("ReleaseBinding"):  # noqa: ASYNC110  (a property, no event)
            await asyncio.sleep(0.01)
        await declared.components_read()
        yield
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
            await asyncio.gather(*tasks)


async def until_started(runs: FakeRuns, workflow: str) -> RebindingRequest:
    async with asyncio.timeout(5):
        while workflow not in runs.started:  # noqa: ASYNC110  (a dictionary, no event)
            await asyncio.sleep(0.01)
    asked = runs.started[workflow]
    assert isinstance(asked, RebindingRequest)
    return asked


async def test_an_edit_by_hand_starts_one_rebinding_and_our_own_writes_none() -> None:
    runs, apiserver = FakeRuns(), FakeApiServer(component_object())
    async with watching(apiserver, runs):
        apiserver.tell("ADDED", binding("towpath", generation=1))
        apiserver.tell("MODIFIED", binding("kubectl-edit"))
        apiserver.tell("MODIFIED", binding("kubectl-edit"))
        asked = await until_started(runs, ids.rebinding(KEY, "production", "b", "2"))
        assert (asked.release, asked.manager, asked.deleted) == ("hello-2", "kubectl-edit", False)
        apiserver.tell("MODIFIED", binding("kubectl-edit", "hello-3", 3))
        await until_started(runs, ids.rebinding(KEY, "production", "b", "3"))
    assert len(runs.started) == 2


async def test_an_edit_while_temporal_is_away_is_not_lost() -> None:
    runs, apiserver = FakeRuns(), FakeApiServer(component_object())
    runs.down = True
    async with watching(apiserver, runs):
        apiserver.tell("ADDED", binding("kubectl-edit"))
        await asyncio.sleep(0)
        runs.down = False
        await until_started(runs, ids.rebinding(KEY, "production", "b", "2"))


async def test_a_deleted_binding_is_told_of_unless_its_component_went_as_well() -> None:
    runs, apiserver = FakeRuns(), FakeApiServer(component_object())
    async with watching(apiserver, runs):
        apiserver.tell("ADDED", binding("towpath"))
        apiserver.tell("DELETED", binding("towpath"))
        asked = await until_started(runs, ids.rebinding(KEY, "production", "b", "deleted"))
        assert asked.deleted
    alone, empty = FakeRuns(), FakeApiServer()
    async with watching(empty, alone):
        empty.tell("ADDED", binding("towpath", uid="c"))
        empty.tell("DELETED", binding("towpath", uid="c"))
        empty.tell("ADDED", binding("kubectl-edit", uid="d"))
        await until_started(alone, ids.rebinding(KEY, "production", "d", "2"))
    assert len(alone.started) == 1
