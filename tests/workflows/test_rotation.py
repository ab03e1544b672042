"""A webhook's secret is replaced in an order in which nobody is ever shut out; in skipped time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from temporalio import activity
from temporalio.testing import WorkflowEnvironment

from model import ids
from model.actor import Actor
from model.failure import InfrastructureFailure, UserFailure
from model.registration import Registered, RegistrationRequest, Rotated, RotationRequest, RotationStep
from tests.workflows.conftest import Serve
from tests.workflows.world import World
from workflows.registration import Registration
from workflows.rotation import SPREADING_SECONDS, Rotation

ADA = Actor(kind="person", name="Ada", roles=("developer",))
ROTATION = RotationRequest(
    namespace="default", name="app", address="https://towpath.example", actor=ADA, grace_seconds=3600
)


@dataclass
class Hosted(World):
    """A world whose provider takes a secret after so many failures, or never."""

    failures: list[Exception] = field(default_factory=list)
    steps: list[tuple[str, float]] = field(default_factory=list)
    until: float = 0

    def all(self) -> list[Callable[..., Any]]:
        return [*super().all(), self.prepare, self.install, self.promote, self.retire, self.register]

    def _did(self, step: str) -> None:
        scheduled = activity.info().scheduled_time
        self.steps.append((step, scheduled.timestamp()))

    @activity.defn(name="webhooks.prepare")
    async def prepare(self, _request: RotationRequest) -> None:
        self._did("prepare")

    @activity.defn(name="webhooks.install")
    async def install(self, _request: RotationRequest) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self._did("install")

    @activity.defn(name="webhooks.promote")
    async def promote(self, step: RotationStep) -> None:
        self._did("promote")
        self.until = step.until

    @activity.defn(name="webhooks.retire")
    async def retire(self, _request: RotationRequest) -> None:
        self._did("retire")

    @activity.defn(name="webhooks.register")
    async def register(self, _request: RegistrationRequest) -> Registered:
        if self.failures:
            raise self.failures.pop(0)
        return Registered(namespace="default", name="app", hook="7", message="Made.")


async def rotated(environment: WorkflowEnvironment) -> Rotated:
    workflow = ids.rotation("default", "app", "one")
    return await environment.client.execute_workflow(
        Rotation.run, ROTATION, id=workflow, task_queue=ids.CONTROL_QUEUE
    )


async def test_the_fresh_secret_counts_everywhere_before_it_is_used_and_the_old_one_after(serve: Serve) -> None:
    world = Hosted()
    async with serve(world) as environment:
        assert (await rotated(environment)).phase == "done"
    assert [step for step, _ in world.steps] == ["prepare", "install", "promote", "retire"]
    at = dict(world.steps)
    assert at["install"] - at["prepare"] >= SPREADING_SECONDS
    assert world.until >= at["install"] + ROTATION.grace_seconds
    assert at["retire"] >= world.until


async def test_a_provider_that_is_away_is_waited_for(serve: Serve) -> None:
    world = Hosted(failures=[InfrastructureFailure("ProviderUnavailable", "It is away.") for _ in range(5)])
    async with serve(world) as environment:
        assert (await rotated(environment)).phase == "done"


async def test_a_provider_that_refuses_leaves_both_secrets_counting(serve: Serve) -> None:
    world = Hosted(failures=[UserFailure("TokenRefused", "The token has ended.")])
    async with serve(world) as environment:
        found = await rotated(environment)
    assert found.phase == "failed"
    assert "TokenRefused" in found.message
    assert [step for step, _ in world.steps] == ["prepare"]


async def test_what_keeps_a_webhook_from_being_made_is_the_answer(serve: Serve) -> None:
    world = Hosted(failures=[UserFailure("NoWebhookSecret", "Name a Secret.")])
    asked = RegistrationRequest(
        namespace="default", name="app", action="register", address="https://towpath.example", actor=ADA
    )
    async with serve(world) as environment:
        refused, made = [
            await environment.client.execute_workflow(
                Registration.run, asked, id=ids.registration("default", "app"), task_queue=ids.CONTROL_QUEUE
            )
            for _ in range(2)
        ]
    assert [fault.reason for fault in refused.faults] == ["NoWebhookSecret"]
    assert (made.hook, made.faults) == ("7", ())
