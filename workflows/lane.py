"""Lane: the entity that owns one component in one environment, for as long as there is one."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import (
    ApplicationError,
    ChildWorkflowError,
    FailureError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)
from temporalio.workflow import ChildWorkflowHandle, ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.cluster import Cluster
    from activities.marks import Marks
    from activities.resources import Binding
    from model import ids, names
    from model.hosting import StatusState
    from model.lane import RULES, Answer, LaneRequest, LaneSettled, LaneState, Order, Revision
    from model.lane_answers import Notices, hold_message
    from model.lane_back import undoings
    from model.lane_orders import leave_out, refuse_order, take_order
    from model.lane_queue import cancel_all, give_up, settle, take_alarm, take_request
    from model.lane_rules import Work, begin, finish, gives_way, next_up, renewed, settle_undecided
    from model.lane_story import environment_note, note_reason, picture
    from model.mark import bad_message
    from model.note import Note
    from model.release import Release
    from model.rollout import RolloutRequest, RolloutResult, Target
    from model.status_note import of_revision
    from model.steer import Paused
    from model.verdict import Verdict
    from model.vigil import Alarm, VigilRequest
    from workflows import metrics
    from workflows.attributes import attributes, stage
    from workflows.cause import cause_of
    from workflows.effort import perform
    from workflows.rollout import Rollout
    from workflows.teller import Teller
    from workflows.telling_statuses import StatusTeller
    from workflows.tracing import here, joined


@workflow.defn(name="Lane")
class Lane:
    """Serialises deployments, keeps history, last good and holds."""

    @workflow.init
    def __init__(self, state: LaneState) -> None:
        self._state = state
        self._teller = Teller()
        self._statuses = StatusTeller()
        self._rollout: ChildWorkflowHandle[Rollout, RolloutResult] | None = None
        self._pending: Notices = []
        self._retiring = False
        self._stopping = False
        self._outdated = False

    @workflow.query
    def state(self) -> LaneState:
        """All that the lane knows: what runs, what is good, what waits, history."""
        return self._state

    @workflow.signal
    def request(self, request: LaneRequest) -> None:
        """A promotion wants something; answers go back to it."""
        self._pending.extend(take_request(self._state, request))
        self._settle()
        self._make_way()

    @workflow.signal
    def alarm(self, alarm: Alarm) -> None:
        """What was healthy is no longer: back to the last good one, if it still runs."""
        first = take_alarm(self._state, alarm)
        self._settle()
        if first and self._state.hold is not None and alarm in self._state.alarms:
            verdict = alarm.verdict
            message = f"Revision {alarm.revision}: {verdict.reason}: {verdict.message} The lane is held: it stays."
            self._tell("Warning", "AlarmWhileHeld", message)

    @workflow.signal
    def paused(self, told: Paused) -> None:
        """The deployment under way waits at a stop, or goes on."""
        if told.revision == self._state.deploying:
            self._state.pause = told.pause
            if told.pause is not None:
                self._tell("Normal", told.pause.reason, told.pause.message)
            self._show()

    @workflow.signal
    def retire(self) -> None:
        """The component is gone: take down what runs, and end."""
        self._retiring = True
        self._stop()

    @workflow.update
    def order(self, order: Order) -> Answer:
        """A person wants something. A rollback or deployment goes before whatever is under way."""
        traced = order.model_copy(update={"traceparent": here()})
        answer, notices = take_order(self._state, traced, workflow.time())
        self._pending.extend(notices)
        self._settle()
        self._tell_order(order, answer)
        if order.moves:
            self._make_way()
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
                with joined("" if isinstance(work, Alarm) else work.traceparent):
                    if await self._may_begin(work):
                        await self._deploy(work)
                # A run that began under older rules goes on under today's after its next deployment. A patch
                # of its own each time: what was decided before the upgrade stays decided so on a replay.
                outdated = self._state.rules < RULES
                self._outdated = outdated and workflow.patched(f"lane-renewed-{self._state.next_revision}")
            elif self._should_continue():
                await self._teller.finish()
                await self._statuses.finish()
                await workflow.wait_condition(workflow.all_handlers_finished)
                if not self._has_work():
                    workflow.continue_as_new(renewed(self._state))
            self._show()

    def _has_work(self) -> bool:
        return bool(self._pending) or next_up(self._state) is not None

    def _should_continue(self) -> bool:
        return self._outdated or workflow.info().is_continue_as_new_suggested()

    def _settle(self) -> None:
        """Answer whoever waits in vain by now."""
        held = self._state.hold
        self._pending.extend(settle(self._state, workflow.time()))
        if self._state.hold is not None and held is None:
            self._tell("Warning", "Held", hold_message(self._state.hold))

    def _make_way(self) -> None:
        """Stop what is under way for what goes before it."""
        if gives_way(self._state):
            self._stop()

    def _stop(self) -> None:
        """End the rollout under way where it stands; asked once, since twice is an error to some servers."""
        if self._rollout is not None and not self._stopping:
            self._stopping = True
            self._rollout.cancel()

    async def _may_begin(self, work: Work) -> bool:
        """Whether a release may be brought in: nobody has marked it bad. Ways back are not asked about, and
        what comes up while the answer is awaited goes first."""
        if self._state.rules < RULES or isinstance(work, Alarm) or work.kind != "deploy":
            return True
        release = work.release
        assert release is not None  # noqa: S101  (orders to deploy name one)
        # No local activity: with handlers and the teller beside it, replays found another order of events.
        asked = asyncio.create_task(perform(Marks.of, release, summary=release.name))
        await workflow.wait_condition(lambda: asked.done() or self._retiring or next_up(self._state) != work)
        if not asked.done() or self._retiring or next_up(self._state) != work:
            # It is left to end by itself: nobody waits for a read, and cancelling one can only go wrong.
            asked.add_done_callback(lambda task: task.cancelled() or task.exception())
            return False
        try:
            mark = asked.result()
        except FailureError as error:
            cause = cause_of(error)
            self._turn_down(work, "failed", cause.reason, cause.message)
            return False
        if mark is not None and mark.bad:
            self._state.bad[release.name] = mark.reason
            message = bad_message(release.name, mark.reason, mark.by)
            self._turn_down(work, "refused", "ReleaseMarkedBad", message)
        self._settle()
        return next_up(self._state) == work

    def _turn_down(self, work: Order | LaneRequest, result: str, reason: str, message: str) -> None:
        """What was asked for is not even begun; whoever asked is told."""
        if isinstance(work, LaneRequest):
            self._pending.extend(give_up(self._state, work, result, reason, message))
            return
        verdict = Verdict(health="inconclusive", reason=reason, message=message)
        closed = leave_out(self._state, work, result, workflow.time(), verdict)
        self._tell("Warning", reason, f"{closed.release.name} is not deployed: {message}")

    async def _deploy(self, work: Work) -> None:
        """One deployment, from its revision's first line to its last."""
        target = self._target()
        last_good, before = self._state.last_good, self._state.current
        revision = begin(self._state, work, workflow.time())
        self._show()
        await self._end_vigil()
        result = await self._roll_out(
            RolloutRequest(
                target=target,
                release=revision.release,
                revision=revision.number,
                # By time, not by revision: a lane that starts afresh must still outrank what it once wrote.
                fence=int(workflow.time() * 1000),
                last_good=last_good if revision.kind == "deploy" else None,
                going_back=revision.kind == "rollback",
                undo=undoings(self._state, revision),
            )
        )
        self._state.pause = None
        closed = finish(self._state, revision, result, workflow.time(), last_good)
        self._pending += settle_undecided(self._state, closed, work if isinstance(work, LaneRequest) else None)
        self._tell_revision(closed)
        if isinstance(work, Alarm) and before is not None:
            said = f"{work.verdict.reason}: {work.verdict.message}"
            self._tell_status(before, work.revision, "failure", f"It was taken back some time after: {said}")
        if self._state.current is not None:
            name = self._state.current.name
            self._teller.mirror(
                Binding(component=target.component, environment=target.step.environment, release=name)
            )
        self._show()
        if isinstance(work, LaneRequest):
            self._answer(work, target, closed, result)
        self._settle()
        await self._keep_vigil(target, closed, last_good)

    def _answer(self, work: LaneRequest, target: Target, closed: Revision, result: RolloutResult) -> None:
        verdict = result.verdict
        if result.result == "healthy" and closed.kind == "deploy":
            metrics.arrived(target, closed.release.sequence)
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

    async def _keep_vigil(self, target: Target, closed: Revision, last_good: Release | None) -> None:
        """Have what was deployed watched on, where the policy says so. A way back is not: it is the end."""
        policy, environment = target.step.policy, target.step.environment
        if closed.kind != "deploy" or closed.result != "healthy" or not policy.watch_seconds:
            return
        component = target.component
        vigil = ids.vigil(component.key, environment, closed.number)
        request = VigilRequest(
            target=target,
            release=closed.release,
            revision=closed.number,
            interval_seconds=policy.watch_interval_seconds,
            seconds=policy.watch_seconds,
            lane=workflow.info().workflow_id,
            last_good=last_good,
            fence=int(closed.started_at * 1000),
        )
        try:
            await workflow.start_child_workflow(
                "Vigil",
                request,
                id=vigil,
                parent_close_policy=ParentClosePolicy.ABANDON,
                search_attributes=attributes(
                    project=component.project,
                    component=str(component.key),
                    environment=environment,
                    commit=closed.release.commit.id,
                    stage="watching",
                ),
                static_summary=f"Revision {closed.number}: {closed.release.name} in {environment}",
            )
        except WorkflowAlreadyStartedError:
            workflow.logger.info("%s watches already", vigil)
        self._state.vigil = vigil

    async def _end_vigil(self) -> None:
        vigil, self._state.vigil = self._state.vigil, ""
        if not vigil:
            return
        try:
            await workflow.get_external_workflow_handle(vigil).cancel()
        except ApplicationError as error:
            workflow.logger.info("%s has ended already: %s", vigil, error.message)

    async def _take_down(self) -> None:
        """Remove everything from the environment; tried until it is gone, since nobody else will."""
        self._pending += cancel_all(self._state)
        await self._end_vigil()
        await self._send_notices()
        if self._state.component is not None:
            target = self._target()
            await perform(Cluster.remove, target, ids.data_queue(target.step.plane), target.namespace)
        stage("retired")
        workflow.set_current_details("**retired** The component was deleted; nothing of it is left here.")
        await self._teller.finish()
        await self._statuses.finish()
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
            if self._state.rules >= RULES and (self._retiring or gives_way(self._state)):
                self._stop()
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
            self._rollout, self._stopping = None, False

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
        self._tell_status(release, request.revision, "pending", message)

    def _tell_revision(self, revision: Revision) -> None:
        kind, reason, message = note_reason(revision, self._state)
        self._tell(kind, reason, message)
        self._tell_status(revision.release, revision.number, of_revision(revision), message)

    def _tell_status(self, release: Release, revision: int, state: StatusState, message: str) -> None:
        """On the commit that the release was made of, for readers at its provider."""
        component, step = self._state.component, self._state.step
        if component is None or step is None or step.preview:
            # A preview's statuses are its own.
            return
        rollout = ids.rollout(component.key, step.environment, revision)
        self._statuses.tell(
            component,
            release.commit.id,
            step.environment,
            state,
            message,
            workflow=rollout,
            environment=f"{component.key.name}/{step.environment}",
            production=step.production,
            deployment=rollout,
        )

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
