"""BuildQueue: the entity before a build plane that lets no more builds onto it than it takes."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from itertools import islice

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.build_queues import BuildQueues
    from model import admission
    from model.build_queue import (
        Asking,
        Leaving,
        Limits,
        LookQuestion,
        Place,
        Places,
        QueueState,
        QueueView,
    )
    from workflows import metrics
    from workflows.attributes import stage
    from workflows.cause import cause_of
    from workflows.effort import perform

SHOWN = 50


@workflow.defn(name="BuildQueue")
class BuildQueue:
    """Gives slots to builds, fairly; finds out by itself who has ended without a word."""

    @workflow.init
    def __init__(self, state: QueueState) -> None:
        self._state = state
        self._notices: admission.Notices = []
        self._looking: asyncio.Task[None] | None = None
        self._next_look = workflow.time()
        self._asked = 0
        self._shown: tuple[int, int, bool] | None = None

    @workflow.query
    def view(self) -> QueueView:
        """Who has a slot and who waits, in the order of their turns."""
        return admission.view(self._state, workflow.time())

    @workflow.update
    def enter(self, asking: Asking) -> Places:
        """Builds want slots. Those that have one already are told so again."""
        self._asked += 1
        state, now = self._state, workflow.time()
        if asking.limits is not None:
            state.limits = self._merged(asking)
        settled: dict[str, Place] = {}
        for entry in asking.entries:
            at_once, notices = admission.enter(state, entry)
            if at_once is not None:
                settled[entry.build] = at_once
            self._notices += notices
        granted = self._fill(now)
        mine = {entry.build for entry in asking.entries}
        # Whom the answer reaches need not be told.
        self._notices = [notice for notice in self._notices if notice not in granted or notice.build not in mine]
        settled |= admission.places(state, mine - settled.keys(), now)
        overtaken = {notice.build: notice for notice in self._notices if notice.result == "superseded"}
        self._show()
        return Places(places=tuple(settled.get(build) or overtaken[build] for build in self._builds(asking)))

    @enter.validator
    def _validate_enter(self, asking: Asking) -> None:
        if asking.plane != self._state.plane:
            raise ApplicationError(
                f"This is the queue of {self._state.plane}.", type="WrongPlane", non_retryable=True
            )

    @workflow.signal
    def leave(self, leaving: Leaving) -> None:
        """A build needs its slot or its place no longer."""
        now = workflow.time()
        self._note(admission.leave(self._state, leaving.build, now), now)
        self._fill(now)
        self._show()

    @workflow.run
    async def run(self, _state: QueueState) -> None:
        """Serve for ever, in runs of bounded length."""
        self._show()
        while True:
            await self._wait()
            await self._send_all()
            if self._is_due():
                self._looking = asyncio.create_task(self._look())
            if self._should_continue():
                await workflow.wait_condition(workflow.all_handlers_finished)
                if not self._notices and self._looking is None:
                    workflow.continue_as_new(self._state)

    @staticmethod
    def _builds(asking: Asking) -> list[str]:
        return [entry.build for entry in asking.entries]

    def _merged(self, asking: Asking) -> Limits:
        """The limits as declared now; of projects that this asking is not about, as they were."""
        limits, about = asking.limits, {entry.project for entry in asking.entries}
        assert limits is not None  # noqa: S101  (the caller has looked)
        present = {entry.project for entry in admission.entries(self._state)} - about
        others = {name: most for name, most in self._state.limits.projects.items() if name in present}
        return limits.model_copy(update={"projects": {**others, **limits.projects}})

    async def _wait(self) -> None:
        """Until there is something to say, or it is time to look."""
        rests = self._rests()

        def something() -> bool:
            return bool(self._notices) or self._should_continue() or self._is_due() or self._rests() != rests

        left = timedelta(seconds=max(self._next_look - workflow.time(), 0.001))
        with suppress(TimeoutError):
            await workflow.wait_condition(something, timeout=None if rests else left)

    def _is_busy(self) -> bool:
        return not self._state.known or bool(self._state.running or self._state.waiting)

    def _rests(self) -> bool:
        """Whether no look is to come by itself: one is under way, or there is nothing to look at."""
        return self._looking is not None or not self._is_busy()

    def _is_due(self) -> bool:
        return self._is_busy() and self._looking is None and workflow.time() >= self._next_look

    def _should_continue(self) -> bool:
        long = self._asked >= admission.ASKED_LIMIT or workflow.info().is_continue_as_new_suggested()
        return long and self._looking is None

    def _fill(self, now: float) -> admission.Notices:
        notices = admission.fill(self._state, now)
        self._note(notices, now)
        return notices

    def _note(self, notices: admission.Notices, now: float) -> None:
        self._notices += notices
        for notice in notices:
            if notice.result == "granted":
                entry = self._state.running[notice.build].entry
                metrics.admitted(self._state.plane, entry.priority, max(0.0, now - entry.since))

    async def _send_all(self) -> None:
        notices, self._notices = self._notices, []
        await asyncio.gather(*(self._send(notice) for notice in notices))

    async def _send(self, notice: Place) -> None:
        handle = workflow.get_external_workflow_handle(notice.build)
        try:
            if notice.result == "granted":
                await handle.signal("granted", notice)
            else:
                await handle.signal("supersede", notice.by)
        except ApplicationError as error:
            workflow.logger.info("%s has ended by itself: %s", notice.build, error.message)
            self.leave(Leaving(build=notice.build))

    async def _look(self) -> None:
        """Ask how things really are. Where nobody can tell, what is known stays as it is."""
        state = self._state
        question = LookQuestion(
            plane=state.plane,
            builds=(*state.running, *state.waiting),
            projects=tuple(sorted({entry.project for entry in admission.entries(state)})),
            before=0 if state.known else workflow.info().workflow_start_time.timestamp(),
            unheard=tuple(state.unheard),
        )
        try:
            look = await perform(BuildQueues.look, question, summary=state.plane)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("builds of %s not looked at: %s", state.plane, cause_of(error).message)
        else:
            now = workflow.time()
            admission.correct(state, look, now)
            self._fill(now)
            metrics.queue_corrected(state.plane, len(look.ended), len(look.found), len(look.silent))
        finally:
            self._looking = None
            self._next_look = workflow.time() + admission.look_after(state)
            self._show()

    def _show(self) -> None:
        """The numbers, and the details once they have changed."""
        state = self._state
        metrics.queue_length(state.plane, len(state.running), len(state.waiting))
        shown = (len(state.running), len(state.waiting), bool(state.away_since))
        if shown == self._shown:
            return
        if self._shown is None or self._shown[2] != shown[2]:
            stage("away" if state.away_since else "serving")
        self._shown = shown
        workflow.set_current_details("\n".join(picture(state)))


def picture(state: QueueState) -> list[str]:
    """The queue for Temporal's Web UI."""
    lines = [f"**{len(state.running)} of {state.limits.running} run**, {len(state.waiting)} wait", ""]
    if state.away_since:
        lines.append("Nobody serves the plane; nobody is let in.")
    lines += [f"- `{build}`" for build in islice(state.running, SHOWN)]
    lines += [f"- waits: `{build}`" for build in islice(state.waiting, SHOWN)]
    return lines
