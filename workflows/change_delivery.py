"""ChangeDelivery: one announced event of a change request. Which components it concerns, and their previews."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.preview_plans import PreviewPlans
    from activities.previews import Previews
    from activities.source import Source
    from activities.trusting import Trusting
    from model import ids
    from model.change_ref import own_address, place
    from model.change_request import ChangeAction, ChangeRequest
    from model.change_story import ChangeState
    from model.component import Component
    from model.failure import UserFailure
    from model.key import ComponentKey
    from model.note import Note
    from model.preview import Candidates, PreviewEvent
    from model.request_report import Report
    from model.source import Changes, ChangesRequest, touches
    from model.trust import Trust
    from model.trust_question import TrustQuestion
    from workflows.attributes import stage
    from workflows.cause import cause_of
    from workflows.effort import perform, perform_here
    from workflows.reporter import Reporter
    from workflows.teller import Teller


@workflow.defn(name="ChangeDelivery")
class ChangeDelivery:
    """Takes an event to the previews it is about."""

    @workflow.init
    def __init__(self, change: ChangeRequest) -> None:
        self._state = ChangeState(change=change)
        self._teller = Teller()

    @workflow.query
    def state(self) -> ChangeState:
        """How far this is."""
        return self._state

    @workflow.run
    async def run(self, change: ChangeRequest) -> ChangeState:
        """From the announced event to previews that know of it; every way out has an outcome with a reason."""
        try:
            found = await perform_here(PreviewPlans.candidates, change)
            if change.action == "close":
                everybody = [
                    *(component.key for component in found.wanted),
                    *(each.component for each in found.unwanted),
                ]
                await self._end_previews(dict.fromkeys(everybody, "The request was closed."))
                return self._end("Told", "The request is closed.")
            await self._end_previews({each.component: each.message for each in found.unwanted if not each.unclear})
            for each in found.unwanted:
                if each.unclear:
                    told = Component(key=each.component, api_version=each.api_version)
                    self._warn(told, each.reason, each.message)
            if not found.wanted:
                return self._nobody(found)
            if workflow.patched("trusted-authors"):
                return await self._show_trusted(found.wanted)
            if change.fork:
                return await self._refuse_fork(found.wanted)
            return await self._show_previews(found.wanted)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            cause = cause_of(error)
            return self._end(cause.reason, cause.message)
        finally:
            await self._teller.finish()

    async def _show_trusted(self, wanted: tuple[Component, ...]) -> ChangeState:
        """Show what may be built at once; what may not waits in its previews until somebody allows it."""
        namespaces = tuple(sorted({component.key.namespace for component in wanted}))
        try:
            answer = await perform(Trusting.judge, TrustQuestion(change=self._state.change, namespaces=namespaces))
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            return self._cannot(wanted, error)
        ended = self._state
        # Trusted ones last: their outcome is the better news.
        for trust in sorted(set(answer.by_namespace.values()), key=_settled):
            concerned = tuple(each for each in wanted if answer.by_namespace[each.key.namespace] == trust)
            ended = await self._show_previews(concerned, trust)
        return ended

    def _cannot(self, wanted: tuple[Component, ...], error: FailureError) -> ChangeState:
        cause = cause_of(error)
        for component in wanted:
            self._warn(component, cause.reason, cause.message)
        return self._end(cause.reason, cause.message)

    async def _show_previews(self, wanted: tuple[Component, ...], trust: Trust | None = None) -> ChangeState:
        try:
            changes = await self._changes(wanted, trust)
            if changes.superseded:
                # An older head never wins; whoever announced the present one says the same.
                changes = await self._changes(wanted, trust, changes.head)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            return self._cannot(wanted, error)
        self._state.commit = changes.commit.id
        touched = [component for component in wanted if self._concerns(component, changes)]
        others = {component.key for component in wanted} - {component.key for component in touched}
        await self._end_previews(dict.fromkeys(others, "The request changes nothing in the component's folder."))
        if not touched:
            return self._end("NothingTouched", "The request changes nothing in any component's folder.")
        await asyncio.gather(
            *(
                self._tell(self._event(component.key, component.project, changes, trust, component))
                for component in touched
            )
        )
        if trust is not None and not trust.trusted:
            return self._end("AwaitingOkToTest", f"Needs /ok-to-test {changes.commit.id}: {trust.message}")
        return self._end("Told", f"{len(touched)} to be previewed at {changes.commit.id[:12]}.")

    async def _changes(
        self, wanted: tuple[Component, ...], trust: Trust | None = None, commit: str = ""
    ) -> Changes:
        component = wanted[0]
        change, source = self._state.change, component.source
        url, ref = self._place(component)
        own = source is not None and own_address(url, source.url)
        apart = trust is not None and not trust.trusted
        request = ChangesRequest(
            url=url,
            ref=ref,
            before=change.before,
            after=commit or change.head,
            # Where the fork itself is asked, it is asked as by anybody.
            secret=source.secret if source and own else "",
            namespace=component.key.namespace,
            apart=apart,
            beside=f"refs/heads/{change.base}" if apart and own and change.base else "",
            concerns={str(each.key): each.concern for each in wanted},
        )
        return await perform_here(Source.changes, request, summary=f"{change.branch} {change.head[:12]}")

    def _concerns(self, component: Component, changes: Changes) -> bool:
        if self._state.change.components:
            return True
        if changes.touched is not None:
            return str(component.key) in changes.touched
        return touches(changes.paths, component.source.app_path if component.source else ".")

    async def _end_previews(self, reasons: dict[ComponentKey, str]) -> None:
        events = [
            self._event(key, "", None).model_copy(update={"action": "close", "reason": reason})
            for key, reason in sorted(reasons.items(), key=lambda pair: str(pair[0]))
        ]
        await asyncio.gather(*(self._tell(event) for event in events))

    async def _tell(self, event: PreviewEvent) -> None:
        preview = ids.preview(event.component, event.change)
        if await perform(Previews.tell, event, summary=f"{event.action} {preview}"):
            (self._state.ended if event.action == "close" else self._state.previews).append(preview)
        self._show()

    def _place(self, component: Component) -> tuple[str, str]:
        """Where the commit is fetched.

        Raises:
            ApplicationError: `ForkElsewhere`.
        """
        change, source = self._state.change, component.source
        try:
            return place(change, source.url if source else change.url)
        except UserFailure as failure:
            raise ApplicationError(
                failure.message, failure.reason, type="UserFailure", non_retryable=True
            ) from None

    def _event(
        self,
        component: ComponentKey,
        project: str,
        changes: Changes | None,
        trust: Trust | None = None,
        declared: Component | None = None,
    ) -> PreviewEvent:
        change = self._state.change
        action: ChangeAction = change.action
        aside = self._place(declared) if declared is not None and change.fork else ("", "")
        return PreviewEvent(
            id=workflow.info().workflow_id,
            action=action,
            component=component,
            project=project or "default",
            repository=change.repository,
            change=change.change,
            branch=change.branch,
            title=change.title,
            commit=changes.commit if changes else None,
            at=change.at,
            sequence=change.sequence,
            actor=change.actor,
            again=change.again,
            trusted=trust is None or trust.trusted,
            why=trust.message if trust is not None and not trust.trusted else "",
            url=aside[0],
            ref=aside[1],
            author=change.author,
            provider=change.provider,
        )

    async def _refuse_fork(self, wanted: tuple[Component, ...]) -> ChangeState:
        """Code of people who may not push would run with what the component's builds and pods may: not yet."""
        change = self._state.change
        message = "The branch lies in a fork; only branches of the repository itself are previewed."
        reporter = Reporter(0, lambda reason, _: workflow.logger.info("the request was not told: %s", reason))
        for component in wanted:
            self._warn(component, "ForkNotTrusted", f"Change {change.change}: {message}")
            reporter.say(
                Report(
                    repository=change.repository,
                    namespace=component.key.namespace,
                    change=change.change,
                    commit=change.head,
                    component=component.key.name,
                    state="failure",
                    title="was refused",
                    message=message,
                )
            )
            await reporter.finish()
        return self._end("ForkNotTrusted", message)

    def _nobody(self, found: Candidates) -> ChangeState:
        reasons = sorted({each.message for each in found.unwanted})
        said = " ".join(reasons)[:1000] or "No component is built from this repository."
        return self._end("NobodyPreviews", said)

    def _warn(self, component: Component, reason: str, message: str) -> None:
        self._teller.tell(
            Note(
                component=component,
                type="Warning",
                reason=reason,
                message=message,
                workflow=workflow.info().workflow_id,
                aside=True,
            )
        )

    def _end(self, outcome: str, message: str) -> ChangeState:
        self._state.outcome, self._state.message = outcome, message
        stage(outcome)
        self._show()
        return self._state

    def _show(self) -> None:
        change, state = self._state.change, self._state
        lines = [
            f"**{state.outcome}** {state.message}",
            "",
            f"- {change.action} of `{change.change}` of `{change.repository}`",
            f"- `{change.branch}` into `{change.base}`",
            f"- commit `{state.commit or change.head}`",
        ]
        lines += [f"- shows it: `{preview}`" for preview in state.previews]
        lines += [f"- ends: `{preview}`" for preview in state.ended]
        workflow.set_current_details("\n".join(lines))


def _settled(trust: Trust) -> tuple[bool, str, str]:
    """The same order on every replay."""
    return trust.trusted, trust.reason, trust.message
