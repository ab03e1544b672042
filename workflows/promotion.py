"""Promotion: the walk of one release through its pipeline, gate by gate, branch by branch."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.lanes import Lanes
    from activities.resources import Resources
    from model.gate import OVERRIDE, Approval, GateState, GateSubject, Recheck
    from model.lane import Answer, LaneRequest, LaneSettled
    from model.markdown import cell
    from model.note import EnvironmentNote, Note
    from model.pipeline import EnvironmentStep, Pipeline, up_to
    from model.promotion import (
        FINAL,
        PromotionRequest,
        PromotionState,
        StepPhase,
        StepState,
        blocked_by,
        sources_passed,
        summary,
    )
    from model.told_event import announcement
    from workflows.attributes import stage
    from workflows.cause import cause_of
    from workflows.effort import perform
    from workflows.gatekeeper import Gatekeeper
    from workflows.teller import Teller
    from workflows.tracing import here

REASON_LIMIT = 250
"""What a component's status takes of a reason; the gate itself says all of it."""


@workflow.defn(name="Promotion")
class Promotion:
    """Carries a release from environment to environment until it has arrived, waits, or may not go on."""

    @workflow.init
    def __init__(self, request: PromotionRequest) -> None:
        self._state = PromotionState(request=request)
        self._teller = Teller()
        self._keepers: dict[str, Gatekeeper] = {}
        self._deployments: dict[str, int] = {}

    @workflow.query
    def state(self) -> PromotionState:
        """Where the release is, and why it waits there."""
        return self._state

    @workflow.signal
    def settled(self, answer: LaneSettled) -> None:
        """A lane's answer; only that to the present request counts."""
        if answer.result == "superseded" and answer.request == self._request_id(answer.environment, "candidate"):
            self._state.superseded_by[answer.environment] = answer.message
        self._state.settled[answer.request] = answer

    @workflow.signal
    def recheck(self, asked: Recheck) -> None:
        """Rules or other lanes may have changed: every gate that is waited at looks again."""
        for keeper in self._keepers.values():
            keeper.recheck(asked)

    @workflow.update
    def approve(self, approval: Approval) -> Answer:
        """A person's word at a gate: yes, no, taken back, or past the windows with a reason."""
        keeper = self._keepers[approval.environment]
        answer = keeper.take(approval)
        if approval.kind == OVERRIDE and answer.reason != "AlreadyAccepted":
            self._tell_override(keeper.step, approval)
        return answer

    @approve.validator
    def _validate_approval(self, approval: Approval) -> None:
        if any(known.id == approval.id for known in self._state.approvals):
            return
        known_step = self._state.steps.get(approval.environment)
        keeper = self._keepers.get(approval.environment)
        if keeper is None or known_step is None or known_step.phase not in ("at-gate", "held"):
            where = known_step.phase if known_step else "unknown here"
            message = f"{self._state.request.release.name} does not wait at {approval.environment} ({where})."
            raise ApplicationError(message, type="NotAtGate", non_retryable=True)
        against = keeper.refusal(approval)
        if against is not None:
            raise ApplicationError(against[1], type=against[0], non_retryable=True)

    @workflow.run
    async def run(self, request: PromotionRequest) -> PromotionState:
        """Read the pipeline, then walk every branch of it side by side."""
        release = request.release
        self._state.component = await perform(Resources.component, release.component)
        if self._state.component is None:
            return await self._gone()
        try:
            pipeline = await perform(Resources.pipeline, self._state.component)
        except ActivityError as error:
            return await self._no_pipeline(error)
        self._state.pipeline = pipeline = up_to(pipeline, request.until)
        for step in pipeline.steps:
            self._state.steps[step.environment] = StepState(environment=step.environment, since=workflow.time())
        stage("promoting")
        try:
            await asyncio.gather(*(self._walk(step) for step in pipeline.steps))
        except asyncio.CancelledError:
            await self._withdraw(pipeline)
            raise
        reason, ended = summary(self._state)
        stage(reason)
        self._show()
        if self._state.component is not None and workflow.patched("announced"):
            told = f"{request.release.name}: {reason}. {ended}"
            self._teller.announce(
                announcement([self._state.component], "PromotionEnded", told, workflow.info().workflow_id)
            )
        await self._teller.finish()
        return self._state

    async def _withdraw(self, pipeline: Pipeline) -> None:
        """The walk was cancelled: nobody waits at a gate any more, and people are told so."""
        for step in pipeline.steps:
            if self._state.steps[step.environment].phase not in FINAL:
                await self._ask_lane(step, "withdraw")
                self._enter(step, "skipped", "Cancelled", "Somebody cancelled this promotion.")
        await self._teller.finish()

    async def _walk(self, step: EnvironmentStep) -> None:
        """One environment: after its sources, through its gate, into its lane."""
        await workflow.wait_condition(
            lambda: (
                sources_passed(step.sources, self._state.steps)
                or blocked_by(step.sources, self._state.steps) != ""
            )
        )
        if blocker := blocked_by(step.sources, self._state.steps):
            phase = self._state.steps[blocker].phase
            self._enter(step, "skipped", "SourceNotPassed", f"{blocker}: {phase}.")
            return
        keeper = self._keeper(step)
        if step.sources and workflow.patched("gate-arrival"):
            # It may be days since the pipeline was read, and there may be a freeze by now.
            await keeper.reread()
        candidate = ""
        # Rules, and people's minds, may change while the lane is held: who was past the gate comes there again.
        while await self._through_gate(keeper, candidate):
            candidate = await self._deploy(keeper.step)
            if not candidate:
                return
            keeper.shut()

    async def _through_gate(self, keeper: Gatekeeper, candidate: str) -> bool:
        """Wait until the gate opens; False when the answer is no, too late, or no longer asked.

        `candidate` is the request that stands for it at the lane; empty before it has any.
        """
        gate = await keeper.look()
        step = keeper.step
        self._adopt(keeper)
        if gate.open and self._turned_away(candidate) is None:
            return True
        self._enter(step, "at-gate", gate.reason, gate.message)
        if not candidate:
            candidate = await self._ask_lane(step, "candidate")
        gate = await keeper.wait(leave=lambda: self._turned_away(candidate) is not None)
        self._adopt(keeper)
        if gate.open:
            return True
        asked = self._turned_away(candidate)
        if asked is not None:
            phase: StepPhase = "superseded" if asked.result == "superseded" else "rejected"
            self._enter(step, phase, asked.reason, asked.message)
            return False
        phases: dict[str, StepPhase] = {"GateExpired": "expired", "EnvironmentGone": "skipped"}
        return await self._leave_gate(step, phases.get(gate.reason, "rejected"), gate.reason, gate.message)

    def _turned_away(self, candidate: str) -> LaneSettled | None:
        """The lane's answer that a newer release came, or that this one may not go in at all."""
        asked = self._state.settled.get(candidate)
        return asked if asked is not None and asked.result in ("superseded", "refused") else None

    def _keeper(self, step: EnvironmentStep) -> Gatekeeper:
        """The gate of a step; from here on people can speak to it."""
        assert self._state.component is not None  # noqa: S101  (steps exist only once it is read)
        assert self._state.pipeline is not None  # noqa: S101
        keeper = Gatekeeper(
            GateSubject.of(self._state.request.release),
            (self._state.component,),
            self._state.pipeline,
            step.environment,
            lambda gate: self._waits(step, gate),
            self._state.approvals,
        )
        self._keepers[step.environment] = keeper
        return keeper

    def _waits(self, step: EnvironmentStep, gate: GateState) -> None:
        self._enter(step, "at-gate", gate.reason, gate.message)

    def _adopt(self, keeper: Gatekeeper) -> None:
        """Go on by the rules under which the gate opened, for this step alone."""
        pipeline = self._state.pipeline
        assert pipeline is not None  # noqa: S101
        steps = tuple(
            keeper.step if step.environment == keeper.step.environment else step for step in pipeline.steps
        )
        self._state.pipeline = pipeline.model_copy(update={"steps": steps})

    async def _leave_gate(self, step: EnvironmentStep, phase: StepPhase, reason: str, message: str) -> bool:
        await self._ask_lane(step, "withdraw")
        self._enter(step, phase, reason, message)
        return False

    async def _deploy(self, step: EnvironmentStep) -> str:
        """Ask the lane, and stay until it has settled. A held lane is not an answer yet, nor is what nobody can
        tell: then it waits for a person.

        Returns:
            The request that stands before the gate again, since the lane was held; empty when it has ended.
        """
        request = await self._ask_lane(step, "deploy")
        gate = self._state.steps[step.environment].gate
        if gate is None:
            self._enter(step, "deploying", "Deploying", "The lane has it.")
        else:
            self._enter(step, "deploying", "GateOpened", self._keepers[step.environment].state().message)
        while True:
            await workflow.wait_condition(lambda: request in self._state.settled)
            answer = self._state.settled.pop(request)
            if answer.result == "handed-back":
                return request
            if answer.result in ("held", "inconclusive"):
                self._enter(step, "held", answer.reason, answer.message, answer.revision)
                self._keepers[step.environment].passed = answer.result == "inconclusive"
                continue
            break
        phases: dict[str, StepPhase] = {
            "healthy": "healthy",
            "rolled-back": "rolled-back",
            "superseded": "superseded",
            "cancelled": "superseded",
            "refused": "rejected",
        }
        phase = phases.get(answer.result, "failed")
        self._enter(step, phase, answer.reason, answer.message, answer.revision)
        return ""

    async def _ask_lane(self, step: EnvironmentStep, kind: str) -> str:
        """Send a request to the lane; its id."""
        identity = self._request_id(step.environment, kind)
        if kind == "deploy":
            times = self._deployments[step.environment] = self._deployments.get(step.environment, 0) + 1
            identity += f"-{times}" if times > 1 else ""
        request = LaneRequest.model_validate(
            {
                "id": identity,
                "kind": kind,
                "component": self._state.component,
                "step": step,
                "release": self._state.request.release,
                "actor": self._state.request.actor,
                "promotion": workflow.info().workflow_id,
                "pinned": self._state.request.pinned,
                "allow_older": self._state.request.allow_older,
                "hand_back": kind == "deploy",
                "traceparent": here(),
            }
        )
        await perform(Lanes.request, request, summary=f"{kind} {step.environment}")
        return identity

    def _request_id(self, environment: str, kind: str) -> str:
        return f"{workflow.info().run_id}/{environment}/{kind}"

    def _enter(
        self, step: EnvironmentStep, phase: StepPhase, reason: str, message: str, revision: int = 0
    ) -> None:
        """Move a step on, and tell people when that is news to them."""
        before = self._state.steps[step.environment]
        gate = self._keepers[step.environment].state() if phase == "at-gate" else None
        after = StepState(
            environment=step.environment,
            phase=phase,
            reason=reason,
            message=message,
            revision=revision or before.revision,
            since=before.since if before.phase == phase else workflow.time(),
            gate=gate,
        )
        self._state.steps[step.environment] = after
        self._show()
        waited = before.phase in ("at-gate", "held")
        told_by_lane = phase in ("deploying", "healthy", "rolled-back") and not waited
        if (before.phase, before.message) == (phase, message) or told_by_lane:
            return
        self._tell(step, after)

    def _tell(self, step: EnvironmentStep, entered: StepState) -> None:
        """The lane tells about deployments itself; what happens before it is told here."""
        if self._state.component is None:
            return
        release = self._state.request.release
        warning = entered.phase in ("failed", "rejected", "expired")
        waiting = entered.phase in ("at-gate", "held")
        note = Note(
            component=self._state.component,
            type="Warning" if warning else "Normal",
            reason=entered.reason,
            message=f"{release.name} -> {step.environment}: {entered.message}",
            stage=f"{step.environment}: {entered.phase}",
            workflow=workflow.info().workflow_id,
            waiting=EnvironmentNote(
                name=step.environment,
                waiting_release=release.name if waiting else "",
                waiting_promotion=workflow.info().workflow_id if waiting else "",
                waiting_reason=entered.message[:REASON_LIMIT] if waiting else "",
            ),
        )
        self._teller.tell(note)

    def _tell_override(self, step: EnvironmentStep, given: Approval) -> None:
        """Kept in the promotion's state, told as an Event, and logged."""
        message = f"{given.actor.name} went past windows and freezes: {given.reason}"
        workflow.logger.warning("%s of %s: %s", step.environment, self._state.request.release.name, message)
        told = self._state.steps[step.environment].model_copy(update={"reason": "Overridden", "message": message})
        self._tell(step, told)

    async def _gone(self) -> PromotionState:
        stage("ComponentGone")
        workflow.set_current_details("**ComponentGone** The component does not exist any more.")
        return self._state

    async def _no_pipeline(self, error: ActivityError) -> PromotionState:
        cause = cause_of(error)
        assert self._state.component is not None  # noqa: S101
        note = Note(
            component=self._state.component,
            type="Warning",
            reason=cause.reason,
            message=cause.message,
            stage="pipeline: invalid",
            workflow=workflow.info().workflow_id,
            ready=False,
        )
        self._teller.tell(note)
        await self._teller.finish()
        stage(cause.reason)
        workflow.set_current_details(f"**{cause.reason}** {cause.message}")
        return self._state

    def _show(self) -> None:
        release = self._state.request.release
        lines = [
            f"**{release.name}** `{release.digest[:19]}`",
            "",
            f"commit `{release.commit.id[:12]}` {release.commit.author}",
            "",
            "| environment | stage | why |",
            "| --- | --- | --- |",
        ]
        for step in self._state.steps.values():
            why = f"{step.reason}: {step.message}" if step.reason else step.message
            lines.append(f"| {step.environment} | {step.phase} | {cell(why)} |")
        waits = [step for step in self._state.steps.values() if step.phase not in FINAL and step.gate]
        for step in waits:
            lines += ["", f"`towpath approve {release.component} -e {step.environment}` opens {step.environment}."]
        workflow.set_current_details("\n".join(lines))
