"""Delivery by way of Git: write, wait for the controller, and take the same commit back when it does not float."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.gitops import GitOpsRepositories
    from activities.reconciliation import Reconciliation
    from activities.resources import Resources
    from model import ids
    from model.gitops import (
        Ancestry,
        AppliedAnswer,
        AppliedQuestion,
        MergeRequest,
        WriteRequest,
        Writing,
        Written,
    )
    from model.gitops_policy import GitOps
    from model.note import Note
    from model.rollout import Applied, RolloutRequest
    from model.verdict import Verdict
    from workflows.attributes import stage
    from workflows.cause import cause_of
    from workflows.effort import perform

REVISIONS_LOOKED_AT = 50


class Delivered(NamedTuple):
    """What came of it. `verdict`: it went wrong. Else `applied` is what the controller made, to be watched;
    without one the engine itself is to apply the release now."""

    applied: Applied | None = None
    verdict: Verdict | None = None


class WriteBack:
    """One rollout's writes to its GitOps repository. `show` adds a line to the run's details."""

    def __init__(self, request: RolloutRequest, show: Callable[[str], None]) -> None:
        self._gitops = request.target.step.policy.gitops
        self._rollout = workflow.info().workflow_id
        self._show = show
        self._busy = False
        self._refused = False
        self._own: list[str] = []
        self._forward: Written | None = None
        self._pending: MergeRequest | None = None

    @property
    def writing(self) -> Writing:
        """Which commits are ours, for telling them from other people's."""
        return Writing(busy=self._busy or self._pending is not None, commits=tuple(self._own))

    @property
    def untouched(self) -> bool:
        """Whether Git refused our first write, so that nothing has changed anywhere."""
        return self._refused and not self._own

    @property
    def owns_workload(self) -> bool:
        """Whether a controller makes what runs; the engine then never applies it."""
        return self._gitops is not None and self._gitops.owns_workload

    async def deliver(self, request: RolloutRequest) -> Delivered:
        """Have Git say the release and the cluster run it.

        Going back within the same rollout takes our own commit back, as a commit more.

        Raises:
            ActivityError: a step failed for good.
        """
        assert self._gitops is not None  # noqa: S101  (the caller has looked)
        going_back = self._forward is not None
        reverts = self._forward.commit if self._forward is not None and self._forward.own else ""
        try:
            written = await self._write(request, reverts)
        except NotMergedInTime as late:
            return Delivered(verdict=_late(late))
        if not going_back:
            self._forward = written
        refused = await self._until_applied(request, written, self._gitops)
        if refused is not None:
            return Delivered(verdict=refused)
        if not self._gitops.owns_workload:
            return Delivered()
        found = await perform(Reconciliation.found, request, self._queue(request), request.release.name)
        return Delivered(applied=found)

    async def take_back(self, request: RolloutRequest) -> str:
        """Revert our commit where there is nothing good to go back to; why that failed, or empty.

        Git must not go on asking for what did not float.
        """
        if self._forward is None or not self._forward.own:
            return ""
        try:
            await self._write(request.model_copy(update={"last_good": None}), self._forward.commit)
        except NotMergedInTime as late:
            return str(late)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from error
            cause = cause_of(error)
            return f"The commit could not be reverted: {cause.reason}: {cause.message}"
        return ""

    async def withdraw(self) -> None:
        """The rollout was cancelled: nobody shall merge what is not wanted any more."""
        if self._pending is not None:
            await perform(GitOpsRepositories.withdraw, self._pending, summary=self._pending.written.proposal)
            self._pending = None

    async def _write(self, request: RolloutRequest, reverts: str) -> Written:
        asked = WriteRequest(rollout=self._rollout, request=request, reverts=reverts)
        verb = f"revert `{reverts[:12]}`" if reverts else f"write `{request.release.name}` to Git"
        self._show(verb)
        self._busy = True
        try:
            written = await perform(GitOpsRepositories.write, asked, summary=verb)
        except ActivityError as error:
            self._refused = cause_of(error).fault == "user"
            raise
        else:
            if written.own:
                self._own.append(written.commit)
        finally:
            self._busy = False
        if written.proposal:
            return await self._until_merged(asked, written)
        self._show(f"commit `{written.commit[:12]}`{'' if written.own else ' says so already'}")
        return written

    async def _until_merged(self, asked: WriteRequest, written: Written) -> Written:
        """A person merges, or does not; the branch is withdrawn when time is over."""
        assert self._gitops is not None  # noqa: S101
        stage("awaiting-merge")
        where = written.url or f"branch {written.proposal} of {self._gitops.url}"
        message = f"{asked.request.release.name} waits for a person to merge {where} into {self._gitops.branch}."
        self._show(f"**waiting**: {message}")
        await self._tell(asked.request, "AwaitingMerge", message)
        self._pending = MergeRequest(rollout=self._rollout, request=asked.request, written=written)
        merging = asyncio.create_task(perform(GitOpsRepositories.merged, self._pending, summary=written.proposal))
        try:
            await workflow.wait_condition(merging.done, timeout=self._gitops.merge_seconds)
        except TimeoutError:
            await _end(merging)
            await self.withdraw()
            raise NotMergedInTime(f"Nobody merged {where} in time; the branch was withdrawn.") from None
        except asyncio.CancelledError:
            await _end(merging)
            raise
        merged = merging.result()
        self._pending = None
        if merged.commit not in self._own:
            self._own.append(merged.commit)
        stage("deploying")
        self._show(f"merged: `{merged.commit[:12]}`")
        return merged

    async def _until_applied(self, request: RolloutRequest, written: Written, gitops: GitOps) -> Verdict | None:
        """Wait for the controller; None when the cluster has what our commit says, else what is wrong.

        Controllers speak of the head they took, which may be a later commit: Git says whether that holds ours.
        """
        controller = f"{gitops.controller.kind} {gitops.controller.namespace}/{gitops.controller.name}"
        self._show(f"wait for {controller}")
        known: list[str] = []
        end = workflow.time() + gitops.wait_seconds
        said = AppliedAnswer(state="waiting", reason="ControllerSilent")
        while workflow.time() < end and len(known) < REVISIONS_LOOKED_AT:
            question = AppliedQuestion(
                request=request, expected=written.commit, known=tuple(known), seconds=end - workflow.time()
            )
            said = await perform(Reconciliation.applied, question, self._queue(request), written.commit[:12])
            if said.state == "waiting":
                break
            asked = Ancestry(request=request, commit=written.commit, revision=said.revision)
            if not await perform(GitOpsRepositories.holds, asked, summary=said.revision[:12]):
                known.append(said.revision)
                continue
            self._show(f"{controller}: **{said.state}** {said.reason} at `{said.revision[:12]}`")
            if said.state == "applied":
                return None
            return Verdict(health="unhealthy", reason=said.reason, message=f"{controller}: {said.message}")
        return Verdict(
            health="inconclusive",
            reason="ControllerNotInTime",
            message=f"{controller} has not applied {written.commit[:12]} within {gitops.wait_seconds:g} s. "
            f"{said.reason}: {said.message}",
        )

    def _queue(self, request: RolloutRequest) -> str:
        """ReleaseBindings are on the control plane; everything else is where it runs."""
        return ids.data_queue(request.target.step.plane) if self.owns_workload else ids.CONTROL_QUEUE

    async def _tell(self, request: RolloutRequest, reason: str, message: str) -> None:
        environment = request.target.step.environment
        note = Note(
            component=request.target.component,
            reason=reason,
            message=message,
            stage=f"{environment}: {reason}",
            workflow=self._rollout,
        )
        try:
            await perform(Resources.tell, note, summary=reason)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from error
            workflow.logger.warning("could not be told: %s", cause_of(error).message)


class NotMergedInTime(Exception):
    """Nobody merged a proposal within the time that the policy gives."""


def _late(late: NotMergedInTime) -> Verdict:
    return Verdict(health="inconclusive", reason="NotMergedInTime", message=str(late))


async def _end(task: asyncio.Task[Written]) -> None:
    task.cancel()
    with suppress(ActivityError, asyncio.CancelledError):
        await task
