"""Lane: the entity that owns one component in one environment, for as long as there is one."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ApplicationError, ChildWorkflowError, is_cancelled_exception
from temporalio.workflow import ChildWorkflowHandle, ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.cluster import Cluster
    from activities.resources import Binding
    from model import ids, names
    from model.lane import Answer, LaneRequest, LaneSettled, LaneState, Order, Revision
    from model.lane_rules import (
        Notices,
        begin,
        cancel_all,
        finish,
        hold_message,
        next_up,
        refuse_order,
        take_order,
        take_request,
    )
    from model.lane_story import environment_note, note_reason, picture
    from model.note import Note
    from model.rollout import RolloutRequest, RolloutResult, Target
    from model.verdict import Verdict
    from workflows import metrics
    from workflows.attributes import attributes, stage
    from workflows.cause import cause_of
    from workflows.effort import perform
    from workflows.rollout import Rollout
    from workflows.teller import Teller
    from workflows.tracing import here, joined


@workflow.defn(name="Lane")
class Lane:
    """Serialises deployments, keeps history, last good and holds."""

    @workflow.init
    def __init__(self, state: LaneState) -> None:
        self._state = state
        self._teller = Teller()
        self._rollout: ChildWorkflowHandle[Rollout, RolloutResult] | None = None
        self._pending: Notices = []
        self._retiring = False

    @workflow.query
    def state(self) -> LaneState:
        """All that the lane knows: what runs, what is good, what waits, history."""
        return self._state

    @workflow.signal
    def request(self, request: LaneRequest) -> None:
        """A promotion wants something; answers go back to it."""
        self._pending.extend(take_request(self._state, request))

    @workflow.signal
    def retire(self) -> None:
        """The component is gone: take down what runs, and end."""
        self._retiring = True
        if self._rollout is not None:
            self._rollout.cancel()

    @workflow.update
    def order(self, order: Order) -> Answer:
        """A person wants something. A rollback or deployment goes before whatever is under way."""
        traced = order.model_copy(update={"traceparent": here()})
        answer = take_order(self._state, traced, workflow.time())
        self._tell_order(order, answer)
        if order.kind in ("rollback", "deploy") and self._rollout is not None and self._state.orders:
            self._rollout.cancel()
        return answer

    @order.validator
    def _validate_order(self, order: Order) -> None:
        if self._state.component is None:
            raise ApplicationError("Nothing was ever deployed here.", type="LaneEmpty", non_retryable=True)
        against = refuse_order(self._state, order)
        if against is not None:
            raise ApplicationError(against.message, type=against.reason, non_retryable=True)

    @workflow.run
    async def run(self, _state: LaneState) -> None:
        """Serve for ever, in runs of bounded length."""
        self._show()
        while True:
            await workflow.wait_condition(lambda: self._retiring or self._has_work() or self._should_continue())
            await self._send_notices()
            if self._retiring:
                await self._take_down()
                return
            work = next_up(self._state)
            if work is not None:
                with joined(work.traceparent):
                    await self._deploy(work)
            elif self._should_continue():
                await self._teller.finish()
                await workflow.wait_condition(workflow.all_handlers_finished)
                if not self._has_work():
                    workflow.continue_as_new(self._state)
            self._show()

    def _has_work(self) -> bool:
        return bool(self._pending) or next_up(self._state) is not None

    def _should_continue(self) -> bool:
        return workflow.info().is_continue_as_new_suggested()

    async def _deploy(self, work: Order | LaneRequest) -> None:
        """One deployment, from its revision's first line to its last."""
        target = self._target()
        last_good = self._state.last_good
        revision = begin(self._state, work, workflow.time())
        self._show()
        result = await self._roll_out(
            RolloutRequest(
                target=target,
                release=revision.release,
                revision=revision.number,
                # By time, not by revision: a lane that starts afresh must still outrank what it once wrote.
                fence=int(workflow.time() * 1000),
                last_good=last_good if revision.kind == "deploy" else None,
            )
        )
        closed = finish(self._state, revision, result, workflow.time())
        self._tell_revision(closed)
        if self._state.current is not None:
            name = self._state.current.name
            self._teller.mirror(
                Binding(component=target.component, environment=target.step.environment, release=name)
            )
        self._show()
        if isinstance(work, LaneRequest):
            verdict = result.verdict
            if result.result == "healthy":
                metrics.arrived(target, revision.release.sequence)
            settled = LaneSettled(
                request=work.id,
                environment=work.step.environment,
                result=result.result,
                reason=verdict.reason,
                message=verdict.message,
                revision=closed.number,
                verdict=verdict,
                traceparent=work.traceparent,
            )
            self._pending.append((work.promotion, settled))

    async def _take_down(self) -> None:
        """Remove everything from the environment; tried until it is gone, since nobody else will."""
        self._pending += cancel_all(self._state)
        await self._send_notices()
        if self._state.component is not None:
            target = self._target()
            await perform(Cluster.remove, target, ids.data_queue(target.step.plane), target.namespace)
        stage("retired")
        workflow.set_current_details("**retired** The component was deleted; nothing of it is left here.")
        await self._teller.finish()
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def _roll_out(self, request: RolloutRequest) -> RolloutResult:
        component, step = request.target.component, request.target.step
        try:
            self._rollout = await workflow.start_child_workflow(
                Rollout.run,
                request,
                id=ids.rollout(component.key, step.environment, request.revision),
                parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
                search_attributes=attributes(
                    project=component.project,
                    component=str(component.key),
                    environment=step.environment,
                    commit=request.release.commit.id,
                    stage="deploying",
                ),
                static_summary=f"Revision {request.revision}: {request.release.name} -> {step.environment}",
            )
            self._tell_started(request)
            return await self._rollout
        except ChildWorkflowError as error:
            if is_cancelled_exception(error):
                verdict = Verdict(
                    health="inconclusive", reason="Preempted", message="A person's order went first."
                )
                return RolloutResult(result="cancelled", verdict=verdict)
            cause = cause_of(error)
            verdict = Verdict(health="inconclusive", reason=cause.reason, message=cause.message)
            return RolloutResult(result="stuck", verdict=verdict)
        finally:
            self._rollout = None

    async def _send_notices(self) -> None:
        """Tell promotions what became of what they asked; one that has ended needs no answer."""
        notices, self._pending = self._pending, []
        await asyncio.gather(*(self._send(promotion, settled) for promotion, settled in notices if promotion))

    @staticmethod
    async def _send(promotion: str, settled: LaneSettled) -> None:
        try:
            with joined(settled.traceparent):
                await workflow.get_external_workflow_handle(promotion).signal("settled", settled)
        except ApplicationError as error:
            workflow.logger.info("%s has ended already: %s", promotion, error.message)

    def _target(self) -> Target:
        component, step = self._state.component, self._state.step
        assert component is not None  # noqa: S101  (there is work only after a request has named them)
        assert step is not None  # noqa: S101
        namespace = names.data_namespace(component.key.namespace, component.project, step.environment)
        return Target(component=component, step=step, namespace=namespace)

    def _tell_started(self, request: RolloutRequest) -> None:
        release = request.release
        message = f"{release.name} -> {request.target.step.environment}, revision {request.revision}."
        self._tell("Normal", "Deploying", message)

    def _tell_revision(self, revision: Revision) -> None:
        kind, reason, message = note_reason(revision, self._state)
        self._tell(kind, reason, message)

    def _tell_order(self, order: Order, answer: Answer) -> None:
        self._tell("Normal", answer.reason, f"{order.actor.name}: {answer.message}")

    def _tell(self, kind: str, reason: str, message: str) -> None:
        component, step = self._state.component, self._state.step
        if component is None or step is None:
            return
        target = self._target()
        note = Note.model_validate(
            {
                "component": component,
                "type": kind,
                "reason": reason,
                "message": message,
                "stage": f"{step.environment}: {reason}",
                "workflow": workflow.info().workflow_id,
                "environment": environment_note(self._state, target.namespace, reason, message),
                "ready": self._state.current is not None and self._state.current == self._state.last_good,
            }
        )
        self._teller.tell(note)

    def _show(self) -> None:
        step = self._state.step
        stage("held" if self._state.hold else "deploying" if self._state.deploying else "steady")
        lines = picture(self._state)
        if self._state.hold:
            lines.append(f"**held** {hold_message(self._state.hold)}")
        title = f"lane of {step.environment}" if step else "an empty lane"
        workflow.set_current_details("\n".join([f"**{title}**", "", *lines]))
