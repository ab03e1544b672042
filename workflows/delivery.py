"""Delivery: one accepted push. Which components it touches, and their builds."""

import asyncio

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    FailureError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)
from temporalio.workflow import ChildWorkflowHandle, ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.commits import Commits
    from activities.resources import Resources
    from activities.source import Source
    from model import ids
    from model.build import BuildRequest, BuildState
    from model.component import Component
    from model.delivery import DeliveredBuild, DeliveryState
    from model.gitops import OwnQuestion
    from model.note import Note
    from model.push import Push
    from model.repository import branch_of
    from model.source import Changes, ChangesRequest, touches
    from workflows import metrics
    from workflows.attributes import attributes, stage
    from workflows.build import Build
    from workflows.cause import cause_of
    from workflows.effort import perform, perform_here
    from workflows.teller import Teller

ATTEMPTS_LIMIT = 1000


@workflow.defn(name="Delivery")
class Delivery:
    """Takes a push to the builds it asks for and stays until they have ended."""

    @workflow.init
    def __init__(self, push: Push) -> None:
        self._state = DeliveryState(push=push)
        self._teller = Teller()

    @workflow.query
    def state(self) -> DeliveryState:
        """How far this delivery is."""
        return self._state

    @workflow.run
    async def run(self, push: Push) -> DeliveryState:
        """From the announced push to ended builds; every way out has an outcome with a reason."""
        try:
            components = await perform_here(Resources.components_for, push)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            return await self._cannot_read(error, self._named(push), of_manifest=True)
        if not components:
            return self._end("NobodyFollows", f"No component follows {push.ref} of {push.repository}.")
        if push.cause != "push" and components[0].source is None:
            message = "The component names no repository, so there is nothing to build."
            return await self._warn(components, "NothingToBuild", message, "Source: none")
        try:
            changes = await self._changes(push, components[0])
            if changes.superseded and push.cause == "push":
                # An older head never wins, but what it changed must not be lost either: the present head is
                # built for everything that has changed up to it. Whoever announced that head builds the same.
                changes = await self._changes(push.model_copy(update={"after": changes.head}), components[0])
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            return await self._cannot_read(error, components)
        self._state.commit = changes.commit.id
        if changes.written and push.cause in ("push", "sweep") and await self._is_own(changes):
            return self._end("OwnCommit", "Towpath wrote this itself; it starts nothing.")
        touched = [component for component in components if self._concerns(push, component, changes)]
        if not touched:
            return self._end("NothingTouched", "The push changes nothing in any component's folder.")
        stage("building")
        self._state.outcome = "Building"
        await asyncio.gather(*(self._build(component, changes) for component in touched))
        await self._teller.finish()
        return self._end("Built", ", ".join(f"{built.component}: {built.phase}" for built in self._state.builds))

    async def _changes(self, push: Push, component: Component) -> Changes:
        source = component.source
        request = ChangesRequest(
            url=source.url if source else push.url,
            ref=push.ref or (f"refs/heads/{source.branch}" if source else ""),
            before=push.before,
            after=push.after or (source.commit if source else ""),
            secret=source.secret if source else "",
            namespace=component.key.namespace,
        )
        return await perform_here(Source.changes, request, summary=f"{push.ref} {push.after[:12]}")

    @staticmethod
    async def _is_own(changes: Changes) -> bool:
        """Whether the rollouts that the commits name made them. Where nobody can tell, they are built."""
        try:
            return await perform(Commits.own, OwnQuestion(commits=changes.written), summary=changes.commit.id[:12])
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("own commits not told from others: %s", cause_of(error).message)
            return False

    @staticmethod
    def _concerns(push: Push, component: Component, changes: Changes) -> bool:
        if push.cause in ("applied", "trigger"):
            return True
        return touches(changes.paths, component.source.app_path if component.source else ".")

    async def _build(self, component: Component, changes: Changes) -> None:
        handle, number = await self._start(component, changes)
        name = ids.build(component.key, changes.commit.id, number)
        built = DeliveredBuild(component=component.key, workflow=name)
        if handle is None:
            built = built.model_copy(update={"phase": "adopted", "message": "This commit was built before."})
            self._state.builds.append(built)
            return
        self._state.builds.append(built)
        self._show()
        try:
            ended: BuildState = await handle
            changed = {"phase": ended.phase, "message": ended.message}
        except ChildWorkflowError as error:
            phase = "cancelled" if isinstance(error.cause, CancelledError) else "failed"
            changed = {"phase": phase, "message": cause_of(error).message}
        position = self._state.builds.index(built)
        self._state.builds[position] = built.model_copy(update=changed)
        self._show()

    async def _start(
        self, component: Component, changes: Changes
    ) -> tuple[ChildWorkflowHandle[Build, BuildState] | None, int]:
        """Start the next attempt at this commit. A push of a commit that has been tried starts none:
        whoever announces it a second time gets the same build."""
        push = self._state.push
        for number in range(1, ATTEMPTS_LIMIT):
            request = BuildRequest(
                component=component,
                commit=changes.commit,
                branch=branch_of(push.ref) or push.ref,
                sequence=push.sequence,
                number=number,
            )
            try:
                handle = await workflow.start_child_workflow(
                    Build.run,
                    request,
                    id=ids.build(component.key, changes.commit.id, number),
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    parent_close_policy=ParentClosePolicy.ABANDON,
                    search_attributes=attributes(
                        project=component.project,
                        component=str(component.key),
                        commit=changes.commit.id,
                        stage="building",
                    ),
                    static_summary=f"Build {component.key} at {changes.commit.id[:12]}, attempt {number}",
                )
            except WorkflowAlreadyStartedError:
                if push.cause in ("push", "sweep"):
                    return None, number
                continue
            return handle, number
        raise ApplicationError("This commit was tried too often.", type="TooManyAttempts", non_retryable=True)

    @staticmethod
    def _named(push: Push) -> list[Component]:
        """The components that a push names, for telling them what is wrong with their manifests."""
        return [Component(key=key, api_version=push.declared_in) for key in push.components if push.declared_in]

    async def _cannot_read(
        self, error: FailureError, components: list[Component], of_manifest: bool = False
    ) -> DeliveryState:
        cause = cause_of(error)
        return await self._warn(components, cause.reason, cause.message, "Source: unreadable", of_manifest)

    async def _warn(
        self,
        components: list[Component],
        reason: str,
        message: str,
        stage_told: str,
        of_manifest: bool = False,
    ) -> DeliveryState:
        """End without a build, and say on every component why."""
        for component in components:
            note = Note(
                component=component,
                type="Warning",
                reason=reason,
                message=message,
                stage=stage_told,
                workflow=workflow.info().workflow_id,
                ready=False,
                of_manifest=of_manifest,
            )
            self._teller.tell(note)
        await self._teller.finish()
        return self._end(reason, message)

    def _end(self, outcome: str, message: str) -> DeliveryState:
        self._state.outcome, self._state.message = outcome, message
        stage(outcome)
        metrics.delivered(outcome)
        self._show()
        return self._state

    def _show(self) -> None:
        push = self._state.push
        lines = [
            f"**{self._state.outcome}** {self._state.message}",
            "",
            f"- repository `{push.repository}`, `{push.ref}`, commit `{self._state.commit or push.after}`",
            f"- started by {push.cause} ({push.provider or push.actor.name})",
        ]
        lines += [f"- `{built.workflow}`: **{built.phase}** {built.message}" for built in self._state.builds]
        workflow.set_current_details("\n".join(lines))
