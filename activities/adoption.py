"""Finds the build that a branch's own push has started, for previews of the same commit."""

import asyncio
from datetime import timedelta
from typing import Protocol

from temporalio import activity
from temporalio.client import Client, WorkflowFailureError, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from activities.heartbeat import beating
from model import ids
from model.adoption import Adopted, AdoptionQuestion, makes_same
from model.build import BuildRequest, BuildState
from model.component import Component
from model.failure import InfrastructureFailure
from model.key import ComponentKey
from model.push import Push
from model.release import Release

_RPC_TIMEOUT = timedelta(seconds=8)
APPEARS_SECONDS = 15.0
POLL_SECONDS = 0.5
ATTEMPTS_LIMIT = 1000


class Declared(Protocol):
    """The part of `activities.resources.Resources` that is needed here."""

    async def components_for(self, push: Push) -> list[Component]:
        """Who follows a push."""
        ...

    async def release(self, key: ComponentKey, name: str) -> Release | None:
        """One that is kept."""
        ...


class Adoption:
    """Asks Temporal for builds.

    Args:
        client: asks and waits.
        declared: who follows which branch, and the releases.
        appears_seconds: how long the build of a branch that is followed may take to appear.
    """

    def __init__(self, client: Client, declared: Declared, appears_seconds: float = APPEARS_SECONDS) -> None:
        self._client = client
        self._declared = declared
        self._appears = appears_seconds

    @activity.defn(name="adoption.find")
    async def find(self, question: AdoptionQuestion) -> Adopted:
        """The release of the branch's own build of the commit, waited for while it is being built.

        A push and the request for it are announced side by side: where the component follows the branch, its build
        is given some seconds to appear.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`, or the API server cannot be asked.
        """
        async with beating():
            workflow = await self._newest(question)
            if not workflow and await self._follows(question):
                workflow = await self._appearing(question)
            return await self._adopted(question, workflow) if workflow else Adopted()

    async def _newest(self, question: AdoptionQuestion) -> str:
        """The last attempt at the commit; empty when there is none."""
        newest = ""
        for number in range(1, ATTEMPTS_LIMIT):
            name = ids.build(question.component.key, question.commit, number)
            try:
                await self._client.get_workflow_handle(name).describe(rpc_timeout=_RPC_TIMEOUT)
            except RPCError as error:
                if error.status == RPCStatusCode.NOT_FOUND:
                    break
                raise _unavailable(error) from error
            newest = name
        return newest

    async def _follows(self, question: AdoptionQuestion) -> bool:
        push = Push(
            repository=question.repository,
            url="",
            ref=f"refs/heads/{question.branch}",
            after=question.commit,
        )
        following = await self._declared.components_for(push)
        return any(component.key == question.component.key for component in following)

    async def _appearing(self, question: AdoptionQuestion) -> str:
        until = asyncio.get_running_loop().time() + self._appears
        while asyncio.get_running_loop().time() < until:
            if workflow := await self._newest(question):
                return workflow
            await asyncio.sleep(POLL_SECONDS)
        return ""

    async def _adopted(self, question: AdoptionQuestion, workflow: str) -> Adopted:
        handle = self._client.get_workflow_handle(workflow, result_type=BuildState)
        try:
            asked = await handle.query("request", result_type=BuildRequest, rpc_timeout=_RPC_TIMEOUT)
            if asked.untrusted or not makes_same(asked.component, question.component):
                return Adopted()
            ended: BuildState = await handle.result()
        except (WorkflowFailureError, WorkflowQueryFailedError):
            # Cancelled, terminated, or one that cannot say what it was: nothing to take over.
            return Adopted()
        except RPCError as error:
            raise _unavailable(error) from error
        if ended.phase != "succeeded" or not ended.release:
            return Adopted()
        release = await self._declared.release(question.component.key, ended.release)
        return Adopted(release=release, workflow=workflow, log=ended.log)


def _unavailable(error: RPCError) -> InfrastructureFailure:
    return InfrastructureFailure("TemporalUnavailable", f"Builds could not be asked for: {error.message}")
