"""The world outside the workflows, as far as their tests need one: scripted, and remembering what was done.

The activities carry the names of the real ones; the workflows cannot tell the difference.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from temporalio import activity

from activities.resources import Binding, ReleasedQuestion
from activities.timetable import Timetable
from model.build import BuildRequest, BuildResult, Rivals, SubmittedBuild
from model.build_queue import Limits, Look, LookQuestion
from model.commit import Commit
from model.component import Component
from model.image import Image
from model.key import ComponentKey
from model.mark import Mark
from model.note import Note
from model.pipeline import EnvironmentStep, Pipeline
from model.policy import StepPolicy
from model.push import Push
from model.question import ExternalAnswer, ExternalQuestion
from model.release import Release
from model.rollout import Applied, RolloutRequest, Target
from model.soak import Steadiness, SteadinessQuestion
from model.source import Changes, ChangesRequest, SourceLocation
from model.teardown import OpenRuns
from model.told_event import Announcement
from model.verdict import Observation, Verdict
from model.workload import Workload

HEALTHY = Verdict(
    health="healthy", reason="Stable", message="ok", observations=(Observation(at=1, subject="pods", value="1/1"),)
)
CRASHING = Verdict(health="unhealthy", reason="CrashLoopBackOff", message="exit code 1")
KEY = ComponentKey(name="hello")


def commit(number: int) -> Commit:
    """The n-th commit of the test's repository."""
    return Commit(id=f"{number:040x}", author="dev", author_email="dev@example.test", subject=f"change {number}")


def image(number: int) -> Image:
    """The image of the n-th commit."""
    return Image(repository="registry.test/default/default/hello", digest=f"sha256:{number:064x}")


def release(number: int) -> Release:
    """The release of the n-th commit."""
    return Release(
        name=f"hello-{number}",
        component=KEY,
        project="default",
        commit=commit(number),
        image=image(number),
        workload=Workload(),
        sequence=number,
    )


COMPONENT = Component(key=KEY, uid="u1", source=SourceLocation(url="http://git.test/hello.git"))


def pipeline(approvals: int = 1, **policy: object) -> Pipeline:
    """development -> staging -> production, the last behind approvals."""
    gated = StepPolicy.model_validate({"approvals": approvals, **policy})
    return Pipeline(
        name="default",
        steps=(
            EnvironmentStep(environment="development"),
            EnvironmentStep(environment="staging", sources=("development",)),
            EnvironmentStep(environment="production", sources=("staging",), production=True, policy=gated),
        ),
    )


def push(number: int, **changed: object) -> Push:
    """The push of the n-th commit."""
    return Push.model_validate(
        {
            "repository": "git.test/hello",
            "url": "http://git.test/hello.git",
            "ref": "refs/heads/main",
            "before": commit(number - 1).id,
            "after": commit(number).id,
            "sequence": number,
            **changed,
        }
    )


