"""Doing what people asked for in comments: what they say to workflows is signed with a key of the worker's own."""

import time
from datetime import timedelta
from typing import NamedTuple, Protocol, TypeVar

from pydantic import BaseModel
from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.apiserver import ApiServer
from activities.hosts import Hosts
from activities.repositories import Repositories
from model import ids
from model.actor import Actor
from model.comment_story import CommandResult, Word
from model.component import Component
from model.failure import Conflict, Failure, InfrastructureFailure, NotFound, UserFailure
from model.gate import Approval
from model.key import ComponentKey
from model.lane import Answer, LaneRequest, LaneState
from model.mark import Mark
from model.pipeline import EnvironmentStep, Pipeline
from model.preview import PreviewOrder
from model.release import Release

M = TypeVar("M", bound=BaseModel)
_RPC_TIMEOUT = timedelta(seconds=8)
_ORDERS = {"test": "retry", "retest": "retry", "cancel": "stop", "ok-to-test": "allow"}


class _Request(NamedTuple):
    commits: frozenset[str]
    authors: frozenset[str]


class Said(Protocol):
    """What an order was answered with."""

    @property
    def message(self) -> str:
        """For people."""
        ...


class Runs(Protocol):
    """Workflows that are told things, with proofs. Raises NotFound, Conflict and InfrastructureFailure."""

    async def query(self, workflow: str, name: str, result: type[M]) -> M:
        """What the workflow answers."""
        ...

    async def update(self, workflow: str, name: str, argument: BaseModel, update_id: str, result: type[M]) -> M:
        """Tell it, once per id."""
        ...


class Promoting(Protocol):
    """Sends releases on their way."""

    async def start(self, release: Release, until: str, request: str, actor: Actor) -> Said:
        """Walk a release through its pipeline up to `until`, gates included."""
        ...


class Rules(Protocol):
    """The part of `activities.resources.Resources` that is needed here."""

    async def component(self, key: ComponentKey) -> Component | None:
        """As it is declared."""
        ...

    async def pipeline(self, component: Component) -> Pipeline:
        """Its pipeline."""
        ...

    async def releases(self, key: ComponentKey) -> list[Release]:
        """What is kept, newest first."""
        ...


class Marks(Protocol):
    """What was said of releases."""

    async def of(self, release: Release) -> Mark | None:
        """The mark of one."""
        ...


