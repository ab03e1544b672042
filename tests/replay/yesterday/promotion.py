"""Promotion as it was before gates had more rules than approvals: a worker of yesterday runs it in tests.

Not to be changed: what it has begun, today's must be able to finish.
"""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.lanes import Lanes
    from activities.resources import Resources
    from model.gate import Approval, GateState, GateSubject, approval_state, next_lapse, refusal
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
    from workflows.attributes import stage
    from workflows.cause import cause_of
    from workflows.effort import perform
    from workflows.teller import Teller
    from workflows.tracing import here

APPROVALS_KEPT = 200


@workflow.defn(name="Promotion")
class Promotion:
    """Carries a release from environment to environment until it has arrived, waits, or may not go on."""

    @workflow.init
    def __init__(self, request: PromotionRequest) -> None:
        self._state = PromotionState(request=request)
        self._teller = Teller()

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

    @workflow.update
    def approve(self, approval: Approval) -> Answer:
        """A person's yes or no at a gate."""
        if any(known.id == approval.id for known in self._state.approvals):
            return Answer(accepted=True, reason="AlreadyAccepted", message="This was accepted before.")
        self._state.approvals.append(approval.model_copy(update={"at": workflow.time()}))
        gate = self._gate_state(self._step(approval.environment))
        reason = "Approved" if approval.approve else "Rejected"
        return Answer(accepted=True, reason=reason, message=gate.message, workflow=workflow.info().workflow_id)

    @approve.validator
    def _validate_approval(self, approval: Approval) -> None:
        if any(known.id == approval.id for known in self._state.approvals):
            return
        known_step = self._state.steps.get(approval.environment)
        if known_step is None or known_step.phase != "at-gate":
            where = known_step.phase if known_step else "unknown here"
            message = f"{self._state.request.release.name} does not wait at {approval.environment} ({where})."
            raise ApplicationError(message, type="NotAtGate", non_retryable=True)
        policy = self._step(approval.environment).policy
        against = refusal(approval, GateSubject.of(self._state.request.release), policy)
        if against is None and len(self._state.approvals) >= APPROVALS_KEPT:
            against = ("TooManyApprovals", f"A gate takes {APPROVALS_KEPT} answers at most.")
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
        reason, _ = summary(self._state)
        stage(reason)
        self._show()
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
        if step.policy.approvals and not await self._through_gate(step):
            return
        await self._deploy(step)

    async def _through_gate(self, step: EnvironmentStep) -> bool:
        """Wait until enough people say yes; False when the answer is no, too late, or no longer asked."""
        environment = step.environment
        opened = workflow.time()
        self._enter(step, "at-gate", "AwaitingApproval", self._gate_state(step).message)
        await self._ask_lane(step, "candidate")
        while True:
            gate = self._gate_state(step)
            asked = self._state.settled.get(self._request_id(environment, "candidate"))
            if asked is not None and asked.result in ("superseded", "refused"):
                phase: StepPhase = "superseded" if asked.result == "superseded" else "rejected"
                self._enter(step, phase, asked.reason, asked.message)
                return False
            if gate.reason == "Rejected":
                return await self._leave_gate(step, "rejected", "Rejected", gate.message)
            if gate.open:
                return True
            left = opened + step.policy.gate_lasts_seconds - workflow.time()
            if left <= 0:
                return await self._leave_gate(step, "expired", "GateExpired", "Nobody approved it in time.")
            self._enter(step, "at-gate", gate.reason, gate.message)
            await self._wait_at_gate(environment, left)

    async def _wait_at_gate(self, environment: str, left: float) -> None:
        lapse = next_lapse(tuple(self._state.approvals), self._step(environment).policy, workflow.time())
        seen = (len(self._state.approvals), len(self._state.settled))
        try:
            await workflow.wait_condition(
                lambda: (len(self._state.approvals), len(self._state.settled)) != seen,
                timeout=timedelta(seconds=min(left, lapse if lapse is not None else left)),
                timeout_summary=f"gate of {environment}",
            )
        except TimeoutError:
            return

    async def _leave_gate(self, step: EnvironmentStep, phase: StepPhase, reason: str, message: str) -> bool:
        await self._ask_lane(step, "withdraw")
        self._enter(step, phase, reason, message)
        return False

    async def _deploy(self, step: EnvironmentStep) -> None:
        """Ask the lane, and stay until it has settled. A held lane is not an answer yet."""
        request = self._request_id(step.environment, "deploy")
        await self._ask_lane(step, "deploy")
        if self._state.steps[step.environment].phase != "held":
            gate = self._state.steps[step.environment].gate
            if gate is None:
                self._enter(step, "deploying", "Deploying", "The lane has it.")
            else:
                self._enter(step, "deploying", "GateOpened", self._gate_state(step).message)
        while True:
            await workflow.wait_condition(lambda: request in self._state.settled)
            answer = self._state.settled.pop(request)
            if answer.result == "held":
                self._enter(step, "held", answer.reason, answer.message)
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

    async def _ask_lane(self, step: EnvironmentStep, kind: str) -> None:
        request = LaneRequest.model_validate(
            {
                "id": self._request_id(step.environment, kind),
                "kind": kind,
                "component": self._state.component,
                "step": step,
                "release": self._state.request.release,
                "actor": self._state.request.actor,
                "promotion": workflow.info().workflow_id,
                "traceparent": here(),
            }
        )
        await perform(Lanes.request, request, summary=f"{kind} {step.environment}")

    def _request_id(self, environment: str, kind: str) -> str:
        return f"{workflow.info().run_id}/{environment}/{kind}"

    def _step(self, environment: str) -> EnvironmentStep:
        assert self._state.pipeline is not None
        return self._state.pipeline.step(environment)

    def _gate_state(self, step: EnvironmentStep) -> GateState:
        return approval_state(step.environment, tuple(self._state.approvals), step.policy, workflow.time())

    def _enter(
        self, step: EnvironmentStep, phase: StepPhase, reason: str, message: str, revision: int = 0
    ) -> None:
        """Move a step on, and tell people when that is news to them."""
        before = self._state.steps[step.environment]
        gate = self._gate_state(step) if phase == "at-gate" else None
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
                waiting_reason=entered.message if waiting else "",
            ),
        )
        self._teller.tell(note)

    async def _gone(self) -> PromotionState:
        stage("ComponentGone")
        workflow.set_current_details("**ComponentGone** The component does not exist any more.")
        return self._state

    async def _no_pipeline(self, error: ActivityError) -> PromotionState:
        cause = cause_of(error)
        assert self._state.component is not None
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
