"""Commits that claim to be ours: the workflows that they name say whether they are."""

from datetime import timedelta

from temporalio import activity
from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from model.failure import InfrastructureFailure
from model.gitops import OwnQuestion, Writing

_RPC_TIMEOUT = timedelta(seconds=8)


class Commits:
    """Asks rollouts about their commits."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @activity.defn(name="commits.own")
    async def own(self, question: OwnQuestion) -> bool:
        """Whether every commit was made by the workflow that it names; a trailer alone proves nothing.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`, or `StillWriting`: that workflow is at it, and does not
                know its newest commit yet.
        """
        for workflow in sorted(set(question.commits.values())):
            writing = await self._writing(workflow)
            named = {commit for commit, named in question.commits.items() if named == workflow}
            if writing is not None and writing.busy and not named <= set(writing.commits):
                raise InfrastructureFailure(
                    "StillWriting", f"{workflow} is about to say which commits are its own."
                )
            if writing is None or not named <= set(writing.commits):
                return False
        return True

    async def _writing(self, workflow: str) -> Writing | None:
        """What a workflow says of its commits; None when there is no such workflow, or it writes none."""
        if not workflow.startswith("rollout/"):
            return None
        handle = self._client.get_workflow_handle(workflow)
        try:
            found: Writing = await handle.query("writing", result_type=Writing, rpc_timeout=_RPC_TIMEOUT)
        except WorkflowQueryFailedError:
            return None
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise InfrastructureFailure(
                "TemporalUnavailable", f"{workflow} could not be asked: {error}."
            ) from error
        return found
