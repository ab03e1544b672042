"""The environment variables of a component's container."""

from collections.abc import Iterable
from typing import Any

from model.connection import Connection
from model.rollout import RolloutRequest
from model.workload import Endpoint, Variable


def environment(
    request: RolloutRequest, endpoints: tuple[Endpoint, ...], connections: Iterable[Connection]
) -> list[dict[str, Any]]:
    """PORT (the first endpoint's container port), who is running, the dependencies, the user's own.

    Later ones win where names clash: what the user says is what the container gets.
    """
    variables = [
        *([Variable(name="PORT", value=str(endpoints[0].container_port))] if endpoints else []),
        Variable(name="TOWPATH_COMPONENT", value=request.target.component.key.name),
        Variable(name="TOWPATH_ENVIRONMENT", value=request.target.step.environment),
        Variable(name="TOWPATH_RELEASE", value=request.release.name),
        Variable(name="TOWPATH_COMMIT", value=request.release.commit.id),
        *(variable for connection in connections for variable in connection.variables()),
        *request.release.workload.variables,
    ]
    return [_entry(variable) for variable in {variable.name: variable for variable in variables}.values()]


def _entry(variable: Variable) -> dict[str, Any]:
    if variable.secret:
        reference = {"name": variable.secret, "key": variable.key or variable.name}
        return {"name": variable.name, "valueFrom": {"secretKeyRef": reference}}
    return {"name": variable.name, "value": variable.value}
