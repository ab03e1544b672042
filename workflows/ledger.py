"""Ledger: the entity that knows what was handled of a repository's refs, also when Temporal has forgotten it."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from model import ledger
    from model.ledger import LedgerAnswer, LedgerQuestion, LedgerState, Recording
    from workflows import metrics

LENGTH_LIMIT = 1000
"""Events after which it goes on as a new run: whoever asks one that no worker remembers waits for its replay."""


@workflow.defn(name="Ledger")
class Ledger:
    """Keeps the ledger of one repository, for ever."""

    @workflow.init
    def __init__(self, state: LedgerState) -> None:
        self._state = state
        self._show()

    @workflow.query
    def state(self) -> LedgerState:
        """All of it."""
        return self._state

    @workflow.query
    def answer(self, question: LedgerQuestion) -> LedgerAnswer:
        """What is known of some refs."""
        return ledger.answer(self._state, question)

    @workflow.signal
    def record(self, recording: Recording) -> None:
        """Take in what was handled; what was said of an older entry than the present one is left out."""
        forgotten = ledger.record(self._state, recording, workflow.time())
        if forgotten:
            workflow.logger.warning("%d refs forgotten to make room: %s", forgotten, self._state.repository)
            metrics.forgotten(forgotten)
        self._show()

    @workflow.run
    async def run(self, state: LedgerState) -> None:  # noqa: ARG002  (taken in by __init__)
        """Stay, and go on as a new run when the history has grown."""
        await workflow.wait_condition(self._is_long)
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(self._state)

    def _is_long(self) -> bool:
        info = workflow.info()
        return info.is_continue_as_new_suggested() or info.get_current_history_length() > LENGTH_LIMIT

    def _show(self) -> None:
        state = self._state
        lines = [f"**{len(state.refs)} refs** of `{state.repository}`, {state.forgotten} forgotten", ""]
        lines += [f"- `{ref}` at `{entry.commit[:12]}`" for ref, entry in list(state.refs.items())[:-21:-1]]
        workflow.set_current_details("\n".join(lines))
