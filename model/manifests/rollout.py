"""The Argo Rollout of a component whose releases take over step by step or behind a switch."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from model import names
from model.connection import Connection
from model.failure import UserFailure
from model.manifests.metadata import metadata, selector
from model.manifests.pod import pod_template
from model.progress import HASH, is_complete
from model.rollout import RolloutRequest, Target
from model.strategy import Strategy, canary_steps, quantity
from model.workload import Endpoint

Object = dict[str, Any]
Steering = Callable[[Object, Object | None], Object]
API_VERSION = "argoproj.io/v1alpha1"
KIND = "Rollout"


def rollout(
    request: RolloutRequest,
    strategy: Strategy,
    endpoints: tuple[Endpoint, ...],
    connections: Iterable[Connection],
) -> Object:
    """A Rollout with the very pod template that a Deployment would have.

    The controller never decides: every pause is without an end, and no analysis is its own. Only where a
    release does not come up in time does it abort by itself, so that a canary is not left to itself when
    nobody drives. Going back has no stops at all.

    Raises:
        UserFailure: `StrategyNeedsEndpoint`.
    """
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": metadata(request),
        "spec": {
            "replicas": request.release.workload.replicas,
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": max(10, math.ceil(request.target.step.policy.deadline_seconds)),
            "progressDeadlineAbort": not request.going_back,
            "selector": {"matchLabels": selector(request.target)},
            "strategy": strategy_block(request, strategy, endpoints, quick=request.going_back),
            "template": pod_template(request, endpoints, connections),
        },
    }


def strategy_block(
    request: RolloutRequest, strategy: Strategy, endpoints: tuple[Endpoint, ...], quick: bool
) -> Object:
    """`spec.strategy`; `quick` leaves out every stop.

    Raises:
        UserFailure: `StrategyNeedsEndpoint`.
    """
    if strategy.kind == "blueGreen":
        if not endpoints:
            raise UserFailure(
                "StrategyNeedsEndpoint",
                f"{request.release.component} has no endpoint: there is nothing to switch. Use rolling or canary.",
            )
        return {
            "blueGreen": {
                "activeService": names.workload(request.target.component.key.name),
                "previewService": beside_name(request.target, strategy),
                "autoPromotionEnabled": quick,
                "scaleDownDelaySeconds": strategy.scale_down_delay_seconds,
                # Zero would keep the pods of an aborted release for ever.
                "abortScaleDownDelaySeconds": max(1, strategy.scale_down_delay_seconds),
            }
        }
    canary: Object = {
        "maxSurge": quantity(strategy.max_surge),
        "maxUnavailable": quantity(strategy.max_unavailable),
    }
    if endpoints:
        canary["canaryService"] = beside_name(request.target, strategy)
        if strategy.http_route:
            canary["stableService"] = stable_name(request.target)
    if not quick:
        canary["steps"] = canary_steps(strategy)
    return {"canary": canary}


def beside_name(target: Target, strategy: Strategy) -> str:
    """Name of the Service that leads to the new release alone, before it has taken over."""
    suffix = "preview" if strategy.kind == "blueGreen" else "canary"
    return f"{names.workload(target.component.key.name)}-{suffix}"


def stable_name(target: Target) -> str:
    """Name of the Service that leads to the stable release alone; a route has it beside the canary's."""
    return f"{names.workload(target.component.key.name)}-stable"


def beside_services(target: Target, strategy: Strategy) -> tuple[str, ...]:
    """The Services that are there besides the component's own."""
    beside = beside_name(target, strategy)
    return (beside, stable_name(target)) if strategy.http_route else (beside,)


def proven_service(target: Target, strategy: Strategy) -> str:
    """The Service that must never lead to a release before it is proven; empty when there is none."""
    if strategy.kind == "blueGreen":
        return names.workload(target.component.key.name)
    return stable_name(target) if strategy.http_route else ""


def steered_services(target: Target, strategy: Strategy) -> tuple[str, ...]:
    """The Services whose selectors are the controller's to narrow."""
    return (proven_service(target, strategy), *beside_services(target, strategy))


def narrowed(service: Object, existing: Mapping[str, Any] | None, rollout: Mapping[str, Any] | None) -> Object:
    """The Service as it is to be written while the controller steers it: to which pods it leads stays as it is.

    Writing it as rendered would lead to every pod of the component for a moment, also to unproven ones, and
    the controller takes an active Service without its hash for a first deployment.
    """
    steered = ((existing or {}).get("spec") or {}).get("selector") or {}
    found = steered.get(HASH) or ((rollout or {}).get("status") or {}).get("stableRS")
    if not found:
        return service
    spec = {**service["spec"], "selector": {**service["spec"]["selector"], HASH: found}}
    return {**service, "spec": spec}


def steering(
    obj: Object, request: RolloutRequest, strategy: Strategy | None, rollout: Mapping[str, Any] | None
) -> Steering | None:
    """How a Service is written that the controller steers, given the one that is there; None for all else."""
    name = obj["metadata"]["name"]
    if strategy is None or obj["kind"] != "Service" or name not in steered_services(request.target, strategy):
        return None
    # What stands beside leads where the controller has put it; the proven one never to more than is proven.
    fallback = rollout if name == proven_service(request.target, strategy) else None
    return lambda service, existing: narrowed(service, existing, fallback)


def is_settled(rollout: Mapping[str, Any]) -> bool:
    """Whether one release alone runs, in full."""
    status = rollout.get("status") or {}
    wanted = int(rollout["spec"].get("replicas", 1))
    return is_complete(dict(rollout)) and int(status.get("availableReplicas") or 0) >= wanted
