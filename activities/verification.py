"""Checks from inside the data plane, after the rollout is done."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from temporalio import activity

from activities import probing
from activities.dataplane import Kubernetes
from activities.heartbeat import beating
from activities.probing import Place
from activities.prometheus import Prometheus
from activities.querying import Querying
from activities.releasepods import pods_of
from model import names
from model.check import QueryCheck, Tls
from model.failure import InfrastructureFailure
from model.gitops import located
from model.manifests import bundle
from model.probe import GrpcProbe, Probe, grpc_probes, probes, unknown_endpoint
from model.reading import asked as query_asked
from model.rollout import RolloutRequest
from model.sampling import Asked, Sample, judge
from model.verdict import Verdict, worst

Object = dict[str, Any]
Ask = Callable[[], Awaitable[Sample]]
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
    """Asks the running release through its Service, and Prometheus about it."""

    def __init__(
        self, kubernetes: Kubernetes, reach: Reach | None = None, prometheus: Prometheus | None = None
    ) -> None:
        self._kubernetes = kubernetes
        self._reach = reach or ClusterAddress(kubernetes)
        self._prometheus = prometheus or Prometheus()

    @activity.defn(name="verification.verify")
    async def verify(self, request: RolloutRequest) -> Verdict:
        """The worst verdict of the step's checks (Jobs excepted); errors and missing data are inconclusive.

        One that is going back is asked through its endpoints alone.

        Nothing is asked before the Service leads to pods of this release and to no others. A release
        without endpoints that can be asked, or scaled to zero, is left to the rollout's own verdict:
        healthy, `NothingToProbe`. After the policy's `verification_seconds`, counted from the first try of
        this activity, each check is judged by what was seen until then.

        Raises:
            InfrastructureFailure: the API server cannot be asked.
        """
        request = located(request)
        began = _began(activity.info().heartbeat_details) or time.time()
        end = began + request.target.step.policy.verification_seconds
        async with beating(lambda: {"began": began}):
            return await self._verify(request, end)

    async def _verify(self, request: RolloutRequest, end: float) -> Verdict:
        workload, policy = request.release.workload, request.target.step.policy
        endpoints = bundle.served(workload)
        wrong = unknown_endpoint(endpoints, (*policy.checks, *policy.grpc))
        if wrong is not None:
            return wrong
        asked: list[Probe | GrpcProbe] = [
            *probes(workload, endpoints, policy.checks),
            *grpc_probes(endpoints, policy.grpc),
        ]
        # On the way back only whether it serves is asked: what queries say is still of the release that failed.
        queries = () if request.going_back else policy.queries
        if workload.replicas == 0 or not (asked or queries):
            return Verdict(
                health="healthy",
                reason="NothingToProbe",
                message="No endpoint is to be asked: the rollout itself is what was observed.",
            )
        if asked:
            stranger = await self._await_endpoints(request)
            if stranger:
                return Verdict(health="inconclusive", reason="EndpointsNotReady", message=stranger)
        return worst(
            await _together(
                [
                    *(self._probe(request, probe, end) for probe in asked),
                    *(self._query(request, check, end) for check in queries),
                ]
            )
        )

    async def _probe(self, request: RolloutRequest, probe: Probe | GrpcProbe, end: float) -> Verdict:
        """Ask one endpoint until the samples come to a verdict."""
        place = await self.place(request, probe)
        return await _settled(probe.asked, lambda: ask_once(probe, place), end)

    async def _query(self, request: RolloutRequest, check: QueryCheck, end: float) -> Verdict:
        """Ask Prometheus until the samples come to a verdict."""
        querying = Querying(self._prometheus, request, check)
        return await _settled(query_asked(check), querying.ask, end)

    async def place(self, request: RolloutRequest, probe: Probe | GrpcProbe) -> Place:
        """Where an endpoint is to be asked.

        Raises:
            InfrastructureFailure: there is no such Service (yet), or `AuthorityMissing`.
        """
        namespace = request.target.namespace
        service = request.service or names.workload(request.target.component.key.name)
        host, port = await self._reach.address(namespace, service, probe.endpoint.port)
        authority = await self._authority(namespace, probe.check.tls) if probe.check.tls else ""
        return Place(host=host, port=port, name=f"{service}.{namespace}.svc", authority=authority)

    async def _authority(self, namespace: str, tls: Tls) -> str:
        if not tls.ca_config_map:
            return ""
        found = await self._kubernetes.get("v1", "ConfigMap", tls.ca_config_map, namespace)
        authority = ((found or {}).get("data") or {}).get(tls.key, "")
        if not authority:
            raise InfrastructureFailure(
                "AuthorityMissing",
                f"ConfigMap {tls.ca_config_map} in namespace {namespace} has no {tls.key}: put the "
                "certificate authority of the component's TLS there.",
            )
        return str(authority)

    async def _await_endpoints(self, request: RolloutRequest) -> str:
        """Wait until every ready endpoint of the Service is a pod of this release; else say what is there."""
        service = request.service or names.workload(request.target.component.key.name)
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
        own = {pod["metadata"]["uid"] for pod in await pods_of(self._kubernetes, request.target, request.release)}
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


async def ask_once(probe: Probe | GrpcProbe, place: Place) -> Sample:
    """Ask an endpoint as its kind wants it."""
    if isinstance(probe, GrpcProbe):
        return await probing.ask_health(probe, place)
    return await probing.get(probe, place) if probe.path else await probing.connect(probe, place)


async def _settled(asked: Asked, ask: Ask, end: float) -> Verdict:
    """Ask until the answers come to a verdict, at the latest at `end` (seconds since the epoch)."""
    samples: list[Sample] = []
    pause = asked.limits.initial_delay_seconds
    while True:
        # Elapsed time is the monotonic clock's while this process runs; a clock that is set changes little.
        left = end - time.time()
        await asyncio.sleep(max(0.0, min(pause, left)))
        late = left <= pause
        if not late:
            samples.append(await ask())
        verdict = judge(asked, samples, late=late)
        if verdict is not None:
            return verdict
        pause = asked.limits.interval_seconds


async def _together(steps: Sequence[Coroutine[Any, Any, Verdict]]) -> tuple[Verdict, ...]:
    """All at once; the first failure ends the others and is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(step) for step in steps]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return tuple(task.result() for task in tasks)


def _began(details: Sequence[Any]) -> float | None:
    """When the first try began, as its heartbeats told; never in the future."""
    if details and isinstance(details[0], dict) and isinstance(details[0].get("began"), int | float):
        return min(float(details[0]["began"]), time.time())
    return None
