"""What the server knows of the cluster, and what an applied component starts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from model.failure import Failure
from model.key import ComponentKey
from tests.triggers.fakes import (
    URL,
    FakeApiServer,
    FakeSecrets,
    FakeStarter,
    component_object,
    convert,
    repository_object,
)
from tests.triggers.serving import Parts, authorized, git_push, post_git, serving
from triggers.declared import Declared
from triggers.metrics import Metrics
from triggers.sequence import Sequence
from triggers.watch import AppliedWatch

APPLIED = "applied/default/hello-world/uid-hello-world"


@contextlib.asynccontextmanager
async def watching(apiserver: FakeApiServer, starter: FakeStarter) -> AsyncIterator[Declared]:
    """The watch as the server runs it."""
    declared = Declared(apiserver, FakeSecrets(mine="own-secret"), convert)
    watch = AppliedWatch(starter, Sequence(lambda: 1.0), Metrics())
    declared.listen(watch.changed)
    tasks = [asyncio.create_task(declared.run()), asyncio.create_task(watch.run())]
    try:
        while not declared.ready:  # noqa: ASYNC110  (a property, no event)
            await asyncio.sleep(0)
        yield declared
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
            await asyncio.gather(*tasks)


async def until_started(starter: FakeStarter, count: int) -> None:
    async with asyncio.timeout(5):
        while len(starter.started) < count:
            starter.news.clear()
            await starter.news.wait()


async def test_an_applied_component_starts_a_delivery_of_its_branch() -> None:
    starter = FakeStarter()
    async with watching(FakeApiServer(component_object()), starter):
        await until_started(starter, 1)
    push = starter.started[f"{APPLIED}/1"]
    assert (push.cause, push.url, push.ref, push.after) == ("applied", URL, "refs/heads/main", "")
    assert push.components == (ComponentKey(name="hello-world"),)
    assert push.declared_in == component_object()["apiVersion"], "a Delivery must be able to write to it"


async def test_an_edit_starts_another_and_a_status_change_does_not() -> None:
    starter, apiserver = FakeStarter(), FakeApiServer(component_object())
    async with watching(apiserver, starter):
        await until_started(starter, 1)
        apiserver.tell("MODIFIED", component_object(stage="building"))
        apiserver.tell("MODIFIED", component_object(generation=2))
        await until_started(starter, 2)
        apiserver.tell("MODIFIED", component_object(generation=2, observedGeneration=2))
        apiserver.tell("MODIFIED", component_object(generation=3, observedGeneration=2))
        await until_started(starter, 3)
    assert set(starter.started) == {f"{APPLIED}/{generation}" for generation in (1, 2, 3)}


async def test_a_restart_starts_nothing_again() -> None:
    starter = FakeStarter()
    observed = component_object(generation=4, observedGeneration=4)
    fresh = component_object("other")
    async with watching(FakeApiServer(observed, fresh), starter):
        await until_started(starter, 1)
    async with watching(FakeApiServer(observed, fresh), starter):
        await asyncio.sleep(0)
    assert set(starter.started) == {"applied/default/other/uid-other/1"}


async def test_while_temporal_is_away_the_latest_edit_waits() -> None:
    starter, apiserver = FakeStarter(), FakeApiServer(component_object())
    starter.down = True
    async with watching(apiserver, starter):
        apiserver.tell("MODIFIED", component_object(generation=2))
        await asyncio.sleep(0.05)
        starter.down = False
        await until_started(starter, 1)
    assert f"{APPLIED}/2" in starter.started


async def test_a_component_that_does_not_convert_is_still_announced() -> None:
    starter = FakeStarter()
    async with watching(FakeApiServer(component_object(url="bad")), starter) as declared:
        await until_started(starter, 1)
        entry = declared.component(ComponentKey(name="hello-world"))
    assert entry is not None
    assert "spec.url" in entry.problem
    assert starter.started[f"{APPLIED}/1"].repository == ""


async def test_a_deleted_component_makes_its_repository_unknown(tmp_path: Path) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        assert (await post_git(client, git_push())).status_code == 202
        parts.apiserver.tell("DELETED", component_object(observedGeneration=1))
        async with asyncio.timeout(5):
            while (await client.get("/api/v1/components", headers=authorized())).json():  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert (await post_git(client, git_push())).status_code == 404


async def test_addresses_are_the_same_however_written() -> None:
    apiserver = FakeApiServer(component_object(), component_object("web", "https://github.com/Team/Web"))
    async with watching(apiserver, FakeStarter()) as declared:
        for address in (URL, "git@git.example:team/hello-world", "ssh://git@GIT.example/team/hello-world.git/"):
            known = declared.find(address)
            assert known is not None, address
            assert known.url == URL
        assert declared.find("git@github.com:team/web.git") is not None
        assert declared.find("https://git.example/Team/Hello-World") is None
        assert declared.find("ext::sh") is None


async def test_two_repository_objects_for_one_address_add_their_secrets() -> None:
    apiserver = FakeApiServer(repository_object(URL, "mine"), repository_object(URL, name="other"))
    async with watching(apiserver, FakeStarter()) as declared:
        known = declared.find(URL)
    assert known is not None
    assert known.secrets == ("own-secret",)
    assert "own-secret" not in repr(known)


async def test_environments_come_in_the_pipelines_order_in_both_spellings() -> None:
    pipeline = {
        "apiVersion": "openchoreo.dev/v1alpha1",
        "kind": "DeploymentPipeline",
        "metadata": {"namespace": "default", "name": "default"},
        "spec": {
            "promotionPaths": [
                {"sourceEnvironmentRef": {"name": "staging"}, "targetEnvironmentRefs": [{"name": "live"}]},
                {"sourceEnvironmentRef": "zone", "targetEnvironmentRefs": ["staging"]},
            ]
        },
    }
    async with watching(FakeApiServer(pipeline), FakeStarter()) as declared:
        assert declared.environments("default") == ("zone", "staging", "live")
        assert declared.environments("elsewhere") == ()


async def test_a_refused_watch_is_tried_again_and_not_ready() -> None:
    class Refusing(FakeApiServer):
        async def watch(self, api_version: str, kind: str, *_: str, **__: str):  # type: ignore[no-untyped-def]
            raise Failure("Forbidden", "not allowed")
            yield

    declared = Declared(Refusing(), FakeSecrets(), convert)
    task = asyncio.create_task(declared.run())
    await asyncio.sleep(0.01)
    assert not task.done()
    assert not declared.ready
    assert any("Component" in what for what in declared.waits_for)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
        await task
