"""Where the endpoints are that a component calls: read from the Services of their components."""

from collections.abc import Sequence

from activities.dataplane import Kubernetes
from model import names
from model.connection import Connection
from model.failure import UserFailure
from model.manifests.network import dependency_namespace
from model.manifests.service import port_name
from model.rollout import RolloutRequest, Target
from model.workload import Dependency


class Dependencies:
    """Finds declared dependencies in the same environment."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes

    async def connections(self, request: RolloutRequest) -> Sequence[Connection]:
        """All dependencies of the release, found.

        Raises:
            UserFailure: `DependencyMissing`, naming the endpoint that does not run there.
        """
        return [
            await self._find(request.target, dependency) for dependency in request.release.workload.dependencies
        ]

    async def _find(self, target: Target, dependency: Dependency) -> Connection:
        namespace = dependency_namespace(target, dependency.project)
        service = names.workload(dependency.component)
        found = await self._kubernetes.get("v1", "Service", service, namespace)
        for port in found["spec"]["ports"] if found else ():
            if port.get("name") == port_name(dependency.endpoint):
                return Connection(
                    dependency=dependency,
                    namespace=namespace,
                    component=dependency.component,
                    service=service,
                    port=port["port"],
                    target_port=port["targetPort"],
                    protocol=port.get("protocol", "TCP"),
                    application_protocol=port.get("appProtocol", ""),
                )
        raise UserFailure(
            "DependencyMissing",
            f"{target.component.key} calls endpoint {dependency.endpoint!r} of {dependency.component}, which does "
            f"not run in {target.step.neighbours or target.step.environment} (namespace {namespace}); "
            "deploy it there first.",
        )
