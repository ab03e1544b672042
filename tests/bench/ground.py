"""What a measurement stands on: the running stack, and a namespace of its own that is gone afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.apiserver import ApiServer
from deploy.local import exports
from deploy.local.settings import Settings
from model.component import Component
from model.declared import component as read_component
from model.key import ComponentKey
from model.stated_limits import RUNNING

NAMESPACE = "towpath-bench"
PLANE = "bench"
BUILDER = "dockerfile-builder"
OPENCHOREO = "openchoreo.dev/v1alpha1"
T = TypeVar("T")


class NotInTime(Exception):
    """What was waited for did not come."""


class Ground:
    """Clients of the stack's parts. All times of a run are this process's clock, in milliseconds."""

    def __init__(
        self, settings: Settings, client: Client, cluster: ApiServer, http: aiohttp.ClientSession
    ) -> None:
        self.settings = settings
        self.temporal = client
        self.cluster = cluster
        self.http = http
        told = exports.exports(settings)
        self.url = told["TOWPATH_URL"]
        self.git_url = told["TOWPATH_GIT_URL"]
        self.token = told["TOWPATH_TOKEN"]
        self.secret = told["TOWPATH_WEBHOOK_SECRET"]

    @classmethod
    @asynccontextmanager
    async def stand(cls) -> AsyncIterator["Ground"]:
        """Connect, and leave nothing behind."""
        settings = Settings.from_environment()
        client = await Client.connect(
            settings.temporal_address,
            namespace=settings.temporal_namespace,
            data_converter=pydantic_data_converter,
        )
        cluster = await ApiServer.connect(str(settings.kubeconfig))
        try:
            # As many connections as it takes: an open loop waits for nobody.
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
                ground = cls(settings, client, cluster, http)
                await ground._prepare()
                try:
                    yield ground
                finally:
                    await ground._clear()
        finally:
            await cluster.close()

    async def declare(self, name: str, spec: dict[str, Any]) -> Component:
        """Apply a component of ours."""
        made = await self.cluster.apply(
            {
                "apiVersion": OPENCHOREO,
                "kind": "Component",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": spec,
            },
            field_manager="towpath-bench",
        )
        return read_component(made)

    async def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One call of Towpath's API.

        Raises:
            RuntimeError: it refused; with its words.
        """
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": f"bench-{time.time_ns()}"}
        url = f"{self.url}/api/v1/components/{NAMESPACE}/{path}"
        async with self.http.request(method, url, headers=headers, json=body) as answer:
            if answer.status >= 400:
                raise RuntimeError(f"{method} {path}: {answer.status} {await answer.text()}")
            return await answer.json()

    async def delete_all(self, api_version: str, kind: str, namespace: str, selector: str = "") -> None:
        """Delete all objects that match, some side by side."""
        gate = asyncio.Semaphore(16)

        async def delete(name: str) -> None:
            async with gate:
                await self.cluster.delete(api_version, kind, name, namespace)

        found = await self.cluster.list(api_version, kind, namespace, labels=selector)
        await asyncio.gather(*(delete(obj["metadata"]["name"]) for obj in found))

    @staticmethod
    async def until(what: str, seconds: float, look: Callable[[], Awaitable[T | None]], pause: float = 0.1) -> T:
        """Look again and again until there is something to see.

        Raises:
            NotInTime: there was nothing within `seconds`.
        """
        deadline = time.monotonic() + seconds
        while True:
            seen = await look()
            if seen:
                return seen
            if time.monotonic() > deadline:
                raise NotInTime(f"{what}: not within {seconds:.0f} s")
            await asyncio.sleep(pause)

    @staticmethod
    def key(name: str) -> ComponentKey:
        """A component of ours."""
        return ComponentKey(namespace=NAMESPACE, name=name)

    async def _prepare(self) -> None:
        # A run that was killed may have left some.
        await self.delete_all(OPENCHOREO, "Component", NAMESPACE)
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        await self.cluster.apply(namespace)
        # A builder whose plane is served by the bench itself: its Argo Workflows are made suspended.
        await self.cluster.apply(
            {
                "apiVersion": OPENCHOREO,
                "kind": "Workflow",
                "metadata": {"name": BUILDER, "namespace": NAMESPACE},
                "spec": {"workflowPlaneRef": {"kind": "WorkflowPlane", "name": PLANE}},
            }
        )

        # None of them ever ends, and it is not the queue that is measured.
        await self.cluster.apply(
            {
                "apiVersion": OPENCHOREO,
                "kind": "ClusterWorkflowPlane",
                "metadata": {"name": PLANE, "annotations": {RUNNING: "5000"}},
            },
            field_manager="towpath-bench",
        )

    async def _clear(self) -> None:
        await self.cluster.delete(OPENCHOREO, "ClusterWorkflowPlane", PLANE, "")
        await self.delete_all(OPENCHOREO, "Component", NAMESPACE)
        await self.cluster.delete("v1", "Namespace", NAMESPACE)
