"""Stand-ins for our own Protocols: an API server's watches, Temporal's runs, the starter, secrets, logs."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal, TypeVar

from pydantic import BaseModel
from temporalio.common import TypedSearchAttributes

from activities.changes import Change
from model import timed_build
from model.change_request import ChangeRequest
from model.commit import Commit
from model.component import Component
from model.failure import Conflict, InfrastructureFailure, NotFound, UserFailure
from model.image import Image
from model.key import ComponentKey
from model.mark import Mark
from model.pipeline import Pipeline
from model.push import Push
from model.release import Release
from model.source import SourceLocation
from model.workload import Workload
from triggers.api.access import LogPiece
from triggers.runs import Kind, Run
from triggers.starter import Started, Stored
from workflows.attributes import REPOSITORY

M = TypeVar("M", bound=BaseModel)
URL = "https://git.example/team/hello-world.git"
COMMIT = "1" * 40
OLDER = "2" * 40


class FakeApiServer:
    """Watches that are fed by the test. `listable` keeps all first lists back, `held` one kind's for ever."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = list(objects)
        self.listable = asyncio.Event()
        self.listable.set()
        self.held = ""
        self._queues: list[tuple[str, str, asyncio.Queue[Change]]] = []

    async def watch(
        self, api_version: str, kind: str, namespace: str = "", labels: str = "", fields: str = ""
    ) -> AsyncIterator[Change]:
        await self.listable.wait()
        if kind == self.held:
            await asyncio.Event().wait()
        queue: asyncio.Queue[Change] = asyncio.Queue()
        self._queues.append((api_version, kind, queue))
        for obj in self.objects:
            if (obj["apiVersion"], obj["kind"]) == (api_version, kind):
                yield Change("ADDED", obj)
        yield Change("SYNCED", {})
        while True:
            yield await queue.get()

    def watched(self, kind: str) -> bool:
        """Whether every watch of the kind has handed out its list."""
        return bool(self._queues) and all(queue.empty() for _, each, queue in self._queues if each == kind)

    def tell(self, change: Literal["ADDED", "MODIFIED", "DELETED"], obj: dict[str, Any]) -> None:
        for api_version, kind, queue in self._queues:
            if (obj["apiVersion"], obj["kind"]) == (api_version, kind):
                queue.put_nowait(Change(change, obj))


class FakeStarter:
    """Remembers what was started; `down` is a Temporal that cannot be reached, `down_for` not for one kind."""

    def __init__(self) -> None:
        self.events: dict[str, Stored] = {}
        self.down = False
        self.down_for: type[Stored] | None = None
        self.news = asyncio.Event()

    @property
    def started(self) -> dict[str, Push]:
        """The pushes among the events."""
        return {workflow: event for workflow, event in self.events.items() if isinstance(event, Push)}

    @property
    def changes(self) -> dict[str, ChangeRequest]:
        """The change requests among the events."""
        return {workflow: event for workflow, event in self.events.items() if isinstance(event, ChangeRequest)}

    async def start(self, event: Stored, workflow: str) -> Started:
        if self.down or type(event) is self.down_for:
            raise InfrastructureFailure("TemporalUnavailable", "Temporal did not take the event.")
        if workflow in self.events:
            return Started(workflow, duplicate=True)
        self.events[workflow] = event
        self.news.set()
        return Started(workflow, duplicate=False)


