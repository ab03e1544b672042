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
    from activities.tags import Tags
    from model import ids
    from model.build import BuildRequest, BuildState
    from model.component import Component, by_access
    from model.delivery import DeliveredBuild, DeliveryState
    from model.filters import version_of
    from model.gitops import OwnQuestion
    from model.key import ComponentKey
    from model.ledger import Handled, Handling, LedgerAnswer, LedgerQuestion
    from model.note import Note
    from model.push import ZERO_ID, Push
    from model.repository import branch_of, tag_of
    from model.source import Changes, ChangesRequest, touches
    from model.tagged import Tagged
    from model.told_event import Announcement, announcement
    from workflows import metrics
    from workflows.attributes import attributes, stage
    from workflows.build import Build
    from workflows.cause import cause_of
    from workflows.effort import perform, perform_here
    from workflows.importing import import_image
    from workflows.teller import Teller
    from workflows.telling_statuses import StatusTeller

ATTEMPTS_LIMIT = 1000
NO_ACCESS = ("GitAuthFailed", "RepositoryNotFound", "SecretNotFound")
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
        self._tagged: list[Component] = []
        self._opened_for: list[Component] = []

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
            message = "The component names neither a repository to build from nor, by a Workload, an image to run."
            return await self._warn(components, "NothingToBuild", message, "Source: none")
        for _ in range(LOOKS_LIMIT):
            try:
                changes, released = await self._look_with_any_access(push, components, weighed, known)
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
            own = (
                outcome in ("OwnCommit", "SkippedByMessage") and known is not None and known.commit != push.before
            )
            entry = None if own else await self._put_down(push, changes, known)
            if entry is None or entry.commit == changes.commit.id:
                break
            known = entry
        return await self._await_builds(changes)

    async def _look_with_any_access(
        self, push: Push, components: list[Component], weighed: bool, known: Handled | None
    ) -> tuple[Changes, set[ComponentKey]]:
        """The look, by the first of the components' credentials that open the repository."""
        groups = by_access(components)
        for position, group in enumerate(groups):
            rest = [component for component in components if component not in group]
            try:
                found = await self._look_for_wanted(push, [*group, *rest], weighed, known)
                self._opened_for = group
                return found
            except FailureError as error:
                refused = not is_cancelled_exception(error) and cause_of(error).reason in NO_ACCESS
                last = position == len(groups) - 1
                if not refused or last or not workflow.patched("access-each"):
                    raise
        raise AssertionError("the last group returns or raises")

    async def _look_for_wanted(
        self, push: Push, components: list[Component], weighed: bool, known: Handled | None
    ) -> tuple[Changes, set[ComponentKey]]:
        """The look; where a newer head that asks for no build came after this push, what was announced is wanted
        all the same."""
        changes, released = await self._look(push, components, weighed, known)
        overtaken = changes.skip and weighed and push.after not in ("", changes.commit.id)
        if not overtaken or changes.known:
            return changes, released
        before = None if known is not None and known.commit == changes.commit.id else known
        announced = await self._changes(push, components, handled=before)
        if announced.skip:
            return changes, released
        return announced, await self._released(components, announced.commit.id)

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
            changes = await self._changes(push, components)
            if changes.superseded and push.cause == "push":
                changes = await self._changes(push.model_copy(update={"after": changes.head}), components)
            return changes, set()
        # An older head never wins, but what it changed must not be lost either: the present head is asked for all
        # that has changed since what was handled. Whoever announced that head finds the same.
        looking = self._changes(push, components, leading=True, handled=known)
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
        if changes.skip and push.cause in ("push", "sweep"):
            self._state.outcome = "SkippedByMessage"
            self._state.message = f"The message of {changes.commit.id[:12]} says {changes.skip}; nothing is built."
            return self._state.outcome
        touched = [component for component in components if self._concerns(push, component, changes)]
        may, refusal = await self._those_with_access(push, touched, changes)
        if touched and not may:
            self._state.outcome, self._state.message = refusal
            return self._state.outcome
        touched = may
        if not touched:
            self._state.outcome = "NothingTouched"
            self._state.message = "The push changes nothing that concerns any component."
            return self._state.outcome
        if push.cause == "sweep" and self._state.outcome != "Building":
            self._tell_found(push, touched, changes)
        if self._state.outcome != "Building":
            stage("building")
        self._state.outcome, self._state.message = "Building", ""
        await asyncio.gather(
            *(self._build(component, changes, component.key in released) for component in touched)
        )
        if workflow.patched("announced"):
            self._teller.announce(self._accepted(push, touched, changes))
        return self._state.outcome

    @staticmethod
    def _accepted(push: Push, touched: list[Component], changes: Changes) -> Announcement:
        message = f"{changes.commit.id} of {push.ref or 'its branch'}, by {push.provider or push.actor.name}."
        return announcement(touched, "PushAccepted", message, workflow.info().workflow_id)

    async def _those_with_access(
        self, push: Push, touched: list[Component], changes: Changes
    ) -> tuple[list[Component], tuple[str, str]]:
        """The components whose own credentials open the repository too: another's did, and what it sees is not
        theirs to build. And why others may not."""
        others, why = [group for group in by_access(touched) if group[0] not in self._opened_for], ("", "")
        if not others or not workflow.patched("access-each"):
            return touched, why
        exact = push.model_copy(update={"after": changes.commit.id, "before": ""})
        looks = await asyncio.gather(*(self._changes(exact, group) for group in others), return_exceptions=True)
        refused: list[Component] = []
        for group, look in zip(others, looks, strict=True):
            if isinstance(look, FailureError) and not is_cancelled_exception(look):
                cause = cause_of(look)
                why = (cause.reason, cause.message)
                refused += group
                self._complain(group, *why, "Source: unreadable")
            elif isinstance(look, BaseException):
                raise look
        return [component for component in touched if component not in refused], why

    def _tell_found(self, push: Push, touched: list[Component], changes: Changes) -> None:
        """Say on the components that nobody had announced this: their webhook may need to be looked at."""
        message = f"Nobody announced {push.ref} at {changes.commit.id[:12]}; a look at {push.repository} found it."
        for component in touched:
            note = Note(
                component=component,
                type="Warning",
                reason="MissedPushFound",
                message=message,
                workflow=workflow.info().workflow_id,
                aside=True,
            )
            self._teller.tell(note)

    async def _await_builds(self, changes: Changes) -> DeliveryState:
        """Stay until the builds have ended, if there are any."""
        if self._state.outcome != "Building":
            await self._teller.finish()
            await self._statuses.finish()
            if self._state.outcome == "Accepted":
                message = f"What leads to {changes.commit.id[:12]} was handled before; nothing is built again."
                return self._end("AlreadyHandled", message)
            return self._end(self._state.outcome, self._state.message)
        following = [self._follow(name, handle) for name, handle in self._handles.items()]
        tagging = [self._tag(component, changes) for component in self._tagged]
        await asyncio.gather(*following, *tagging)
        await self._teller.finish()
        await self._statuses.finish()
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
        self, push: Push, components: list[Component], leading: bool = False, handled: Handled | None = None
    ) -> Changes:
        """What has changed, and whom of the components that concerns, with the first one's credentials."""
        component = components[0]
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
            concerns={str(each.key): each.concern for each in components},
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
        if push.cause in ("applied", "trigger", "schedule") or tag_of(push.ref):
            return True
        if changes.touched is not None:
            return str(component.key) in changes.touched
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
        if tag_of(self._state.push.ref):
            self._tagged.append(component)

    async def _tag(self, component: Component, changes: Changes) -> None:
        """Give the tag to what was made of its commit before; build it where that has come to nothing."""
        tag = tag_of(self._state.push.ref)
        tagged = Tagged(
            component=component.key, commit=changes.commit.id, tag=tag, version=self._version(component)
        )
        releases = await perform(Tags.adopt, tagged, summary=tag)
        position = next(at for at, built in enumerate(self._state.builds) if built.component == component.key)
        if releases:
            message = f"{tag} is {', '.join(releases)}, which was made before."
            self._state.builds[position] = self._state.builds[position].model_copy(update={"message": message})
            return
        handle, number = await self._start(component, changes, again=True)
        assert handle is not None  # noqa: S101  (asked for again, it is started or raises)
        name = ids.build(component.key, changes.commit.id, number)
        self._state.builds[position] = DeliveredBuild(component=component.key, workflow=name)
        await self._follow(name, handle)

    def _version(self, component: Component) -> str:
        return version_of(tag_of(self._state.push.ref), component.filters.tags.prefix)

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
        self, component: Component, changes: Changes, again: bool = False
    ) -> tuple[ChildWorkflowHandle[Build, BuildState] | None, int]:
        """Start the next attempt at this commit. A push of a commit that has been tried starts none:
        whoever announces it a second time gets the same build, unless it is to be built `again`."""
        push = self._state.push
        # A schedule says the same every time; its moment is when it starts.
        sequence = push.sequence or int(workflow.now().timestamp() * 1000)
        for number in range(1, ATTEMPTS_LIMIT):
            request = BuildRequest(
                component=component,
                commit=changes.commit,
                branch=branch_of(push.ref) or push.ref,
                sequence=sequence,
                number=number,
                version=self._version(component),
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
                if push.cause in ("push", "sweep") and not again:
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
        self._complain(components, reason, message, stage_told, of_manifest)
        await self._teller.finish()
        await self._statuses.finish()
        return self._end(reason, message)

    def _complain(
        self, components: list[Component], reason: str, message: str, stage_told: str, of_manifest: bool = False
    ) -> None:
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
