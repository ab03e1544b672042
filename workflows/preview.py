"""Preview: the entity that shows one change request of one component, from its opening to its end."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.preview_namespace import PreviewNamespace
    from activities.preview_plans import PlanRequest, PreviewPlans
    from activities.previews import Ahead, PlaceRequest, Previews
    from model import ids, names
    from model.commit import Commit
    from model.lane import Answer
    from model.note import Note
    from model.preview import Ending, PreviewEvent, PreviewOrder, PreviewPhase, PreviewPlan, PreviewState
    from model.preview_rules import picture, plea, refuse_order, report, rests_until, take, take_order
    from model.rollout import Target
    from workflows import metrics
    from workflows.attributes import stage
    from workflows.cause import cause_of
    from workflows.effort import perform
    from workflows.reporter import Reporter
    from workflows.showing import NotShown, Showing, not_shown
    from workflows.teller import Teller

WAIT_FIRST_SECONDS, WAIT_MOST_SECONDS = 10.0, 300.0
Happened = Callable[[], bool]


@workflow.defn(name="Preview")
class Preview:
    """Builds and deploys what the request asks for; takes everything away at the end."""

    @workflow.init
    def __init__(self, state: PreviewState) -> None:
        self._state = state
        self._teller = Teller()
        self._reporter = Reporter(state.comment, self._not_told)
        self._nudged = False
        self._retired = False

    @workflow.query
    def state(self) -> PreviewState:
        """All that the preview knows."""
        return self._state

    @workflow.signal
    def change(self, event: PreviewEvent) -> None:
        """Something happened to the request."""
        take(self._state, event, workflow.time())

    @workflow.signal
    def nudge(self) -> None:
        """A place may have become free."""
        self._nudged = True

    @workflow.signal
    def retire(self) -> None:
        """The component is gone: take everything away, and end."""
        self._retired = True
        self._state.ending = self._ended("component", "The component was deleted.")

    @workflow.update
    def order(self, order: PreviewOrder) -> Answer:
        """A person wants something."""
        answer = take_order(self._state, order, workflow.time())
        self._show()
        return answer.model_copy(update={"workflow": workflow.info().workflow_id})

    @order.validator
    def _validate_order(self, order: PreviewOrder) -> None:
        against = refuse_order(self._state, order)
        if against is not None:
            raise ApplicationError(against.message, type=against.reason, non_retryable=True)

    @workflow.run
    async def run(self, _state: PreviewState) -> PreviewState:
        """Show what is wanted until the end; remember the end for a while; then be gone."""
        try:
            while await self._go_on():
                self._show()
        except asyncio.CancelledError:
            self._state.ending = self._ended("person", "Its workflow was cancelled.")
            await self._take_down(self._state.ending)
            await self._say_all()
            raise
        return self._state

    async def _go_on(self) -> bool:
        """The next thing to do, until it is done or something else is; False when it is over."""
        state = self._state
        if state.ending is not None:
            if state.removed:
                return await self._comes_back()
            await self._take_down(state.ending)
        elif self._is_behind():
            await self._catch_up()
        elif self._has_to_ask():
            await self._ask()
        else:
            await self._rest()
        return True

    def _is_behind(self) -> bool:
        return self._state.wanted is not None and self._state.shown != self._state.wanted.id

    def _has_to_ask(self) -> bool:
        awaiting = self._state.awaiting
        return awaiting is not None and awaiting.commit is not None and self._state.asked != awaiting.commit.id

    async def _ask(self) -> None:
        """Say that a commit waits until somebody allows it. What runs, if anything does, stays as it is."""
        state, awaiting = self._state, self._state.awaiting
        assert awaiting is not None  # noqa: S101  (`_has_to_ask` has looked)
        assert awaiting.commit is not None  # noqa: S101
        commit = awaiting.commit.id
        try:
            if await self._plan() is None:
                return
        except NotShown as why:
            workflow.logger.info("not known how it would be shown: %s", why.message)
        state.asked = commit
        if state.awaiting is not awaiting:
            return
        message = f"Waits for /ok-to-test {commit}: {awaiting.why}"
        if state.wanted is None:
            self._tell("awaiting", "AwaitingOkToTest", message)
        else:
            self._event("Normal", "AwaitingOkToTest", message)
            self._reporter.say(plea(state, workflow.info().workflow_id))
            self._show()

    async def _rest(self) -> None:
        """Nothing is to be done until something happens, or time is up."""
        state, until = self._state, self._state.expires_at

        def happened() -> bool:
            return state.ending is not None or self._is_behind() or self._has_to_ask() or state.expires_at != until

        await self._wait(happened, until)
        self._expire(happened)

    def _expire(self, happened: Happened) -> None:
        if not happened() and workflow.time() >= self._state.expires_at > 0:
            self._state.ending = self._ended("time", "Its time was up.")

    async def _wait(self, happened: Happened, until: float) -> None:
        """Until it has happened, or a time (seconds since the epoch; 0: none) has come. Continues as new when
        the history has grown long."""
        seconds = max(until - workflow.time(), 0.001) if until else None
        asked = workflow.info().is_continue_as_new_suggested
        try:
            await workflow.wait_condition(
                lambda: happened() or asked(), timeout=timedelta(seconds=seconds) if seconds else None
            )
        except TimeoutError:
            return
        if not happened():
            await workflow.wait_condition(lambda: happened() or self._reporter.idle)
            await self._teller.finish()
            await workflow.wait_condition(workflow.all_handlers_finished)
            if not happened():
                self._state.comment = self._reporter.comment
                workflow.continue_as_new(self._state)

    async def _catch_up(self) -> None:
        """Show the wanted commit; whatever newer is wanted, or the end, goes first."""
        state = self._state
        commit = state.wanted
        assert commit is not None  # noqa: S101  (`_is_behind` has looked)

        def overtaken() -> bool:
            return state.ending is not None or state.wanted is not commit or bool(state.stopped)

        await self._pursue(commit, overtaken)
        if state.stopped:
            who, state.stopped = state.stopped, ""
            if state.ending is None and state.wanted is commit:
                state.shown = commit.id
                self._tell("failed", "Stopped", f"{who} stopped it; /retest or `towpath preview retry` goes on.")

    async def _pursue(self, commit: Commit, overtaken: Happened) -> None:
        state = self._state
        try:
            plan = await self._place(overtaken)
            if plan is None or overtaken():
                return
            self._tell("building", "Building", f"{commit.id[:12]} {commit.subject}".strip())
            await self._work(commit, plan, overtaken)
        except NotShown as why:
            if not overtaken():
                self._tell("failed", why.reason, why.message)
        if not overtaken():
            state.shown = commit.id
            metrics.previewed(state.project, state.phase)

    async def _work(self, commit: Commit, plan: PreviewPlan, overtaken: Happened) -> None:
        work = asyncio.create_task(Showing(self._state, plan, overtaken, self._tell).run(commit))
        try:
            await workflow.wait_condition(lambda: work.done() or overtaken())
        finally:
            if not work.done():
                work.cancel()
                await workflow.wait([work])
        if not work.cancelled():
            work.result()
        elif not overtaken():
            raise NotShown("Cancelled", "Its build or rollout was cancelled; push again, or open it again.")

    async def _place(self, overtaken: Happened) -> PreviewPlan | None:
        """The plan, once fewer previews than the limit go before this one; None when that was overtaken."""
        state = self._state
        pause = WAIT_FIRST_SECONDS
        while not overtaken():
            plan = await self._plan()
            if plan is None:
                return None
            if state.phase in ("building", "deploying", "ready", "failed"):
                return plan
            self._nudged = False
            ahead = await self._ahead()
            if ahead.number < plan.rules.limit:
                return plan
            most = plan.rules.limit
            self._tell("waiting", "NoPlace", f"{most} previews of a component at most; waits for one to end.")
            await self._wait(lambda: self._nudged or overtaken(), until=workflow.time() + pause)
            self._expire(overtaken)
            pause = min(pause * 1.5, WAIT_MOST_SECONDS)
        return None

    async def _plan(self) -> PreviewPlan | None:
        """How it is to be made now; a component that is gone ends the preview."""
        state = self._state
        try:
            asked = PlanRequest(component=state.component, change=state.change, untrusted=state.untrusted)
            plan = await perform(PreviewPlans.plan, asked)
        except FailureError as error:
            raise not_shown(error) from error
        if plan is None:
            self._retired = True
            state.ending = self._ended("component", "The component was deleted.")
            return None
        component = plan.component
        state.declared, state.place, state.project = component, plan.step, component.project
        state.namespace = names.preview_namespace(
            component.key.namespace, component.project, component.key.name, state.change
        )
        state.expires_at += plan.rules.ttl_seconds - state.ttl_seconds
        state.ttl_seconds = plan.rules.ttl_seconds
        return plan

    async def _ahead(self) -> Ahead:
        request = PlaceRequest(component=self._state.component, workflow=workflow.info().workflow_id)
        try:
            return await perform(Previews.ahead, request)
        except FailureError as error:
            raise not_shown(error) from error

    async def _take_down(self, ending: Ending) -> None:
        """Remove everything, tried until it is gone, since nobody else will; then let others have the place."""
        state = self._state
        held = state.phase not in ("awaiting", "waiting", "closed")
        self._tell("closing", "PreviewClosing", ending.reason)
        await self._remove()
        state.removed, state.release = True, None
        state.stopped = ""
        self._tell("closed", "PreviewClosed", ending.reason)
        metrics.previewed(state.project, f"closed-by-{ending.by}")
        if held:
            await self._pass_on()

    async def _remove(self) -> None:
        state = self._state
        if state.place is None or state.declared is None:
            return
        target = Target(component=state.declared, step=state.place, namespace=state.namespace)
        try:
            await perform(PreviewNamespace.remove, target, ids.data_queue(target.step.plane))
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            cause = cause_of(error)
            self._event("Warning", "PreviewNotRemoved", f"{cause.reason}: {cause.message}")

    async def _pass_on(self) -> None:
        """Wake those who wait for a place; they look by themselves as well."""
        try:
            ahead = await self._ahead()
        except NotShown as why:
            workflow.logger.info("nobody was woken: %s", why.message)
            return
        for name in ahead.waiting:
            try:
                await workflow.get_external_workflow_handle(name).signal("nudge")
            except ApplicationError as error:
                workflow.logger.info("%s has ended by itself: %s", name, error.message)

    async def _comes_back(self) -> bool:
        """Remember the end for events that come late. False when it is over for good."""
        state = self._state
        until = rests_until(state)
        while state.ending is not None and not self._retired and workflow.time() < until:
            await self._wait(lambda: state.ending is None or self._retired, until)
        if state.ending is None:
            return True
        # What a worker that had been stopped wrote after the end, were there any, goes now.
        await self._remove()
        await self._say_all()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return state.ending is None

    def _ended(self, by: str, reason: str) -> Ending:
        return Ending.model_validate({"by": by, "reason": reason, "since": workflow.time()})

    def _tell(self, phase: PreviewPhase, reason: str, message: str) -> None:
        """Say how it is everywhere: Event, request, search attribute, details; once if nothing has changed."""
        state = self._state
        if (state.phase, state.reason, state.message) == (phase, reason, message):
            return
        ended_early = phase == "closed" and state.told in ("", "pending")
        state.phase, state.reason, state.message = phase, reason, message
        state.address = state.address if phase == "ready" else ""
        stage(phase)
        self._event("Warning" if phase == "failed" else "Normal", reason, message)
        # Every word of the way is an Event; the request hears what somebody who reads it would act on.
        if phase == "awaiting":
            said = plea(state, workflow.info().workflow_id)
            state.told = said.state
            self._reporter.say(said)
        elif (state.wanted or state.awaiting) is not None and phase not in ("closing", "deploying"):
            said = report(state, workflow.info().workflow_id, ended_early)
            state.told = said.state
            self._reporter.say(said)
        self._show()

    def _event(self, kind: str, reason: str, message: str) -> None:
        component = self._state.declared
        if component is None:
            return
        note = Note.model_validate(
            {
                "component": component,
                "type": kind,
                "reason": reason,
                "message": f"Preview of {self._state.change}: {message}",
                "workflow": workflow.info().workflow_id,
                "aside": True,
            }
        )
        self._teller.tell(note)

    def _not_told(self, reason: str, message: str) -> None:
        self._event("Warning", "RequestNotTold", f"{reason}: {message}")

    async def _say_all(self) -> None:
        await self._reporter.finish()
        self._state.comment = self._reporter.comment
        await self._teller.finish()

    def _show(self) -> None:
        workflow.set_current_details("\n".join(picture(self._state)))