class Acting:
    """Says people's words to workflows.

    Args:
        server: the control plane's API server, for Repository objects.
        hosts: opens a repository's provider.
        client: finds and cancels builds.
        rules: what is declared.
        marks: what was said of releases.
        runs: tells workflows; None where this worker has no key to sign with.
        promoting: starts promotions; None likewise.
    """

    def __init__(
        self,
        server: ApiServer,
        hosts: Hosts,
        client: Client,
        rules: Rules,
        marks: Marks,
        runs: Runs | None,
        promoting: Promoting | None,
    ) -> None:
        self._repositories = Repositories(server)
        self._hosts = hosts
        self._client = client
        self._rules = rules
        self._marks = marks
        self._runs = runs
        self._promoting = promoting

    @activity.defn(name="comments.act")
    async def act(self, word: Word) -> CommandResult:
        """Carry out one command for one component; twice is once. A refusal is a result, with its reason.

        Raises:
            InfrastructureFailure: somebody could not be asked; worth another try.
        """
        try:
            if word.command.verb == "promote":
                reason, message = await self._promote(word)
            elif word.command.verb == "approve":
                reason, message = await self._approve(word)
            else:
                reason, message = await self._order(word)
        except InfrastructureFailure:
            raise
        except Failure as failure:
            return _result(word, False, failure.reason, failure.message)
        return _result(word, True, reason, message)

    async def _order(self, word: Word) -> tuple[str, str]:
        """Tell the preview, and stop the builds of its commit where that is asked for.

        Raises:
            Conflict, NotFound: it refuses, or there is none.
        """
        command, concerned = word.command, word.concerned
        stopped = await self._cancel_builds(word) if command.verb == "cancel" else 0
        order = PreviewOrder.model_validate(
            {
                "id": word.id,
                "kind": _ORDERS[command.verb],
                "actor": word.actor,
                "commit": command.argument if command.verb == "ok-to-test" else "",
                "only_failed": command.verb == "retest",
                "reason": f"{command.text} in comment {word.comment.comment}",
            }
        )
        workflow = ids.preview(concerned.component, word.comment.change)
        try:
            answer = await self._steering().update(workflow, "order", order, order.id, Answer)
        except Conflict as conflict:
            if stopped and conflict.reason == "NothingRuns":
                return "Stopping", f"{stopped} build(s) of the branch are being stopped."
            raise
        if not answer.accepted:
            raise Conflict(answer.reason, answer.message)
        return answer.reason, answer.message

    async def _cancel_builds(self, word: Word) -> int:
        """Ask the builds to stop that the branch's own push started of the same commit."""
        key, commit = word.concerned.component, word.concerned.commit
        if not commit or not word.concerned.branch:
            return 0
        query = (
            f"WorkflowType = 'Build' AND TowpathComponent = '{key}' AND TowpathCommit = '{commit}' "
            "AND ExecutionStatus = 'Running' AND WorkflowId STARTS_WITH 'build/'"
        )
        stopped = 0
        try:
            async for run in self._client.list_workflows(query, rpc_timeout=_RPC_TIMEOUT):
                try:
                    await self._client.get_workflow_handle(run.id).cancel(rpc_timeout=_RPC_TIMEOUT)
                    stopped += 1
                except RPCError as error:
                    if error.status != RPCStatusCode.NOT_FOUND:
                        raise
        except RPCError as error:
            raise InfrastructureFailure("TemporalUnavailable", "The builds could not be listed.") from error
        return stopped

    async def _promote(self, word: Word) -> tuple[str, str]:
        """Send the release of the request's commit on its way.

        Raises:
            NotFound: `ReleaseNotFound`; UserFailure: no such environment; Conflict: `MarkedBad`.
        """
        key, until = word.concerned.component, word.command.argument
        _, pipeline = await self._declared(key)
        pipeline.step(until)
        release = await self._release(word)
        mark = await self._marks.of(release)
        if mark is not None and mark.bad:
            raise Conflict("MarkedBad", f"{release.name} was marked bad by {mark.by}: {mark.reason}")
        if self._promoting is None:
            raise _no_key()
        answer = await self._promoting.start(release, until, word.id, word.actor)
        return "Promoting", answer.message

    async def _approve(self, word: Word) -> tuple[str, str]:
        """Say yes at the gate where the release of the request's commit waits.

        Raises:
            Conflict: `NothingWaits`, `SeveralWait`, `OwnCommit`, `PersonUnknown`, or the gate's own reason.
        """
        key, wanted = word.concerned.component, word.command.argument
        _, pipeline = await self._declared(key)
        request = await self._request(word)
        found: list[tuple[EnvironmentStep, LaneRequest]] = []
        for step in [pipeline.step(wanted)] if wanted else pipeline.steps:
            lane = await self._lane(key, step.environment)
            waiting = lane.candidates if lane is not None else []
            ours = [each for each in waiting if each.release.commit.id in request.commits and each.promotion]
            found += [(step, each) for each in ours]
        if not found:
            where = f"at {wanted}" if wanted else "at any gate"
            raise Conflict("NothingWaits", f"No release of this request waits {where}.")
        if len(found) > 1:
            names = ", ".join(step.environment for step, _ in found)
            raise Conflict("SeveralWait", f"It waits at several: {names}. Name one.")
        step, candidate = found[0]
        _check_person(word, step, request)
        approval = Approval(
            id=word.id,
            environment=step.environment,
            digest=candidate.release.digest,
            actor=word.actor,
            reason=f"comment {word.comment.comment} on {word.comment.change}",
            at=time.time(),
        )
        answer = await self._steering().update(candidate.promotion, "approve", approval, approval.id, Answer)
        if not answer.accepted:
            raise Conflict(answer.reason, answer.message)
        return answer.reason, f"{candidate.release.name} -> {step.environment}: {answer.message}"

    async def _declared(self, key: ComponentKey) -> tuple[Component, Pipeline]:
        component = await self._rules.component(key)
        if component is None:
            raise NotFound("ComponentNotFound", f"There is no component {key} any more.")
        return component, await self._rules.pipeline(component)

    async def _release(self, word: Word) -> Release:
        commits = (await self._request(word)).commits
        kept = await self._rules.releases(word.concerned.component)
        for release in kept:
            if release.commit.id in commits:
                return release
        raise NotFound(
            "ReleaseNotFound", "There is no release of this request's commit; merge it first, and let it be built."
        )

    async def _request(self, word: Word) -> _Request:
        """The commits that are the request's own (its head, and what it was taken in as), and its author."""
        found = {word.concerned.commit} if word.concerned.branch else set()
        authors = {word.concerned.author}
        for repository in await self._repositories.every(
            word.concerned.component.namespace, word.comment.repository
        ):
            if self._hosts.place(repository) is not None:
                async with self._hosts.open(repository) as provider:
                    change = await provider.change(word.comment.change)
                found = {change.merged_as} if change.state == "merged" else set()
                found |= set() if change.fork else {change.head}
                authors.add(change.author)
                break
        return _Request(frozenset(found - {""}), frozenset(each.casefold() for each in authors))

    async def _lane(self, key: ComponentKey, environment: str) -> LaneState | None:
        try:
            return await self._steering().query(ids.lane(key, environment), "state", LaneState)
        except NotFound:
            return None

    def _steering(self) -> Runs:
        if self._runs is None:
            raise _no_key()
        return self._runs


def _check_person(word: Word, step: EnvironmentStep, request: _Request) -> None:
    """Nobody approves what they wrote; where nobody knows whose commits are whose, nobody approves by a comment.

    The gate compares addresses with the commit's author; who opened the request is asked about here.
    """
    login = word.comment.actor.name
    if step.policy.allow_own_commit:
        return
    if login.casefold() in request.authors:
        raise Conflict("OwnCommit", f"{login} opened this request; somebody else must approve it.")
    if not word.actor.email:
        raise UserFailure(
            "PersonUnknown",
            f"Nobody knows whether {login} wrote this commit: name their address in the Repository's "
            "spec.pullRequests.emails.",
        )


def _no_key() -> UserFailure:
    return UserFailure("NoActingKey", "Commands cannot speak for people here; set TOWPATH_ACTING_KEY.")


def _result(word: Word, accepted: bool, reason: str, message: str) -> CommandResult:
    return CommandResult(
        command=word.command.text,
        component=word.concerned.component.name,
        accepted=accepted,
        reason=reason,
        message=message,
    )
