"""Tags of commits that have been built before."""

import asyncio
from datetime import timedelta

import structlog
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError
from temporalio.service import RPCError, RPCStatusCode

from activities.apiserver import ApiServer
from activities.declarations import OPENCHOREO
from activities.heartbeat import beating
from model import ids, labels, released
from model.failure import InfrastructureFailure
from model.key import ComponentKey
from model.names import label_value
from model.tagged import Tagged

ATTEMPTS_LIMIT = 1000
_RPC_TIMEOUT = timedelta(seconds=8)

log = structlog.get_logger(__name__)


class Tags:
    """Gives tags to releases.

    Args:
        server: the control plane's API server, which keeps the releases.
        client: knows the builds that are still under way.
    """

    def __init__(self, server: ApiServer, client: Client) -> None:
        self._server = server
        self._client = client

    @activity.defn(name="tags.adopt")
    async def adopt(self, tagged: Tagged) -> tuple[str, ...]:
        """Label the releases of a commit with a tag; their names, or none where there is no such release and none
        is being built either: then the tag is to be built. A build under way is waited for.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`, and what the API server raises.
        """
        async with beating():
            await self._builds_ended(tagged.component, tagged.commit)
            selector = f"{released.selector(tagged.component)},{labels.COMMIT}={label_value(tagged.commit[:40])}"
            namespace = tagged.component.namespace
            found = [
                kept
                for kept in map(
                    released.release, await self._server.list(OPENCHOREO, "ComponentRelease", namespace, selector)
                )
                if kept is not None and kept.commit.id == tagged.commit
            ]
            patch = {"metadata": {"labels": released.tag_labels(tagged.tag, tagged.version)}}
            for release in found:
                await self._server.merge(OPENCHOREO, "ComponentRelease", release.name, namespace, patch)
                log.info("release tagged", release=release.name, tag=tagged.tag, version=tagged.version)
        return tuple(release.name for release in found)

    async def _builds_ended(self, component: ComponentKey, commit: str) -> None:
        """Wait for the attempts at a commit that Temporal knows."""
        for number in range(1, ATTEMPTS_LIMIT):
            handle = self._client.get_workflow_handle(ids.build(component, commit, number))
            try:
                description = await handle.describe(rpc_timeout=_RPC_TIMEOUT)
                if description.close_time is None:
                    await handle.result()
            except WorkflowFailureError:
                # It was cancelled, or has failed: what it left behind is looked at all the same.
                continue
            except RPCError as error:
                if error.status == RPCStatusCode.NOT_FOUND:
                    return
                raise InfrastructureFailure(
                    "TemporalUnavailable", f"The builds of {commit[:12]} could not be looked at: {error}."
                ) from error
            await asyncio.sleep(0)
