"""Asking a running release whether it serves: what is asked, and what the answers come to. Pure.

A pass is an answer; silence never is one.
"""

from collections.abc import Sequence
from typing import Literal

from model.check import HttpCheck
from model.value import Value
from model.verdict import Observation, Verdict
from model.workload import Endpoint, Workload

FAILING_LIMIT = 3
UNREACHABLE_LIMIT = 6
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


class Sample(Value):
    """One time asked (`at`: seconds since the epoch). `status` 0: a connection was all that was asked."""

    at: float
    result: Literal["passed", "failed", "unreachable"]
    status: int = 0
    path: str = ""
    detail: str = ""


def probes(workload: Workload, endpoints: Sequence[Endpoint], checks: Sequence[HttpCheck]) -> tuple[Probe, ...]:
    """What is to be asked.

    A check that names no endpoint and no path asks all of them; one with a path asks the endpoint it
    names, or the first that speaks HTTP. HTTP and GraphQL are asked by GET; TCP, Websocket and gRPC by
    connecting (gRPC's own health protocol is not spoken yet); UDP cannot be asked. The workload's health
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


def unknown_endpoint(endpoints: Sequence[Endpoint], checks: Sequence[HttpCheck]) -> Verdict | None:
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


def judge(probe: Probe, samples: Sequence[Sample]) -> Verdict | None:
    """What the samples so far come to, or None when more are needed.

    Healthy: the last `check.samples` passed. Unhealthy: the last three answers failed, or passing and
    failing went on in turn for too long. Inconclusive: nobody answered six times in a row.
    """
    run = _run_at_end(samples)
    where = f"{probe.endpoint.name} (port {probe.endpoint.port})"
    if not samples:
        return None
    last = samples[-1]
    if last.result == "passed" and run >= probe.check.samples:
        how = f"answered {last.status} to GET {last.path}" if last.status else "took a connection"
        return _verdict(
            "healthy", "HealthCheckPassed", f"Endpoint {where} {how}, {run} times in a row.", probe, samples
        )
    if last.result == "failed" and run >= FAILING_LIMIT:
        return _verdict("unhealthy", "HealthCheckFailed", _failed(where, last), probe, samples)
    if last.result == "unreachable" and run >= UNREACHABLE_LIMIT:
        return _verdict(
            "inconclusive",
            "HealthCheckUnreachable",
            f"Endpoint {where} did not answer: {last.detail}. Does the process listen on the port of the "
            "endpoint, on all addresses?",
            probe,
            samples,
        )
    if len(samples) < attempts(probe.check):
        return None
    failed = [sample for sample in samples if sample.result == "failed"]
    if failed:
        message = f"{len(failed)} of {len(samples)} answers failed. {_failed(where, failed[-1])}"
        return _verdict("unhealthy", "HealthCheckFailed", message, probe, samples)
    return _verdict(
        "inconclusive",
        "HealthCheckUnreachable",
        f"Endpoint {where} answered only now and then: {last.detail}",
        probe,
        samples,
    )


def attempts(check: HttpCheck) -> int:
    """How often an endpoint is asked at most."""
    return 3 * check.samples + UNREACHABLE_LIMIT


def shown(body: bytes) -> str:
    """The beginning of an answer as one printable line."""
    text = body[: BODY_SHOWN * 4].decode(errors="replace")
    return " ".join("".join(ch if ch.isprintable() else " " for ch in text).split())[:BODY_SHOWN]


def _failed(where: str, sample: Sample) -> str:
    said = f": {sample.detail}" if sample.detail else ""
    return f"Endpoint {where} answered {sample.status} to GET {sample.path}{said}"


def _run_at_end(samples: Sequence[Sample]) -> int:
    """How many samples at the end have the same result as the last."""
    run = 0
    for sample in reversed(samples):
        if sample.result != samples[-1].result:
            break
        run += 1
    return run


def _verdict(
    health: Literal["healthy", "unhealthy", "inconclusive"],
    reason: str,
    message: str,
    probe: Probe,
    samples: Sequence[Sample],
) -> Verdict:
    seen = tuple(
        Observation(
            at=sample.at,
            subject=f"endpoint {probe.endpoint.name}",
            value=" ".join(
                part for part in (sample.result, str(sample.status or ""), sample.path, sample.detail) if part
            ),
        )
        for sample in samples[-10:]
    )
    return Verdict(health=health, reason=reason, message=message, observations=seen)
