"""How a component runs: its endpoints, settings and size."""

from typing import Literal

from pydantic import Field

from model.value import Value

Visibility = Literal["project", "namespace", "internal", "external"]


class Endpoint(Value):
    """A port that others may reach. `port` is the Service's, `target_port` the container's (default equal)."""

    name: str
    type: Literal["HTTP", "GraphQL", "Websocket", "gRPC", "TCP", "UDP"] = "HTTP"
    port: int = Field(ge=1, le=65535)
    target_port: int = Field(default=0, ge=0, le=65535)
    visibility: tuple[Visibility, ...] = ("project",)
    base_path: str = ""

    @property
    def container_port(self) -> int:
        """The port the process listens on."""
        return self.target_port or self.port


class Variable(Value):
    """An environment variable: a literal, or a key of a Secret in the data-plane namespace."""

    name: str
    value: str = ""
    secret: str = ""
    key: str = ""


class File(Value):
    """A configuration file mounted at `path` (absolute), literal or from a Secret's key."""

    path: str
    value: str = ""
    secret: str = ""
    key: str = ""


class Dependency(Value):
    """An endpoint of another component that this one calls; egress is opened and its address injected."""

    component: str
    project: str = ""
    endpoint: str
    address_variable: str = ""
    host_variable: str = ""
    port_variable: str = ""


class Metrics(Value):
    """Where the process tells Prometheus of itself: a container's port (0: the first endpoint's) and a path."""

    port: int = Field(default=0, ge=0, le=65535)
    path: str = "/metrics"


class Workload(Value):
    """Everything about running a release that does not differ between environments.

    `health_path` empty means the default rule of verification: `/healthz`, and where that is 404, `/`.
    CPU and memory are Kubernetes quantities. With `metrics` the pods ask to be scraped.
    """

    kind: Literal["service", "web-application", "worker", "scheduled-task"] = "service"
    replicas: int = Field(default=1, ge=0, le=1000)
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    variables: tuple[Variable, ...] = ()
    files: tuple[File, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    health_path: str = ""
    cpu_request: str = "50m"
    cpu_limit: str = "500m"
    memory_request: str = "64Mi"
    memory_limit: str = "256Mi"
    schedule: str = ""
    metrics: Metrics | None = None
