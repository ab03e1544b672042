"""A dependency that has been found: where the endpoint that a component calls is."""

from model.value import Value
from model.workload import Dependency, Variable

_SCHEMES = {"http": "http", "kubernetes.io/ws": "ws"}


class Connection(Value):
    """Where a declared dependency is reached.

    `namespace`, `service` and `port` are the Service's, `target_port` the container's (network policies
    see that one), `application_protocol` what the Service's port says of itself.
    """

    dependency: Dependency
    namespace: str
    component: str
    service: str
    port: int
    target_port: int
    protocol: str = "TCP"
    application_protocol: str = ""

    @property
    def host(self) -> str:
        """The Service's name in the cluster's DNS."""
        return f"{self.service}.{self.namespace}.svc"

    @property
    def address(self) -> str:
        """A URL where the protocol has one, else `host:port`."""
        scheme = _SCHEMES.get(self.application_protocol)
        return f"{scheme}://{self.host}:{self.port}" if scheme else f"{self.host}:{self.port}"

    def variables(self) -> tuple[Variable, ...]:
        """The environment variables that the dependency asks for."""
        wanted = (
            (self.dependency.address_variable, self.address),
            (self.dependency.host_variable, self.host),
            (self.dependency.port_variable, str(self.port)),
        )
        return tuple(Variable(name=name, value=value) for name, value in wanted if name)
