"""ReleaseSet: releases of several components, in order, environment by environment; all of them or none."""

import asyncio
from collections.abc import Callable

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.lanes import Lanes
    from activities.resources import Resources
    from model.actor import AUTOMATION
    from model.failure import UserFailure
    from model.gate import Approval, GateState, Recheck
    from model.lane import Answer, LaneRequest, LaneSettled
    from model.ordering import as_told, by_dependencies
    from model.pipeline import EnvironmentStep, up_to
    from model.release_set import (
        NOT_BACK,
        ORDERS_KEPT,
        TO_RESTORE,
        WAITING,
        EnvironmentPhase,
        EnvironmentState,
        MemberPhase,
        MemberState,
        ReleaseSetRequest,
        ReleaseSetState,
        SetOrder,
        Taken,
        deployed,
        may_begin,
        not_back,
        pipeline_of,
        stops,
        why_broken,
    )
    from model.release_set_story import details, note
    from workflows.attributes import stage
    from workflows.cause import cause_of
    from workflows.compensation import Compensation
    from workflows.effort import perform
    from workflows.setgate import SetGate
    from workflows.teller import Teller
    from workflows.tracing import here


@workflow.defn(name="ReleaseSet")
class ReleaseSet:
    """Carries a set through its pipeline; when one of it fails, all that it changed there goes back."""

    @workflow.init
    def __init__(self, request: ReleaseSetRequest) -> None:
        self._state = ReleaseSetState(request=request)
        self._teller = Teller()
        self._gate: SetGate | None = None

    @workflow.query
    def state(self) -> ReleaseSetState:
        """Where each component of the set is, and why it waits there."""
        return self._state

    @workflow.signal
    def settled(self, answer: LaneSettled) -> None:
        """A lane's answer."""
        self._state.settled[answer.request] = answer

    @workflow.signal
    def recheck(self, _what: Recheck) -> None:
        """The rules, or what they look at, have changed."""
        if self._gate is not None:
            self._gate.recheck()

    @workflow.update
    def approve(self, approval: Approval) -> Answer:
        """A person's word at the gate before which the set waits; it is for every member."""
        if self._gate is None:
            return Answer(accepted=True, reason="AlreadyAccepted", message="This was accepted before.")
        return self._gate.take(approval)

    @approve.validator
    def _validate_approval(self, approval: Approval) -> None:
        if any(known.id == approval.id for known in self._state.approvals):
            return
        if self._gate is None or self._gate.environment != approval.environment:
            message = f"Set {self._state.request.name} does not wait at {approval.environment}."
            raise ApplicationError(message, type="NotAtGate", non_retryable=True)
        against = self._gate.refusal(approval)
        if against is not None:
            raise ApplicationError(against[1], type=against[0], non_retryable=True)

    @workflow.update
    def order(self, order: SetOrder) -> Answer:
        """A person's word to the set."""
        if order.id in self._state.orders:
            return Answer(accepted=True, reason="AlreadyAccepted", message="This was accepted before.")
        self._state.orders = [*self._state.orders, order.id][-ORDERS_KEPT:]
        self._state.cancelled = order
        return Answer(
            accepted=True,
            reason="Cancelling",
            message="What the set has changed in the environment under way goes back.",
            workflow=workflow.info().workflow_id,
        )

    @order.validator
    def _validate_order(self, order: SetOrder) -> None:
        if order.id in self._state.orders:
            return
        if self._state.outcome or self._state.cancelled is not None:
            why = self._state.outcome or "it is being cancelled already"
            raise ApplicationError(
                f"Set {self._state.request.name} cannot be cancelled: {why}.",
                type="AlreadyEnded",
                non_retryable=True,
            )

    @workflow.run
    async def run(self, _request: ReleaseSetRequest) -> ReleaseSetState:
        """Walk the environments. Also when the workflow itself is cancelled, what was begun goes back first."""
        walk = asyncio.create_task(self._walk())
        try:
            await asyncio.shield(walk)
        except asyncio.CancelledError:
            order = SetOrder(id="cancelled-in-temporal", actor=AUTOMATION, reason="cancelled in Temporal")
            self._state.cancelled = self._state.cancelled or order
            await walk
        await self._teller.finish()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._state

    async def _walk(self) -> None:
        if not await self._prepare():
            return
        stage("promoting")
        for environment in list(self._state.environments):
            try:
                went_in = await self._enter_environment(environment)
            except ActivityError as error:
                # Only what is read and asked for before a lane moves ends here; lanes answer by signals.
                cause = cause_of(error)
                went_in = await self._give_up(environment, cause.reason, cause.message)
            if not went_in:
                self._skip_rest()
                return
        self._end("Arrived", f"Healthy in every environment up to {self._state.request.until}.")

    async def _prepare(self) -> bool:
        """Read the components and their pipelines, and find the order; what cannot be is said before it begins."""
        request = self._state.request
        try:
            for release in request.releases:
                component = await perform(Resources.component, release.component)
                if component is None:
                    raise UserFailure("ComponentGone", f"{release.component} does not exist (any more).")
                pipeline = await perform(Resources.pipeline, component)
                self._state.components[component.key.name] = component
                self._state.pipelines[component.key.name] = up_to(pipeline, request.until)
            reason, message = pipeline_of(self._state.pipelines)
            if reason:
                raise UserFailure(reason, message)
            names = [release.component.name for release in request.releases]
            self._state.after = (
                as_told(names, request.order) if request.order else by_dependencies(request.releases)
            )
        except UserFailure as failure:
            self._end(failure.reason, failure.message)
            return False
        except ActivityError as error:
            cause = cause_of(error)
            self._end(cause.reason, cause.message)
            return False
        for step in next(iter(self._state.pipelines.values())).steps:
            self._state.environments[step.environment] = EnvironmentState(
                environment=step.environment,
                since=workflow.time(),
                members={
                    release.component.name: MemberState(component=release.component.name, release=release.name)
                    for release in request.releases
                },
            )
        return True

    async def _enter_environment(self, environment: str) -> bool:
        """One environment: through its gate, in order into the lanes, and back out of them when one fails."""
        if not await self._through_gate(environment):
            return False
        self._enter(environment, "deploying", "Deploying", "In order of their dependencies.")
        await asyncio.gather(*(self._deploy(environment, name) for name in self._state.components))
        at = self._state.environments[environment]
        if not stops(at) and self._state.cancelled is None:
            self._enter(environment, "healthy", "Healthy", "Every component of the set is healthy.")
            return True
        await self._take_back(environment)
        return False

    async def _through_gate(self, environment: str) -> bool:
        if self._cancelled():
            self._end_cancelled()
            return False
        gate = SetGate(self._state, environment, lambda state: self._at_gate(environment, state))
        if not gate.stands:
            return True
        self._gate = gate
        self._at_gate(environment, gate.state())
        passed = await gate.wait(self._cancelled)
        self._gate = None
        if passed.open and not self._cancelled():
            await asyncio.gather(*(self._reread(name) for name in self._state.components))
            return True
        if self._cancelled():
            self._enter(environment, "cancelled", "Cancelled", self._cancelled_by())
            self._end_cancelled()
            return False
        phase: EnvironmentPhase = "expired" if passed.reason == "GateExpired" else "rejected"
        self._enter(environment, phase, passed.reason, passed.message)
        self._tell_all(environment, "Warning", passed.reason, passed.message)
        self._end(passed.reason, f"{environment}: {passed.message}")
        return False

    async def _reread(self, name: str) -> None:
        """The gate may have stood for days: it goes in by the rules of now."""
        pipeline = await perform(Resources.pipeline, self._state.components[name])
        self._state.pipelines[name] = up_to(pipeline, self._state.request.until)

    async def _deploy(self, environment: str, name: str) -> None:
        """One component, once those that it calls are there; left where it stands when another one fails."""
        at, after = self._at(environment), self._state.after
        await workflow.wait_condition(lambda: may_begin(name, after, at()) or stops(at()) or self._cancelled())
        if stops(at()) or self._cancelled():
            return
        taken = self._taken(environment, name)
        self._enter_member(environment, name, "deploying", "Deploying", "The lane has it.", taken.request)
        try:
            await perform(Lanes.request, self._lane_request(taken), summary=f"deploy {name} in {environment}")
        except ActivityError as error:
            cause = cause_of(error)
            self._enter_member(environment, name, "failed", cause.reason, cause.message)
            return
        while True:
            await workflow.wait_condition(
                lambda: taken.request in self._state.settled or stops(at()) or self._cancelled()
            )
            answer = self._state.settled.pop(taken.request, None)
            if answer is None:
                return
            phase = deployed(answer)
            self._enter_member(environment, name, phase, answer.reason, answer.message, "", answer.revision)
            if phase not in WAITING:
                return

    async def _give_up(self, environment: str, reason: str, message: str) -> bool:
        self._enter(environment, "failed", reason, message)
        self._tell_all(environment, "Warning", reason, message)
        self._end(reason, f"{environment}: {message}")
        return False

    async def _take_back(self, environment: str) -> None:
        """The saga's other half. Every step of it is in the history: another worker goes on where one died."""
        at, request = self._at(environment), self._state.request
        why = self._cancelled_by() if self._state.cancelled is not None and not stops(at()) else why_broken(at())
        stage("rolling-back")
        self._enter(environment, "restoring", "TakingBack", why)
        self._tell_all(environment, "Warning", "SetTakingBack", f"{why} What the set changed goes back.")
        for member in at().members.values():
            if member.phase == "pending":
                self._enter_member(environment, member.component, "skipped", "NotBegun", "It was not begun.")
        actor = self._state.cancelled.actor if self._state.cancelled is not None else AUTOMATION
        taken = {
            name: self._taken(environment, name)
            for name, member in at().members.items()
            if member.phase in TO_RESTORE and member.request
        }
        compensation = Compensation(
            taken,
            self._state.after,
            self._state.settled,
            lambda name, member: self._put(environment, name, member),
        )
        await compensation.run(at().members, workflow.info().workflow_id, actor, f"set {request.name}: {why}")
        left = not_back(at().members)
        if left:
            self._enter(environment, "failed", "NotTakenBack", f"{why} Not taken back: {left}")
            self._tell_all(environment, "Warning", "SetNotTakenBack", f"Not taken back: {left}", NOT_BACK)
            self._end("NotTakenBack", f"{environment}: {why} Not taken back: {left}")
            return
        self._enter(environment, "rolled-back", "TakenBack", why)
        self._tell_all(environment, "Normal", "SetTakenBack", "What the set changed was taken back.")
        if self._state.cancelled is not None and not any(m.phase == "failed" for m in at().members.values()):
            self._end_cancelled()
        else:
            self._end("RolledBack", f"{environment}: {why}")

    def _cancelled(self) -> bool:
        return self._state.cancelled is not None

    def _cancelled_by(self) -> str:
        order = self._state.cancelled
        assert order is not None  # noqa: S101  (asked only then)
        return f"Cancelled by {order.actor.name}" + (f": {order.reason}." if order.reason else ".")

    def _end_cancelled(self) -> None:
        self._end("Cancelled", self._cancelled_by())

    def _end(self, outcome: str, message: str) -> None:
        self._state.outcome, self._state.message = outcome, message
        stage(outcome)
        self._show()

    def _skip_rest(self) -> None:
        for environment, state in self._state.environments.items():
            if state.phase == "pending":
                self._enter(environment, "skipped", "NotReached", "The set did not come so far.")

    def _at(self, environment: str) -> Callable[[], EnvironmentState]:
        return lambda: self._state.environments[environment]

    def _step(self, environment: str, name: str) -> EnvironmentStep:
        return self._state.pipelines[name].step(environment)

    def _taken(self, environment: str, name: str) -> Taken:
        return Taken(
            component=self._state.components[name],
            step=self._step(environment, name),
            release=next(each for each in self._state.request.releases if each.component.name == name),
            request=f"{workflow.info().run_id}/{environment}/{name}/deploy",
        )

    def _lane_request(self, taken: Taken) -> LaneRequest:
        request = self._state.request
        return LaneRequest(
            id=taken.request,
            kind="deploy",
            component=taken.component,
            step=taken.step,
            release=taken.release,
            actor=request.actor,
            promotion=workflow.info().workflow_id,
            reason=f"set {request.name}" + (f": {request.reason}" if request.reason else ""),
            # A newer release that comes meanwhile waits: the set goes in whole, or not at all.
            pinned=True,
            allow_older=request.allow_older,
            set=workflow.info().workflow_id,
            traceparent=here(),
        )

    def _at_gate(self, environment: str, gate: GateState) -> None:
        before = self._state.environments[environment]
        self._enter(environment, "at-gate", gate.reason, gate.message, gate)
        if before.message != gate.message:
            self._tell_all(environment, "Normal", gate.reason, gate.message)

    def _enter(
        self, environment: str, phase: EnvironmentPhase, reason: str, message: str, gate: GateState | None = None
    ) -> None:
        before = self._state.environments[environment]
        self._state.environments[environment] = before.model_copy(
            update={
                "phase": phase,
                "reason": reason,
                "message": message,
                "gate": gate,
                "since": before.since if before.phase == phase else workflow.time(),
            }
        )
        self._show()

    def _enter_member(
        self,
        environment: str,
        name: str,
        phase: MemberPhase,
        reason: str,
        message: str,
        request: str = "",
        revision: int = 0,
    ) -> None:
        before = self._state.environments[environment].members[name]
        entered = before.model_copy(
            update={
                "phase": phase,
                "reason": reason,
                "message": message,
                "request": request or before.request,
                "revision": revision or before.revision,
                "since": workflow.time(),
            }
        )
        self._put(environment, name, entered)

    def _put(self, environment: str, name: str, member: MemberState) -> None:
        before = self._state.environments[environment]
        members = {**before.members, name: member}
        self._state.environments[environment] = before.model_copy(update={"members": members})
        self._show()

    def _tell_all(
        self, environment: str, kind: str, reason: str, message: str, phases: frozenset[MemberPhase] | None = None
    ) -> None:
        """The lanes tell of their deployments themselves; this is what the set says to its components."""
        for name, component in self._state.components.items():
            member = self._state.environments[environment].members[name]
            if phases is None or member.phase in phases:
                told = f"set {self._state.request.name} -> {environment}: {message}"
                self._teller.tell(note(component, kind, reason, told, workflow.info().workflow_id))

    def _show(self) -> None:
        workflow.set_current_details(details(self._state))
