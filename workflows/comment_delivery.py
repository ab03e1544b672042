"""CommentDelivery: a comment on a change request. Who writes it, what they may ask for, and what came of that."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.acting import Acting
    from activities.commenting import Commenting
    from model import command, trust
    from model.command import Command, Commands
    from model.comment import Comment
    from model.comment_story import (
        CommandResult,
        CommentState,
        Concerned,
        Reply,
        Surroundings,
        Word,
        against,
        marker,
        reply,
    )
    from model.markdown import cell
    from workflows.attributes import stage
    from workflows.cause import cause_of
    from workflows.effort import perform

# A request and the first comment on it may be announced in one moment.
LOOKS = 4
PAUSE = timedelta(seconds=5)


@workflow.defn(name="CommentDelivery")
class CommentDelivery:
    """Takes a comment to what it asks for, and answers under it."""

    @workflow.init
    def __init__(self, comment: Comment) -> None:
        self._state = CommentState(comment=comment)

    @workflow.query
    def state(self) -> CommentState:
        """How far this is."""
        return self._state

    @workflow.run
    async def run(self, comment: Comment) -> CommentState:
        """From the announced comment to an answer; every way out has an outcome with a reason."""
        commands = command.parse(comment.body)
        if commands.nothing:
            return self._end("NoCommand", "It asks for nothing of ours.")
        if trust.is_bot(comment.actor.name) or comment.actor.kind != "person":
            return self._end("Bot", "Machines are not answered, so that two of them cannot go on for ever.")
        try:
            around = await self._look(commands)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            cause = cause_of(error)
            return self._end(cause.reason, cause.message)
        if not around.concerned:
            return self._end("NobodyBuilds", "No component is built from this repository.")
        for number, asked in enumerate(commands.wanted):
            self._state.results += await self._carry_out(number, asked, around)
            self._show()
        await self._answer(commands, around)
        done = [result for result in self._state.results if result.accepted]
        if done or any(asked.verb == "help" for asked in commands.wanted):
            return self._end("Done", f"{len(done)} of {len(self._state.results)} done.")
        return self._end("Refused", "Nothing of it could be done.")

    async def _look(self, commands: Commands) -> Surroundings:
        """Who writes and what it is about; looked at again for a moment where a preview is still to come."""
        waits = any(asked.verb in ("test", "retest", "cancel", "ok-to-test") for asked in commands.wanted)
        for _ in range(LOOKS):
            around = await perform(Commenting.look, self._state.comment)
            if not waits or any(each.preview for each in around.concerned):
                break
            await workflow.sleep(PAUSE)
        return around

    async def _carry_out(self, number: int, asked: Command, around: Surroundings) -> list[CommandResult]:
        """One command, for every component that it is for."""
        if asked.verb == "help":
            return []
        concerned = [each for each in around.concerned if self._is_for(asked, each)]
        if not concerned:
            named = f" of component {asked.argument}" if asked.verb == "test" and asked.argument else ""
            return [_nothing(asked, "NoPreview", f"No preview{named} of this request runs.")]
        refused: dict[tuple[str, str], None] = {}
        words: list[Word] = []
        for each in concerned:
            person = around.people[each.component.namespace]
            if (why := against(asked, person)) is not None:
                refused[why] = None
                continue
            words.append(
                Word(
                    id=f"{workflow.info().workflow_id}/{number}",
                    command=asked,
                    comment=self._state.comment,
                    actor=person.actor,
                    concerned=each,
                )
            )
        results = [_nothing(asked, reason, message) for reason, message in refused]
        results += await asyncio.gather(*(self._act(word) for word in words))
        return _telling(results)

    @staticmethod
    def _is_for(asked: Command, concerned: Concerned) -> bool:
        if asked.verb in ("promote", "approve"):
            return True
        return concerned.preview and (asked.verb != "test" or asked.argument in ("", concerned.component.name))

    async def _act(self, word: Word) -> CommandResult:
        try:
            return await perform(Acting.act, word, summary=f"{word.command.text} {word.concerned.component}"[:200])
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            cause = cause_of(error)
            return CommandResult(
                command=word.command.text,
                component=word.concerned.component.name,
                accepted=False,
                reason=cause.reason,
                message=cause.message,
            )

    async def _answer(self, commands: Commands, around: Surroundings) -> None:
        """One answer, in the first namespace whose Repository can be answered through. Nothing fails for it."""
        comment = self._state.comment
        body = reply(comment, commands, self._state.results)
        for namespace in sorted(around.people):
            said = Reply(namespace=namespace, comment=comment, body=body, marker=marker(comment))
            try:
                reported = await perform(Commenting.reply, said)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                workflow.logger.warning("not answered: %s", cause_of(error).message)
                continue
            if not reported.skipped:
                self._state.answered = str(reported.comment)
                return

    def _end(self, outcome: str, message: str) -> CommentState:
        self._state.outcome, self._state.message = outcome, message
        stage(outcome)
        self._show()
        return self._state

    def _show(self) -> None:
        comment, state = self._state.comment, self._state
        lines = [
            f"**{state.outcome}** {cell(state.message)}",
            "",
            f"- comment `{comment.comment}` on `{comment.change}` of `{comment.repository}`",
            f"- by `{cell(comment.actor.name)}`",
        ]
        for result in state.results:
            lines.append(
                f"- `{cell(result.command)}` {result.component}: **{result.reason}** {cell(result.message)}"
            )
        workflow.set_current_details("\n".join(lines))


def _nothing(asked: Command, reason: str, message: str) -> CommandResult:
    return CommandResult(command=asked.text, accepted=False, reason=reason, message=message)


def _telling(results: list[CommandResult]) -> list[CommandResult]:
    """What is worth telling of one command: in a repository of many components those that have no part in it are
    left out, unless none has; the same refusal is told once."""
    accepted = [result for result in results if result.accepted]
    other = [result for result in results if not result.accepted and result.reason not in _NO_PART]
    if accepted or other:
        return accepted + other
    once = {(result.reason, result.message): result for result in results}
    return [result.model_copy(update={"component": ""}) for result in once.values()]


_NO_PART = frozenset({"ReleaseNotFound", "NothingWaits", "UnknownEnvironment", "NothingFailed"})
