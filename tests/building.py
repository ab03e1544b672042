"""Builds before a plane's queue, over a scripted world: what the queue's tests share."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from model import ids
from model.build import BuildRequest, BuildResult, BuildState, SubmittedBuild
from model.build_queue import QueueView
from model.commit import Commit
from model.component import Component
from model.key import ComponentKey
from model.source import SourceLocation
from tests.workflows.world import World, image
from workflows.build import Build
from workflows.build_queue import BuildQueue

Handle = WorkflowHandle[Build, BuildState]


@dataclass
class Plane(World):
    """A world whose builds last until the test lets them end, and which notes who is on the plane at once."""

    on_plane: set[str] = field(default_factory=set)
    most: int = 0
    order: list[str] = field(default_factory=list)
    end: asyncio.Event = field(default_factory=asyncio.Event)

    @activity.defn(name="builds.submit")
    async def submit(self, request: BuildRequest) -> SubmittedBuild:
        """Once a build, however often it is asked for."""
        name = f"{request.component.key.name}-{int(request.commit.id, 16)}"
        if name not in self.submitted:
            self.submitted.append(name)
            self.order.append(f"{request.component.project}/{name}")
            self.on_plane.add(name)
            self.most = max(self.most, len(self.on_plane))
        return SubmittedBuild(
            namespace="b", name=name, uid=name, component=request.component.key, image_repository="r"
        )

    @activity.defn(name="builds.watch")
    async def watch_build(self, build: SubmittedBuild) -> BuildResult:
        """Until the test says that builds end."""
        while not self.end.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.05)
        self.on_plane.discard(build.name)
        return BuildResult(phase="succeeded", image=image(1))

    @activity.defn(name="builds.stop")
    async def stop(self, build: SubmittedBuild) -> None:
        """It is gone from the plane."""
        self.stopped.append(build.name)
        self.on_plane.discard(build.name)


def request(
    name: str, number: int, project: str = "default", plane: str = "default", **changed: Any
) -> BuildRequest:
    """A push of a component of that name; `number` counts the pushes."""
    component = Component(
        key=ComponentKey(name=name),
        project=project,
        source=SourceLocation(url=f"http://git.test/{name}.git"),
        build_plane=plane,
        auto_deploy=False,
    )
    commit = Commit(id=f"{number:040x}", author="dev", author_email="dev@example.test", subject="s")
    return BuildRequest.model_validate(
        {
            "component": component,
            "commit": commit,
            "branch": "main",
            "sequence": number,
            "cause": "push",
            **changed,
        }
    )


async def start(client: Client, asked: BuildRequest) -> Handle:
    """Its Build."""
    return await client.start_workflow(Build.run, asked, id=asked.workflow, task_queue=ids.CONTROL_QUEUE)


async def until(look: Callable[[], Any], what: str) -> Any:
    """Wait, in real time, until there is something to see. A queue that begins anew is not there for a moment."""
    deadline = asyncio.get_running_loop().time() + 90
    while True:
        try:
            seen = look()
            seen = await seen if asyncio.iscoroutine(seen) else seen
        except RPCError as error:
            if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
                raise
            seen = None
        if seen:
            return seen
        assert asyncio.get_running_loop().time() < deadline, f"it was never seen that {what}"
        await asyncio.sleep(0.05)


async def view(client: Client, plane: str = "default") -> QueueView:
    """The queue as people see it."""
    return await client.get_workflow_handle_for(BuildQueue.run, ids.queue(plane)).query(BuildQueue.view)


async def waits(client: Client, number: int, plane: str = "default") -> QueueView | None:
    """The queue, when so many wait in it."""
    seen = await view(client, plane)
    return seen if len(seen.waiting) == number else None


async def empty(client: Client, plane: str = "default") -> QueueView | None:
    """The queue, when nobody is in it."""
    seen = await view(client, plane)
    return None if seen.running or seen.waiting else seen


async def phase(handle: Handle, wanted: str) -> BuildState | None:
    """A build's state, when it is in that phase."""
    state = await handle.query(Build.state)
    return state if state.phase == wanted else None
