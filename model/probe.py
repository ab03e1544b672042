"""Asking the endpoints of a running release whether they serve: who is asked, and for what. Pure."""

from collections.abc import Sequence

from model.check import GrpcCheck, HttpCheck
from model.sampling import Asked
from model.value import Value
from model.verdict import Verdict
from model.workload import Endpoint, Workload

BODY_SHOWN = 200
DEFAULT_PATH = "/healthz"
FALLBACK_PATH = "/"
_ASKED_BY_GET = ("HTTP", "GraphQL")


class Probe(Value):
    """One endpoint to be asked: by GET of `path` (empty: connecting is enough).

    With `falls_back`, a 404 for `path` leads to `/`, where anything below 500 passes.
    """

    endpoint: Endpoint
    path: str = ""
    falls_back: bool = False
    check: HttpCheck

    @property
    def asked(self) -> Asked:
        """How the answers are judged and told."""
        return _asked(self.endpoint, self.check)


class GrpcProbe(Value):
    """One gRPC endpoint whose health service is to be asked."""

    endpoint: Endpoint
    check: GrpcCheck

    @property
    def asked(self) -> Asked:
        """How the answers are judged and told."""
        return _asked(self.endpoint, self.check)


def probes(workload: Workload, endpoints: Sequence[Endpoint], checks: Sequence[HttpCheck]) -> tuple[Probe, ...]:
    """What is to be asked.

    A check that names no endpoint and no path asks all of them; one with a path asks the endpoint it
    names, or the first that speaks HTTP. HTTP and GraphQL are asked by GET; TCP, Websocket and gRPC by
    connecting (gRPC's health service by checks of its own); UDP cannot be asked. The workload's health
    path, where there is one, takes the place of the default rule on the first HTTP endpoint.
    """
    askable = [endpoint for endpoint in endpoints if endpoint.type != "UDP"]
    first = next((endpoint for endpoint in askable if endpoint.type in _ASKED_BY_GET), None)
    found: list[Probe] = []
    for check in checks:
        chosen = [endpoint for endpoint in askable if endpoint.name == check.endpoint]
        if not check.endpoint:
            chosen = [first] if check.path and first is not None else [] if check.path else askable
        for endpoint in chosen:
            if endpoint.type not in _ASKED_BY_GET:
                found.append(Probe(endpoint=endpoint, check=check))
                continue
            own = check.path or (workload.health_path if endpoint is first else "")
            found.append(Probe(endpoint=endpoint, path=own or DEFAULT_PATH, falls_back=not own, check=check))
    return tuple(found)


def grpc_probes(endpoints: Sequence[Endpoint], checks: Sequence[GrpcCheck]) -> tuple[GrpcProbe, ...]:
    """What is to be asked: the endpoint that a check names, else every gRPC endpoint."""
    return tuple(
        GrpcProbe(endpoint=endpoint, check=check)
        for check in checks
        for endpoint in endpoints
        if (endpoint.name == check.endpoint if check.endpoint else endpoint.type == "gRPC")
    )


def unknown_endpoint(endpoints: Sequence[Endpoint], checks: Sequence[HttpCheck | GrpcCheck]) -> Verdict | None:
    """Inconclusive when a check names an endpoint that the release does not have."""
    names = [endpoint.name for endpoint in endpoints if endpoint.type != "UDP"]
    for check in checks:
        if check.endpoint and check.endpoint not in names:
            return Verdict(
                health="inconclusive",
                reason="EndpointUnknown",
                message=f"The check asks endpoint {check.endpoint!r}; the release can be asked at: "
                f"{', '.join(names) or 'none'}. Change the policy or the component.",
            )
    return None


def passes(status: int, fallback: bool) -> bool:
    """Whether an HTTP status is a pass (redirects are, and are not followed)."""
    return 100 <= status < (500 if fallback else 400)


def shown(body: bytes) -> str:
    """The beginning of an answer as one printable line."""
    text = body[: BODY_SHOWN * 4].decode(errors="replace")
    return " ".join("".join(ch if ch.isprintable() else " " for ch in text).split())[:BODY_SHOWN]


def _asked(endpoint: Endpoint, check: HttpCheck | GrpcCheck) -> Asked:
    return Asked(
        name=f"endpoint {endpoint.name}",
        subject=f"Endpoint {endpoint.name} (port {endpoint.port})",
        limits=check,
        passed="HealthCheckPassed",
        failed="HealthCheckFailed",
        unanswered="HealthCheckUnreachable",
        hint="Does the process listen on the port of the endpoint, on all addresses?",
    )