@dataclass
class World:
    """Scripts: `verdicts[(environment, commit number)]` of rollouts, `verified` likewise of the checks after
    them, `builds[commit number]`. Everything else is well."""

    pipeline: Pipeline = field(default_factory=pipeline)
    verdicts: dict[tuple[str, int], Verdict] = field(default_factory=dict)
    verified: dict[tuple[str, int], Verdict] = field(default_factory=dict)
    builds: dict[int, list[BuildResult]] = field(default_factory=lambda: defaultdict(list))
    build_gates: dict[int, asyncio.Event] = field(default_factory=dict)
    apply_gate: asyncio.Event | None = None
    apply_failures: list[Exception] = field(default_factory=list)
    paths: tuple[str, ...] | None = None
    head: int = 0
    components: list[Component] = field(default_factory=lambda: [COMPONENT])
    rivals: dict[int, Rivals] = field(default_factory=dict)
    changes_failures: list[Exception] = field(default_factory=list)
    components_failures: list[Exception] = field(default_factory=list)
    running: dict[str, Release] = field(default_factory=dict)
    applied: list[tuple[str, str]] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    restarts: dict[str, float] = field(default_factory=dict)
    answers: list[ExternalAnswer] = field(default_factory=list)
    asked: list[ExternalQuestion] = field(default_factory=list)
    rules_failures: list[Exception] = field(default_factory=list)
    marks: dict[str, Mark] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    announced: list[Note] = field(default_factory=list)
    open: list[OpenRuns] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)
    queue_looks: list[Look] = field(default_factory=list)
    queue_asked: list[LookQuestion] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    submitted: list[str] = field(default_factory=list)
    deploying: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    most_at_once: int = 0

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for a worker."""
        return [
            self.components_for, self.component, self.read_pipeline, self.record_release, self.bind, self.tell,
            self.publish,
            self.released,
            self.mark_of,
            self.changes, self.submit, self.older, self.watch_build, self.stop, self.apply, self.watch,
            self.verify, self.steady, self.ask, Timetable().look,
            self.remove,
            self.open_runs, self.look_at_builds,
        ]  # fmt: skip

    @activity.defn(name="resources.components_for")
    async def components_for(self, _push: Push) -> list[Component]:
        if self.components_failures:
            raise self.components_failures.pop(0)
        return self.components

    @activity.defn(name="resources.component")
    async def component(self, key: ComponentKey) -> Component | None:
        return next((component for component in self.components if component.key == key), None)

    @activity.defn(name="resources.pipeline")
    async def read_pipeline(self, _component: Component) -> Pipeline:
        if self.rules_failures:
            raise self.rules_failures.pop(0)
        return self.pipeline

    @activity.defn(name="resources.record_release")
    async def record_release(self, release: Release) -> None:
        self.releases.append(release)

    @activity.defn(name="resources.released")
    async def released(self, question: ReleasedQuestion) -> list[ComponentKey]:
        made = {made.component for made in self.releases if made.commit.id == question.commit}
        return [key for key in question.components if key in made]

    @activity.defn(name="marks.of")
    async def mark_of(self, release: Release) -> Mark | None:
        return self.marks.get(release.name)

    @activity.defn(name="resources.bind")
    async def bind(self, binding: Binding) -> None:
        return None

    @activity.defn(name="outboxes.publish")
    async def publish(self, announcement: Announcement) -> None:
        self.announced += announcement.notes

    @activity.defn(name="resources.tell")
    async def tell(self, note: Note) -> None:
        self.notes.append(note)

    @activity.defn(name="source.changes")
    async def changes(self, request: ChangesRequest) -> Changes:
        if self.changes_failures:
            raise self.changes_failures.pop(0)
        number = int(request.after or "1", 16)
        head = max(self.head, number)
        handled = int(request.handled.commit, 16) if request.handled else 0
        led = max(head, handled) if request.leading else number
        return Changes(
            commit=commit(led),
            head=commit(max(head, led)).id,
            superseded=head > number,
            paths=self.paths,
            known=request.leading and led == handled,
            anew=bool(handled) and led > handled,
        )

    @activity.defn(name="builds.submit")
    async def submit(self, request: BuildRequest) -> SubmittedBuild:
        name = f"argo-{int(request.commit.id, 16)}-{request.number}-{request.attempt}"
        self.submitted.append(name)
        return SubmittedBuild(
            namespace="b", name=name, uid=name, component=request.component.key, image_repository="r"
        )

    @activity.defn(name="builds.older")
    async def older(self, request: BuildRequest) -> Rivals:
        return self.rivals.get(int(request.commit.id, 16), Rivals())

    @activity.defn(name="builds.watch")
    async def watch_build(self, build: SubmittedBuild) -> BuildResult:
        number = int(build.name.split("-")[1])
        gate = self.build_gates.get(number)
        while gate is not None and not gate.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.05)
        scripted = self.builds[number]
        return scripted.pop(0) if scripted else BuildResult(phase="succeeded", image=image(number))

    @activity.defn(name="builds.stop")
    async def stop(self, build: SubmittedBuild) -> None:
        self.stopped.append(build.name)

    @activity.defn(name="cluster.apply")
    async def apply(self, request: RolloutRequest) -> Applied:
        environment = request.target.step.environment
        if self.apply_failures:
            raise self.apply_failures.pop(0)
        self.deploying[environment] += 1
        self.most_at_once = max(self.most_at_once, self.deploying[environment])
        self.applied.append((environment, request.release.name))
        self.running[environment] = request.release
        return Applied(
            namespace=environment, name=request.release.name, uid="d", generation=1,
            image=request.release.image.reference, stability_seconds=0, deadline_seconds=10,
        )  # fmt: skip

    @activity.defn(name="cluster.watch")
    async def watch(self, applied: Applied) -> Verdict:
        try:
            while self.apply_gate is not None and not self.apply_gate.is_set():
                activity.heartbeat()
                await asyncio.sleep(0.05)
            number = int(self.running[applied.namespace].commit.id, 16)
            return self.verdicts.get((applied.namespace, number), HEALTHY)
        finally:
            self.deploying[applied.namespace] -= 1

    @activity.defn(name="cluster.remove")
    async def remove(self, target: Target) -> None:
        self.running.pop(target.step.environment, None)

    @activity.defn(name="soaking.steady")
    async def steady(self, question: SteadinessQuestion) -> Steadiness:
        """`restarts[environment]`: when a pod there was last started again."""
        restarted = self.restarts.get(question.target.step.environment, 0.0)
        return Steadiness(steady=True, since=max(question.since, restarted))

    @activity.defn(name="outside.ask")
    async def ask(self, question: ExternalQuestion) -> ExternalAnswer:
        """The scripted answers one after the other, then yes."""
        self.asked.append(question)
        if self.answers:
            return self.answers.pop(0)
        return ExternalAnswer(name=question.external.name, answer="yes", reason="Allowed", message="ok")

    async def release(self, key: ComponentKey, name: str) -> Release | None:
        """What is kept; read by `activities.standings.Standings`."""
        return next((made for made in self.releases if (made.component, made.name) == (key, name)), None)

    @activity.defn(name="lanes.open_runs")
    async def open_runs(self, _key: ComponentKey) -> OpenRuns:
        return self.open.pop(0) if self.open else OpenRuns()

    async def of(self, _plane: str, _projects: Iterable[str]) -> Limits:
        """The limits as declared; read by `activities.build_queues.BuildQueues`."""
        return self.limits

    @activity.defn(name="queues.look")
    async def look_at_builds(self, question: LookQuestion) -> Look:
        """Nothing has changed but the scripted; what is scripted once is found once."""
        self.queue_asked.append(question)
        found = self.queue_looks.pop(0) if self.queue_looks else Look()
        return found.model_copy(update={"limits": self.limits})

    @activity.defn(name="verification.verify")
    async def verify(self, request: RolloutRequest) -> Verdict:
        number = int(request.release.commit.id, 16)
        return self.verified.get((request.target.step.environment, number), HEALTHY)
