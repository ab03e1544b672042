"""One look of a vigil: every check asked once, and the pods."""

import asyncio
import time
from collections.abc import Sequence

from temporalio import activity

from activities.dataplane import Kubernetes
from activities.heartbeat import beating
from activities.prometheus import Prometheus
from activities.querying import Querying
from activities.releasepods import pods_of
from activities.verification import Verification, ask_once
from model.failure import Failure
from model.gitops import located
from model.manifests import bundle
from model.probe import GrpcProbe, Probe, grpc_probes, probes
from model.reading import asked as query_asked
from model.rollout import RolloutRequest
from model.sampling import Sample
from model.sight import PODS, Answered, Memory, Sight, look, pods_seen
from model.vigil import VigilRequest


class Watchkeeping:
    """Looks at what was promoted. Jobs are not run again: they are asked once, before the promotion counts."""

    def __init__(self, kubernetes: Kubernetes, verification: Verification, prometheus: Prometheus) -> None:
        self._kubernetes = kubernetes
        self._verification = verification
        self._prometheus = prometheus

    @activity.defn(name="verification.look")
    async def look(self, request: VigilRequest) -> Sight:
        """Ask every check once and look at the pods; whatever cannot be asked says nothing, and is told."""
        async with beating():
            memory, pods = await self._pods(request)
            rollout = RolloutRequest(
                target=request.target,
                release=request.release,
                revision=request.revision,
                fence=request.fence,
                last_good=request.last_good,
            )
            # At once: a slow answer to one check must not leave the others without theirs.
            endpoints, queries = await asyncio.gather(self._endpoints(located(rollout)), self._queries(rollout))
            return look(memory, (pods, *endpoints, *queries))

    async def _pods(self, request: VigilRequest) -> tuple[Memory, Answered]:
        workload, memory = request.release.workload, request.memory
        if workload.kind == "scheduled-task":
            return memory, Answered(PODS, Sample(at=time.time(), result="passed", said="run on their schedule"))
        try:
            found = await pods_of(self._kubernetes, request.target, request.release)
        except Failure as failure:
            return memory, Answered(PODS, _unseen(failure))
        pods = [
            pod
            for pod in found
            if not pod["metadata"].get("deletionTimestamp") and (pod.get("status") or {}).get("phase") != "Failed"
        ]
        return pods_seen(memory, pods, workload.replicas, time.time())

    async def _endpoints(self, request: RolloutRequest) -> Sequence[Answered]:
        workload, policy = request.release.workload, request.target.step.policy
        if workload.replicas == 0:
            return ()
        endpoints = bundle.served(workload)
        asked: list[Probe | GrpcProbe] = [
            *probes(workload, endpoints, policy.checks),
            *grpc_probes(endpoints, policy.grpc),
        ]
        samples = await asyncio.gather(*(self._probe(request, probe) for probe in asked))
        return [Answered(probe.asked, sample) for probe, sample in zip(asked, samples, strict=True)]

    async def _probe(self, request: RolloutRequest, probe: Probe | GrpcProbe) -> Sample:
        try:
            return await ask_once(probe, await self._verification.place(request, probe))
        except Failure as failure:
            return _unseen(failure)

    async def _queries(self, request: RolloutRequest) -> Sequence[Answered]:
        if request.release.workload.replicas == 0:
            return ()
        checks = request.target.step.policy.queries
        samples = await asyncio.gather(*(Querying(self._prometheus, request, check).ask() for check in checks))
        return [Answered(query_asked(check), sample) for check, sample in zip(checks, samples, strict=True)]


def _unseen(failure: Failure) -> Sample:
    return Sample(at=time.time(), result="unreachable", said=f"cannot be asked: {failure.message}"[:300])
