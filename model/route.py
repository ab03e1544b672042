"""The weights of a Gateway API route between the stable release and the canary. Pure.

https://gateway-api.sigs.k8s.io/guides/traffic-splitting/
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from model.failure import UserFailure
from model.rollout import Applied
from model.value import Value

Object = dict[str, Any]
API_VERSION = "gateway.networking.k8s.io/v1"
KIND = "HTTPRoute"


class Weighing(Value):
    """Give the canary so many percent of what comes by a route, as far as `applied` still counts."""

    applied: Applied
    route: str
    stable: str
    canary: str
    percent: int


def weighted(route: Mapping[str, Any], stable: str, canary: str, percent: int) -> list[Object]:
    """The route's rules with the two Services' weights; rules that name but one of them stay as they are.

    Raises:
        UserFailure: `RouteNotWeighted`, no rule names both.
    """
    rules: list[Object] = deepcopy(list((route.get("spec") or {}).get("rules") or []))
    shares = {stable: 100 - percent, canary: percent}
    found = False
    for rule in rules:
        ours = [ref for ref in rule.get("backendRefs") or [] if _service(ref, route) in shares]
        if {_service(ref, route) for ref in ours} == set(shares):
            found = True
            for ref in ours:
                ref["weight"] = shares[_service(ref, route)]
    if not found:
        raise UserFailure(
            "RouteNotWeighted",
            f"HTTPRoute {route['metadata']['name']}: spec.rules: one rule must have both Services {stable} and "
            f"{canary} as its backendRefs, so that their weights can be set.",
        )
    return rules


def _service(ref: Mapping[str, Any], route: Mapping[str, Any]) -> str:
    """The Service of the route's own namespace that a backendRef names; empty for anything else."""
    own = ref.get("namespace") in (None, "", route["metadata"].get("namespace"))
    service = ref.get("kind", "Service") == "Service" and not ref.get("group")
    return str(ref.get("name")) if own and service else ""
