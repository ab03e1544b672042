"""Showing: one commit of a change request, from its build to an address that answers."""

import asyncio
from collections.abc import Callable

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import (
    ChildWorkflowError,
    FailureError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.adoption import Adoption
    from activities.preview_namespace import PreviewNamespace
    from model import ids
    from model.adoption import AdoptionQuestion
    from model.build import BuildRequest, BuildState
    from model.commit import Commit
    from model.component import Component
    from model.preview import PreviewPhase, PreviewPlan, PreviewState
    from model.preview_rules import shown_release
    from model.release import Release
    from model.rollout import RolloutRequest, RolloutResult, Target
    from workflows.attributes import attributes
    from workflows.build import Build
    from workflows.cause import cause_of
    from workflows.effort import perform
    from workflows.rollout import Rollout

ATTEMPTS_LIMIT = 1000
Tell = Callable[[PreviewPhase, str, str], None]


class NotShown(Exception):
    """A commit cannot be shown: reason and message."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message


def not_shown(error: FailureError) -> BaseException:
    """Why a step failed; a cancelled one stays cancelled."""
    if is_cancelled_exception(error):
        return asyncio.CancelledError()
    cause = cause_of(error)
    return NotShown(cause.reason, cause.message)


class Showing:
    """Shows a commit at a preview's place. `overtaken` says whether something else is wanted by now: it is asked
    before each step, since a step that was cancelled may have ended well all the same."""

    def __init__(self, state: PreviewState, plan: PreviewPlan, overtaken: Callable[[], bool], tell: Tell) -> None:
        self._state = state
        self._plan = plan
        self._overtaken = overtaken
        self._tell = tell

    async def run(self, commit: Commit) -> None:
        """Build, deploy, find the address. Cancelled, it leaves what runs as it is.

        Raises:
            NotShown: the build or the rollout failed.
        """
        state = self._state
        release = await self._build(self._plan.component, commit)
        if self._overtaken():
            return
        state.release = release
        self._tell("deploying", "Deploying", f"{release.name} -> {state.namespace}")
        result = await self._roll_out(release)
        if self._overtaken():
            return
        if result.result != "healthy":
            raise NotShown(result.verdict.reason, result.verdict.message)
        try:
            state.address = await perform(PreviewNamespace.address, self._target(), self._queue)
        except FailureError as error:
            raise not_shown(error) from error
        self._tell("ready", "PreviewReady", state.address or "It has no endpoint to be asked at.")

    @property
    def _queue(self) -> str:
        return ids.data_queue(self._plan.step.plane)

    def _target(self) -> Target:
        return Target(component=self._plan.component, step=self._plan.step, namespace=self._state.namespace)

    async def _build(self, component: Component, commit: Commit) -> Release:
        state = self._state
        rebuild, state.rebuild = state.rebuild, False
        if not (rebuild or state.untrusted) and workflow.patched("adopt-build"):
            adopted = await self._adopt(component, commit)
            if adopted is not None:
                return adopted
        component = self._as_shown(component)
        for _ in range(ATTEMPTS_LIMIT):
            state.builds += 1
            request = BuildRequest(
                component=component,
                commit=commit,
                branch=state.branch,
                sequence=state.wanted_sequence,
                number=state.builds,
                preview=state.change,
                untrusted=state.untrusted,
                ref=state.ref,
            )
            try:
                handle = await workflow.start_child_workflow(
                    Build.run,
                    request,
                    id=request.workflow,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
                    search_attributes=attributes(
                        project=component.project,
                        component=str(component.key),
                        environment=self._plan.step.environment,
                        commit=commit.id,
                        stage="building",
                    ),
                    static_summary=f"Build {component.key} at {commit.id[:12]} to preview {state.change}"[:200],
                )
            except WorkflowAlreadyStartedError:
                continue
            try:
                ended: BuildState = await handle
            except ChildWorkflowError as error:
                raise not_shown(error) from error
            state.log = ended.log
            if ended.made is None:
                raise NotShown(ended.reason or "BuildFailed", ended.message)
            return shown_release(ended.made)
        raise NotShown("TooManyAttempts", "This commit was tried too often.")

    def _as_shown(self, component: Component) -> Component:
        """The component as it is built for a preview: at the request's own place, and what nobody answers for
        without credentials."""
        state, source = self._state, component.source
        changed: dict[str, object] = {"auto_deploy": False}
        if source is not None and (state.untrusted or state.url):
            secret = "" if state.untrusted else source.secret
            changed["source"] = source.model_copy(update={"url": state.url or source.url, "secret": secret})
        return component.model_copy(update=changed)

    async def _adopt(self, component: Component, commit: Commit) -> Release | None:
        """What the branch's own push has built of the same commit, if it has or does."""
        state = self._state
        question = AdoptionQuestion(
            component=component, commit=commit.id, branch=state.branch, repository=state.repository
        )
        try:
            adopted = await perform(Adoption.find, question, summary=commit.id[:12])
        except FailureError as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from error
            workflow.logger.warning("not known whether it was built: %s", cause_of(error).message)
            return None
        if adopted.release is None:
            return None
        workflow.logger.info("%s has built it", adopted.workflow)
        state.log = adopted.log
        return shown_release(adopted.release)

    async def _roll_out(self, release: Release) -> RolloutResult:
        state, step = self._state, self._plan.step
        state.revision += 1
        request = RolloutRequest(
            target=self._target(),
            release=release,
            revision=state.revision,
            fence=int(workflow.time() * 1000),
        )
        try:
            result: RolloutResult = await workflow.execute_child_workflow(
                Rollout.run,
                request,
                id=ids.rollout(state.component, step.environment, state.revision),
                parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
                search_attributes=attributes(
                    project=state.project,
                    component=str(state.component),
                    environment=step.environment,
                    commit=release.commit.id,
                    stage="deploying",
                ),
                static_summary=f"{release.name} -> preview of {state.change}"[:200],
            )
        except ChildWorkflowError as error:
            raise not_shown(error) from error
        return result
