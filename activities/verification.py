"""Checks from inside the data plane, after the rollout is done."""

import asyncio
import time
from contextlib import aclosing
from typing import Any, Protocol

import httpx
from temporalio import activity

from activities.dataplane import Kubernetes
from activities.heartbeat import beating
from model import labels, names
from model.failure import InfrastructureFailure
from model.manifests import bundle
from model.manifests.metadata import selector
from model.probe import FALLBACK_PATH, Probe, Sample, judge, passes, probes, shown, unknown_endpoint
from model.rollout import RolloutRequest
from model.verdict import Verdict, worst

Object = dict[str, Any]
BODY_LIMIT = 64 * 1024
ENDPOINTS_SECONDS = 15.0


class Reach(Protocol):
    """How a Service is reached from where this process runs."""

    async def address(self, namespace: str, service: str, port: int) -> tuple[str, int]:
        """Host and port to connect to.

        Raises:
            InfrastructureFailure: there is no such Service (yet).
        """


class ClusterAddress:
    """A Service by its ClusterIP, which pods and nodes reach alike, without any DNS."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes

    async def address(self, namespace: str, service: str, port: int) -> tuple[str, int]:
        """The ClusterIP and the Service's port."""
        found = await self._kubernetes.get("v1", "Service", service, namespace)
        address = (found or {}).get("spec", {}).get("clusterIP", "")
        if address in ("", "None"):
            raise InfrastructureFailure(
                "ServiceMissing", f"Service {service} in namespace {namespace} has no address; is it there?"
            )
        return str(address), port


class Verification:
    """Asks the running release through its Service."""

    def __init__(self, kubernetes: Kubernetes, reach: Reach | None = None) -> None:
        self._kubernetes = kubernetes
        self._reach = reach or ClusterAddress(kubernetes)

    @activity.defn(name="verification.verify")
    async def verify(self, request: RolloutRequest) -> Verdict:
        """The worst verdict of the step's checks; errors and missing data are inconclusive.

        Nothing is asked before the Service leads to pods of this release and to no others. A release
        without endpoints that can be asked, or scaled to zero, is left to the rollout's own verdict:
        healthy, `NothingToProbe`.

        Raises:
            InfrastructureFailure: the API server cannot be asked.
        """
        workload = request.release.workload
        endpoints = bundle.served(workload)
        checks = request.target.step.policy.checks
        wrong = unknown_endpoint(endpoints, checks)
        if wrong is not None:
            return wrong
        asked = probes(workload, endpoints, checks)
        if not asked or workload.replicas == 0:
            return Verdict(
                health="healthy",
                reason="NothingToProbe",
                message="No endpoint is to be asked: the rollout itself is what was observed.",
            )
        async with beating():
            stranger = await self._await_endpoints(request)
            if stranger:
                return Verdict(health="inconclusive", reason="EndpointsNotReady", message=stranger)
            return worst(tuple(await asyncio.gather(*(self._ask(request, probe) for probe in asked))))

    async def _ask(self, request: RolloutRequest, probe: Probe) -> Verdict:
        """Ask one endpoint until the samples come to a verdict."""
        namespace = request.target.namespace
        service = names.workload(request.target.component.key.name)
        host, port = await self._reach.address(namespace, service, probe.endpoint.port)
        samples: list[Sample] = []
        while True:
            if probe.path:
                sample = await _get(probe, host, port, f"{service}.{namespace}.svc:{probe.endpoint.port}")
            else:
                sample = await _connect(probe, host, port)
            samples.append(sample)
            verdict = judge(probe, samples)
            if verdict is not None:
                return verdict
            await asyncio.sleep(probe.check.interval_seconds)

    async def _await_endpoints(self, request: RolloutRequest) -> str:
        """Wait until every ready endpoint of the Service is a pod of this release; else say what is there."""
        service = names.workload(request.target.component.key.name)
        slices: dict[str, Object] = {}
        synced = False
        problem = "its endpoints could not be read"
        changes = self._kubernetes.watch(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            request.target.namespace,
            labels=f"kubernetes.io/service-name={service}",
        )
        try:
            async with asyncio.timeout(ENDPOINTS_SECONDS), aclosing(changes):
                async for change in changes:
                    if change.type == "SYNCED":
                        synced = True
                    elif change.type == "DELETED":
                        slices.pop(change.object["metadata"]["name"], None)
                    else:
                        slices[change.object["metadata"]["name"]] = change.object
                    if synced and not (problem := await self._stranger(request, slices)):
                        return ""
        except TimeoutError:
            pass
        return f"Service {service} does not lead to this release alone after {ENDPOINTS_SECONDS:g} s: {problem}."

    async def _stranger(self, request: RolloutRequest, slices: dict[str, Object]) -> str:
        """What is wrong with the Service's ready endpoints; empty when they are this release's."""
        chosen = {**selector(request.target), labels.RELEASE: request.release.name}
        pods = await self._kubernetes.list("v1", "Pod", request.target.namespace, labels=labels.query(chosen))
        own = {pod["metadata"]["uid"] for pod in pods}
        ready = [
            endpoint.get("targetRef") or {}
            for found in slices.values()
            for endpoint in found.get("endpoints") or []
            if (endpoint.get("conditions") or {}).get("ready")
        ]
        if not ready:
            return "no endpoint is ready"
        strangers = [str(target.get("name")) for target in ready if target.get("uid") not in own]
        return f"pods of another release still answer: {', '.join(strangers)[:200]}" if strangers else ""


async def _get(probe: Probe, host: str, port: int, name: str) -> Sample:
    """One GET over a connection of its own, so that each may meet another pod."""
    path = probe.path
    try:
        async with (
            asyncio.timeout(probe.check.timeout_seconds),
            httpx.AsyncClient(
                trust_env=False, follow_redirects=False, timeout=probe.check.timeout_seconds
            ) as client,
        ):
            status, body = await _answer(client, host, port, path, name)
            fallback = probe.falls_back and status == 404
            if fallback:
                path = FALLBACK_PATH
                status, body = await _answer(client, host, port, path, name)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
        said = str(error) or f"no answer within {probe.check.timeout_seconds:g} s"
        return Sample(at=time.time(), result="unreachable", path=path, detail=said[:200])
    passed = passes(status, fallback)
    return Sample(
        at=time.time(),
        result="passed" if passed else "failed",
        status=status,
        path=path,
        detail="" if passed else shown(body),
    )


async def _answer(client: httpx.AsyncClient, host: str, port: int, path: str, name: str) -> tuple[int, bytes]:
    """Status and the first bytes of the body; the rest is not read."""
    headers = {"Host": name, "User-Agent": "towpath-verification", "Accept-Encoding": "identity"}
    url = httpx.URL(scheme="http", host=host, port=port, raw_path=path.encode())
    body = b""
    async with client.stream("GET", url, headers=headers) as response:
        async for piece in response.aiter_raw():
            body += piece
            if len(body) >= BODY_LIMIT or response.is_success:
                break
    return response.status_code, body[:BODY_LIMIT]


async def _connect(probe: Probe, host: str, port: int) -> Sample:
    try:
        async with asyncio.timeout(probe.check.timeout_seconds):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            await writer.wait_closed()
    except (TimeoutError, OSError) as error:
        said = str(error) or f"no connection within {probe.check.timeout_seconds:g} s"
        return Sample(at=time.time(), result="unreachable", detail=said[:200])
    return Sample(at=time.time(), result="passed")
