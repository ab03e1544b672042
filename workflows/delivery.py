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
    from activities.ledgers import HandlingRequest, Ledgers
    from activities.resources import ReleasedQuestion, Resources
    from activities.source import Source
    from model import ids
    from model.build import BuildRequest, BuildState
    from model.component import Component
    from model.delivery import DeliveredBuild, DeliveryState
    from model.gitops import OwnQuestion
    from model.key import ComponentKey
    from model.ledger import Handled, Handling, LedgerAnswer, LedgerQuestion
    from model.note import Note
    from model.push import ZERO_ID, Push
    from model.repository import branch_of
    from model.source import Changes, ChangesRequest, touches
    from workflows import metrics
    from workflows.attributes import attributes, stage
    from workflows.build import Build
    from workflows.cause import cause_of
    from workflows.effort import perform, perform_here
    from workflows.importing import import_image
    from workflows.teller import Teller
    from workflows.telling_statuses import StatusTeller

ATTEMPTS_LIMIT = 1000
LOOKS_LIMIT = 10
"""How often a Delivery looks again because others of the same ref were quicker; then the sweep sees to it."""


@workflow.defn(name="Delivery")
class Delivery:
    """Takes a push to the builds it asks for and stays until they have ended."""

    @workflow.init
    def __init__(self, push: Push) -> None:
        self._state = DeliveryState(push=push)
        self._teller = Teller()
        self._statuses = StatusTeller()
        self._handles: dict[str, ChildWorkflowHandle[Build, BuildState]] = {}

    @workflow.query
    def state(self) -> DeliveryState:
        """How far this delivery is."""
        return self._state

    @workflow.run
    async def run(self, push: Push) -> DeliveryState:
        """From the announced push to ended builds; every way out has an outcome with a reason."""
        # Only what tells of a ref is weighed against what was handled of it; what people ask for is done.
        weighed = push.cause in ("push", "sweep") and workflow.patched("ledger")
        try:
            components, known = await self._read(push, weighed)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            return await self._cannot_read(error, self._named(push), of_manifest=True)
        if not components:
            return self._end("NobodyFollows", f"No component follows {push.ref} of {push.repository}.")
        if push.cause != "push" and components[0].source is None:
            if components[0].build.image and workflow.patched("image-import"):
                return self._end(*await import_image(push, components[0]))
            message = (
                "The component names neither a repository to build from nor, by a Workload, an image to run."
            )
            return await self._warn(components, "NothingToBuild", message, "Source: none")
        for _ in range(LOOKS_LIMIT):
            try:
                changes, released = await self._look(push, components, weighed, known)
            except FailureError as error:
                if is_cancelled_exception(error):
                    raise
                return await self._cannot_read(error, components)
            self._state.commit = changes.commit.id
            if changes.known:
                break
            outcome = await self._start_what_is_touched(push, components, changes, released)
            if not weighed:
                break
            own = outcome == "OwnCommit" and known is not None and known.commit != push.before
            entry = None if own else await self._put_down(push, changes, known)
            if entry is None or entry.commit == changes.commit.id:
                break
            known = entry
        return await self._await_builds(changes)

    async def _read(self, push: Push, weighed: bool) -> tuple[list[Component], Handled | None]:
        """Who follows, and beside it what was handled of the ref."""
        if not weighed:
            return await perform_here(Resources.components_for, push), None
        question = LedgerQuestion(repository=push.repository, refs=(push.ref,))
        components, answer = await asyncio.gather(
            perform_here(Resources.components_for, push), perform_here(Ledgers.read, question)
        )
        known: LedgerAnswer = answer
        return components, known.refs.get(push.ref)

    async def _look(
        self, push: Push, components: list[Component], weighed: bool, known: Handled | None
    ) -> tuple[Changes, set[ComponentKey]]:
        """What has changed up to the ref's present head (for what people ask for: up to what they name), and which
        components have a release of that commit already: what Temporal has forgotten is not built again."""
        if not weighed:
            changes = await self._changes(push, components[0])
            if changes.superseded and push.cause == "push":
                changes = await self._changes(push.model_copy(update={"after": changes.head}), components[0])
            return changes, set()
        # An older head never wins, but what it changed must not be lost either: the present head is asked for all
        # that has changed since what was handled. Whoever announced that head finds the same.
        looking = self._changes(push, components[0], leading=True, handled=known)
        if known is not None or not push.after:
            changes = await looking
            # What comes after the last handled head nobody can have built for a push.
            sure = changes.known or changes.anew
            return changes, set() if sure else await self._released(components, changes.commit.id)
        changes, released = await asyncio.gather(looking, self._released(components, push.after))
        if changes.commit.id != push.after:
            released = await self._released(components, changes.commit.id)
        return changes, released

    async def _start_what_is_touched(
        self, push: Push, components: list[Component], changes: Changes, released: set[ComponentKey]
    ) -> str:
        """Start the builds that the changes ask for; answers the outcome so far."""
        if changes.written and push.cause in ("push", "sweep") and await self._is_own(changes):
            self._state.outcome, self._state.message = "OwnCommit", "Towpath wrote this itself; it starts nothing."
            return self._state.outcome
        touched = [component for component in components if self._concerns(push, component, changes)]
        if not touched:
            self._state.outcome = "NothingTouched"
            self._state.message = "The push changes nothing in any component's folder."
            return self._state.outcome
        if self._state.outcome != "Building":
            stage("building")
        self._state.outcome, self._state.message = "Building", ""
        await asyncio.gather(
            *(self._build(component, changes, component.key in released) for component in touched)
        )
        return self._state.outcome

    async def _await_builds(self, changes: Changes) -> DeliveryState:
        """Stay until the builds have ended, if there are any."""
        if self._state.outcome != "Building":
            if self._state.outcome == "Accepted":
                message = f"What leads to {changes.commit.id[:12]} was handled before; nothing is built again."
                return self._end("AlreadyHandled", message)
            return self._end(self._state.outcome, self._state.message)
        await asyncio.gather(*(self._follow(name, handle) for name, handle in self._handles.items()))
        await self._teller.finish()
        return self._end("Built", ", ".join(f"{built.component}: {built.phase}" for built in self._state.builds))

    @staticmethod
    async def _released(components: list[Component], commit: str) -> set[ComponentKey]:
        question = ReleasedQuestion(components=tuple(each.key for each in components), commit=commit)
        return set(await perform_here(Resources.released, question, summary=commit[:12]))

    async def _put_down(self, push: Push, changes: Changes, known: Handled | None) -> Handled | None:
        """Say to the ledger what was started, so that nobody does it again; answers what it says then."""
        handling = Handling(
            ref=push.ref,
            commit=changes.commit.id,
            base=changes.base,
            since=known.number if known else 0,
            sequence=push.sequence,
            delivery=push.delivery,
        )
        request = HandlingRequest(repository=push.repository, handling=handling)
        try:
            return await perform_here(Ledgers.handled, request, summary=f"{push.ref} {changes.commit.id[:12]}")
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            # Builds run by now, and another Delivery of this head adopts them: it is only said.
            workflow.logger.error("not in the ledger: %s", cause_of(error).message)
            return None

    async def _changes(
        self, push: Push, component: Component, leading: bool = False, handled: Handled | None = None
    ) -> Changes:
        source = component.source
        request = ChangesRequest(
            url=source.url if source else push.url,
            ref=push.ref or (f"refs/heads/{source.branch}" if source else ""),
            before=push.before,
            after=push.after or (source.commit if source else ""),
            secret=source.secret if source else "",
            namespace=component.key.namespace,
            leading=leading,
            handled=handled,
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

    async def _build(self, component: Component, changes: Changes, released: bool = False) -> None:
        if released:
            name = ids.build(component.key, changes.commit.id, 1)
            self._adopt(component, name, "There is a release of this commit already.")
            return
        handle, number = await self._start(component, changes)
        name = ids.build(component.key, changes.commit.id, number)
        if handle is None:
            if name not in self._handles:
                self._adopt(component, name, "This commit was built before.")
            return
        self._state.builds.append(DeliveredBuild(component=component.key, workflow=name))
        self._handles[name] = handle
        self._show()

    def _adopt(self, component: Component, name: str, message: str) -> None:
        built = DeliveredBuild(component=component.key, workflow=name, phase="adopted", message=message)
        self._state.builds.append(built)

    async def _follow(self, name: str, handle: ChildWorkflowHandle[Build, BuildState]) -> None:
        try:
            ended: BuildState = await handle
            changed = {"phase": ended.phase, "message": ended.message}
        except ChildWorkflowError as error:
            phase = "cancelled" if isinstance(error.cause, CancelledError) else "failed"
            changed = {"phase": phase, "message": cause_of(error).message}
        position = next(at for at, built in enumerate(self._state.builds) if built.workflow == name)
        self._state.builds[position] = self._state.builds[position].model_copy(update=changed)
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
                cause=push.cause,
                priority=push.priority,
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
            self._statuses.tell(component, self._commit(), "build", "error", f"{reason}: {message}")
        await self._teller.finish()
        await self._statuses.finish()
        return self._end(reason, message)

    def _commit(self) -> str:
        """The commit that this is about; empty where it is not known."""
        push = self._state.push
        return self._state.commit or ("" if push.after == ZERO_ID else push.after)

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
