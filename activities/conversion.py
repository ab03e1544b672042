"""Changing what kind of workload a component runs as, without a moment in which nobody serves."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from activities.dataplane import Kubernetes
from model import labels, names
from model.failure import InfrastructureFailure, UserFailure
from model.manifests import bundle
from model.manifests.metadata import metadata, selector
from model.manifests.rollout import API_VERSION, KIND, beside_services, is_settled, strategy_block
from model.manifests.service import service
from model.progress import HASH, has_observed
from model.rollout import RolloutRequest
from model.strategy import Strategy

Object = dict[str, Any]
# Well below what one try of the activity may take; a later try goes on from what it finds.
PATIENCE_SECONDS = 40.0
LOOK_SECONDS = 0.2
_DEPLOYMENT = ("apps/v1", "Deployment")
_ROLLOUT = (API_VERSION, KIND)


class Conversion:
    """Puts the kind that the strategy wants beside the present one, with the release that runs now, and takes
    the present one away once the other serves. The new release then comes as it always does.

    Died anywhere in between, it goes on from what it finds; both run the same release meanwhile.
    """

    def __init__(self, kubernetes: Kubernetes, request: RolloutRequest) -> None:
        self._kubernetes = kubernetes
        self._request = request
        self._name = names.workload(request.target.component.key.name)
        self._namespace = request.target.namespace
        self._endpoints = bundle.served(request.release.workload)

    async def run(self, deployment: Object | None, rollout: Object | None) -> Strategy | None:
        """The strategy to write the release by: the policy's, or (None, or as it is) what fits the kind that is
        there: going back converts nothing, and neither is anything converted that is not well.

        Raises:
            UserFailure: `StrategyUnavailable`, `StrategyNeedsEndpoint`.
            InfrastructureFailure: `StillConverting`, to be tried again.
        """
        wanted = bundle.wanted_strategy(self._request)
        if wanted is None:
            return await self._to_deployment(deployment, rollout)
        if not await self._kubernetes.serves(*_ROLLOUT):
            raise UserFailure(
                "StrategyUnavailable",
                f"{wanted.kind} needs Argo Rollouts in the data plane; install it, or let the policy say rolling.",
            )
        if deployment is not None:
            return await self._to_rollout(wanted, deployment, rollout)
        if rollout is not None and wanted.kind == "blueGreen" and "blueGreen" not in rollout["spec"]["strategy"]:
            if self._request.going_back or not is_settled(rollout):
                return _present(rollout)
            await self._write_rollout(wanted, rollout["spec"]["template"], rollout["spec"]["replicas"], rollout)
            await self._until(_ROLLOUT, lambda found: found is not None and is_settled(found), "the switch")
        return wanted

    async def _to_rollout(self, wanted: Strategy, deployment: Object, rollout: Object | None) -> Strategy | None:
        if self._request.going_back or not _is_available(deployment):
            return None
        template, replicas = deployment["spec"]["template"], deployment["spec"].get("replicas", 1)
        await self._write_rollout(wanted, template, replicas, rollout)
        await self._until(_ROLLOUT, lambda found: found is not None and is_settled(found), "the Rollout")
        await self._delete(deployment)
        return wanted

    async def _to_deployment(self, deployment: Object | None, rollout: Object | None) -> Strategy | None:
        stable = ((rollout or {}).get("status") or {}).get("stableRS")
        if rollout is None or not stable or self._request.release.workload.kind == "scheduled-task":
            return None
        if self._request.going_back and (deployment is None or not _is_available(deployment)):
            return _present(rollout)
        if deployment is None:
            template = await self._stable_template(stable)
            body = {
                "replicas": rollout["spec"].get("replicas", 1),
                "selector": {"matchLabels": selector(self._request.target)},
                "template": template,
            }
            await self._write({**self._head(_DEPLOYMENT, template), "spec": body})
        await self._until(_DEPLOYMENT, lambda found: found is not None and _is_available(found), "the Deployment")
        if "blueGreen" in rollout["spec"]["strategy"]:
            # Its controller narrows the Service again at once, unless it has seen that it is paused.
            paused = {"spec": {"paused": True}}
            await self._kubernetes.merge(*_ROLLOUT, self._name, self._namespace, paused)
            await self._until(_ROLLOUT, lambda found: found is None or has_observed(found, 0), "the pause")
            await self._write(service(self._request, self._endpoints))
        await self._delete(rollout)
        return None

    async def _write_rollout(
        self, wanted: Strategy, template: Object, replicas: int, existing: Object | None
    ) -> None:
        """A Rollout that has no stops, with the Services that it names, of the template that runs now."""
        block = strategy_block(self._request, wanted, self._endpoints, quick=True)
        if self._endpoints:
            for beside in beside_services(self._request.target, wanted):
                if await self._kubernetes.get("v1", "Service", beside, self._namespace) is None:
                    await self._write(service(self._request, self._endpoints, beside))
        head = self._head(_ROLLOUT, template)
        if existing is not None:
            head["metadata"]["resourceVersion"] = existing["metadata"]["resourceVersion"]
        body = {
            "replicas": replicas,
            "selector": {"matchLabels": selector(self._request.target)},
            "strategy": block,
            "template": template,
        }
        await self._write({**head, "spec": body})

    def _head(self, kind: tuple[str, str], template: Object) -> Object:
        """Names what it is; the release it carries is the template's, not the one that is on its way."""
        head = metadata(self._request)
        release = str(template["metadata"]["labels"].get(labels.RELEASE, ""))
        head["labels"][labels.RELEASE] = head["annotations"][labels.RELEASE] = release
        return {"apiVersion": kind[0], "kind": kind[1], "metadata": head}

    async def _stable_template(self, stable: str) -> Object:
        chosen = labels.query({**selector(self._request.target), HASH: stable})
        found = await self._kubernetes.list("apps/v1", "ReplicaSet", self._namespace, labels=chosen)
        if not found:
            raise InfrastructureFailure(
                "StillConverting", f"The stable ReplicaSet {stable} of Rollout {self._name} is not to be found."
            )
        template: Object = found[0]["spec"]["template"]
        kept = {key: text for key, text in template["metadata"]["labels"].items() if key != HASH}
        return {**template, "metadata": {**template["metadata"], "labels": kept}}

    async def _write(self, obj: Object) -> None:
        await self._kubernetes.apply(obj)

    async def _delete(self, obj: Mapping[str, Any]) -> None:
        await self._kubernetes.delete(
            obj["apiVersion"], obj["kind"], self._name, self._namespace, uid=obj["metadata"]["uid"]
        )

    async def _until(self, kind: tuple[str, str], holds: Callable[[Object | None], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = await self._kubernetes.get(*kind, self._name, self._namespace)
            if holds(found):
                return
            if time.monotonic() > deadline:
                said = ((found or {}).get("status") or {}).get("message") or "it is not available yet"
                raise InfrastructureFailure(
                    "StillConverting",
                    f"{self._name} is to become another kind of workload and waits for {what}: {str(said)[:300]}. "
                    "What runs goes on running.",
                )
            await asyncio.sleep(LOOK_SECONDS)


def _present(rollout: Object) -> Strategy:
    """The kind of strategy that a Rollout has now."""
    return Strategy(kind="blueGreen" if "blueGreen" in rollout["spec"]["strategy"] else "canary")


def _is_available(deployment: Object) -> bool:
    """Whether the Deployment runs its template, in full, and nothing else."""
    status, wanted = deployment.get("status") or {}, int(deployment["spec"].get("replicas", 1))
    seen = int(status.get("observedGeneration") or 0) >= int(deployment["metadata"].get("generation") or 0)
    counts = [int(status.get(name) or 0) for name in ("updatedReplicas", "availableReplicas", "replicas")]
    return seen and counts == [wanted] * 3