class FakeRuns:
    """Runs with canned states; updates are recorded and answered once per id."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.states: dict[tuple[str, str], BaseModel] = {}
        self.updates: dict[str, tuple[str, str, BaseModel]] = {}
        self.answers: dict[str, BaseModel] = {}
        self.refusals: dict[str, Conflict] = {}
        self.started: dict[str, BaseModel] = {}
        self.cancelled: list[str] = []
        self.running_lanes: set[str] = set()
        self.times: dict[str, float] = {}
        self.down = False

    def put(self, run: Run, **states: BaseModel) -> None:
        self.runs[run.workflow] = run
        self.states.update({(run.workflow, name): state for name, state in states.items()})

    async def query(self, workflow: str, name: str, result: type[M]) -> M:
        self._check(workflow)
        state = self.states.get((workflow, name))
        if state is None:
            raise InfrastructureFailure("NoWorker", "No answer in time.")
        assert isinstance(state, result)
        return state

    async def state(self, run: Run, result: type[M]) -> M:
        return await self.query(run.workflow, "state", result)

    async def update(self, workflow: str, name: str, argument: BaseModel, update_id: str, result: type[M]) -> M:
        self._check(workflow)
        if name in self.refusals:
            raise self.refusals[name]
        self.updates.setdefault(update_id, (workflow, name, argument))
        answer = self.answers[name]
        assert isinstance(answer, result)
        return answer

    async def describe(self, workflow: str) -> Run | None:
        if self.down:
            raise InfrastructureFailure("TemporalUnavailable", "Temporal cannot be reached; try again.")
        return self.runs.get(workflow)

    async def find(self, kind: Kind, component: ComponentKey, limit: int) -> list[Run]:
        if self.down:
            raise InfrastructureFailure("TemporalUnavailable", "Temporal cannot be reached; try again.")
        prefix = f"{kind.lower()}/{component}/"
        found = [run for run in self.runs.values() if run.workflow.startswith(prefix)]
        return sorted(found, key=lambda run: run.started_at, reverse=True)[:limit]

    async def find_below(self, kind: Kind, prefix: str, limit: int) -> list[Run]:
        found = [run for run in self.runs.values() if run.workflow.startswith(prefix)]
        return sorted(found, key=lambda run: run.started_at, reverse=True)[:limit]

    async def of_types(self, types: tuple[str, ...], repository: str, limit: int) -> list[Run]:
        if self.down:
            raise InfrastructureFailure("TemporalUnavailable", "Temporal cannot be reached; try again.")
        found = [
            run
            for run in self.runs.values()
            if run.type in types and repository in ("", run.attributes.get(REPOSITORY))
        ]
        return sorted(found, key=lambda run: run.started_at, reverse=True)[:limit]

    async def next_time(self, schedule: str) -> float | None:
        return self.times.get(schedule)

    async def start(
        self,
        kind: Kind,
        argument: BaseModel,
        workflow: str,
        request: str,
        attributes: TypedSearchAttributes,
        summary: str,
        again: bool = False,
    ) -> bool:
        known = self.runs.get(workflow)
        if known is not None and (known.open or not again):
            return False
        self.started[workflow] = argument
        self.runs[workflow] = Run(workflow, "RUNNING", started_at=9000, request=request)
        return True

    async def lanes(self) -> set[ComponentKey]:
        if self.down:
            raise InfrastructureFailure("TemporalUnavailable", "Temporal cannot be reached; try again.")
        return {ComponentKey.parse(name.removeprefix("lane/").rpartition("/")[0]) for name in self.running_lanes}

    async def cancel(self, workflow: str) -> None:
        self._check(workflow)
        self.cancelled.append(workflow)

    def _check(self, workflow: str) -> None:
        if self.down:
            raise InfrastructureFailure("TemporalUnavailable", "Temporal cannot be reached; try again.")
        if workflow not in self.runs:
            raise NotFound("RunNotFound", f"There is no {workflow}.")


class FakeSecrets:
    """Secrets by namespace, name and key."""

    def __init__(self, **texts: str) -> None:
        self.texts = texts

    async def live(self, namespace: str, name: str, key: str) -> tuple[str, ...]:
        return (self.texts[name],) if name in self.texts else ()


class FakeReleases:
    """Releases of one component."""

    def __init__(self, *releases: Release) -> None:
        self.kept = {release.name: release for release in releases}

    async def release(self, key: ComponentKey, name: str) -> Release | None:
        return self.kept.get(name)

    async def releases(self, key: ComponentKey) -> list[Release]:
        return list(self.kept.values())


class FakeRules:
    """One component with its pipeline, and its releases."""

    def __init__(self, component: Component | None = None, pipeline: Pipeline | None = None) -> None:
        self.declared = component
        self.steps = pipeline or Pipeline(name="default", steps=())
        self.kept: dict[str, Release] = {}

    async def component(self, key: ComponentKey) -> Component | None:
        return self.declared

    async def pipeline(self, component: Component) -> Pipeline:
        return self.steps

    async def release(self, key: ComponentKey, name: str) -> Release | None:
        return self.kept.get(name)


class FakeObjects:
    """An API server that keeps objects of one kind."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], dict[str, Any]] = {}

    async def create(self, obj: dict[str, Any]) -> dict[str, Any]:
        identity = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        if identity in self.kept:
            raise Conflict("AlreadyExists", f"{identity[1]} exists.")
        self.kept[identity] = obj
        return obj

    async def list(
        self, api_version: str, kind: str, namespace: str = "", labels: str = "", fields: str = ""
    ) -> list[dict[str, Any]]:
        return [obj for (place, _), obj in self.kept.items() if place == namespace]

    async def delete(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str = "",
        propagation: str = "Background",
        uid: str = "",
    ) -> bool:
        return self.kept.pop((namespace, name), None) is not None


