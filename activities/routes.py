"""Routes of the Gateway API: how much of what comes by one goes to the canary."""

from typing import Any

from activities.dataplane import Kubernetes
from model.failure import Conflict, InfrastructureFailure, UserFailure
from model.manifests import bundle
from model.manifests.rollout import beside_name, stable_name
from model.rollout import RolloutRequest
from model.route import API_VERSION, KIND, weighted
from model.strategy import Strategy

Object = dict[str, Any]
WRITE_TRIES = 20


class Routes:
    """Sets weights; whose route it is otherwise does not matter."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes

    async def close(self, request: RolloutRequest, strategy: Strategy | None, first: bool) -> None:
        """Nothing comes to a canary by its route before it stands. At a `first` deployment there may be none yet.

        Raises:
            as `weigh`.
        """
        if strategy is None or not strategy.http_route or not bundle.served(request.release.workload):
            return
        target = request.target
        stable, canary = stable_name(target), beside_name(target, strategy)
        absent = first or request.going_back
        await self.weigh(target.namespace, strategy.http_route, stable, canary, 0, absent=absent)

    async def weigh(
        self, namespace: str, route: str, stable: str, canary: str, percent: int, absent: bool = False
    ) -> None:
        """Give the canary so many percent; what is so already is not written. `absent`: there need be no route.

        Raises:
            UserFailure: `RouteMissing`, `RouteNotWeighted`.
            InfrastructureFailure: `WriteContention`.
        """
        for _ in range(WRITE_TRIES):
            served = await self._kubernetes.serves(API_VERSION, KIND)
            found = await self._kubernetes.get(API_VERSION, KIND, route, namespace) if served else None
            if found is None:
                if absent:
                    return
                raise UserFailure(
                    "RouteMissing",
                    f"There is no HTTPRoute {route} in namespace {namespace}: make it, or take "
                    "strategy.canary.httpRoute out of the policy.",
                )
            rules = weighted(found, stable, canary, percent)
            if rules == found["spec"]["rules"]:
                return
            patch = {
                "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
                "spec": {"rules": rules},
            }
            try:
                await self._kubernetes.merge(API_VERSION, KIND, route, namespace, patch)
                return
            except Conflict:
                continue
        raise InfrastructureFailure("WriteContention", f"HTTPRoute {route} changes faster than it can be written.")