class FakeMarks:
    """Marks by the release's name."""

    def __init__(self) -> None:
        self.kept: dict[str, Mark] = {}

    async def of(self, release: Release) -> Mark | None:
        return self.kept.get(release.name)

    async def all(self, component: ComponentKey) -> dict[str, Mark]:
        return self.kept

    async def put(self, release: Release, word: Mark) -> None:
        self.kept[release.name] = word


class FakeLogs:
    """Logs by reference."""

    def __init__(self, **logs: bytes) -> None:
        self.logs = logs

    async def read(self, reference: str, offset: int) -> LogPiece:
        if reference not in self.logs:
            raise NotFound("LogNotFound", "There is no log yet.")
        content = self.logs[reference][offset : offset + 16]
        return LogPiece(content, offset + len(content))


def component_object(
    name: str = "hello-world", url: str = URL, generation: int = 1, **status: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "openchoreo.dev/v1alpha1",
        "kind": "Component",
        "metadata": {"namespace": "default", "name": name, "uid": f"uid-{name}", "generation": generation},
        "spec": {"url": url},
        "status": status,
    }


def repository_object(url: str = URL, *secrets: str, name: str = "repo") -> dict[str, Any]:
    refs = [{"name": secret, "key": "secret"} for secret in secrets]
    return {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "Repository",
        "metadata": {"namespace": "default", "name": name, "uid": f"uid-{name}", "generation": 1},
        "spec": {"url": url, "webhook": {"secretRefs": refs}} if refs else {"url": url},
    }


def convert(obj: dict[str, Any]) -> Component:
    """What reads our fake objects."""
    url = obj["spec"]["url"]
    if url == "bad":
        raise UserFailure("Invalid", "spec.url: not an address.")
    metadata = obj["metadata"]
    return Component(
        key=ComponentKey(namespace=metadata["namespace"], name=metadata["name"]),
        uid=metadata["uid"],
        generation=metadata["generation"],
        source=SourceLocation(url=url),
        schedules=timed_build.annotated(metadata.get("annotations") or {}),
    )


def release(number: int, commit: str = COMMIT) -> Release:
    return Release(
        name=f"hello-world-{commit[:7]}-{number}",
        component=ComponentKey(name="hello-world"),
        project="default",
        commit=Commit(id=commit, author="Ada", author_email="ada@example", subject="A change"),
        image=Image(repository="registry/hello-world", digest=f"sha256:{number:064x}"),
        workload=Workload(),
        sequence=number,
    )
