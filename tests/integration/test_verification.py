"""Verification against a real Prometheus, a real gRPC server and real pods, with the data worker's rights."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from temporalio.testing import ActivityEnvironment

from activities.jobs import Jobs
from activities.prometheus import Prometheus
from activities.verification import Verification
from activities.watchkeeping import Watchkeeping
from deploy.local import prometheus as server
from deploy.local.catalogue import ETCD
from deploy.local.settings import Settings
from model import job_check, names, promql
from model.check import Baseline, GrpcCheck, HttpCheck, JobCheck, QueryCheck, Tls
from model.image import Image
from model.rollout import RolloutRequest
from model.sight import Sight
from model.verdict import Verdict
from model.vigil import VigilRequest
from model.workload import Endpoint, File, Metrics
from tests.certificates import self_signed
from tests.integration import test_cluster
from tests.integration.images import busybox
from tests.integration.test_cluster import SERVES, Plane, eventually
from tests.rollouts import with_policy

pytestmark = pytest.mark.stack
plane = test_cluster.plane

GAUGE = 'demo_errors{namespace="{{namespace}}",component="{{component}}",release="{{release}}"}'
RPC = Endpoint(name="rpc", type="gRPC", port=2379)
SECURE = Endpoint(name="secure", type="HTTP", port=2379)


def tells(metrics: str) -> str:
    """A script that serves a page and these metrics."""
    return SERVES.replace("exec httpd", f"printf '{metrics}\\n' >/tmp/www/metrics && exec httpd")


@pytest_asyncio.fixture
async def prometheus() -> AsyncIterator[Prometheus]:
    """The stack's own server."""
    settings = Settings.from_environment()
    if "prometheus" not in settings.extras:
        pytest.fail("these tests need Prometheus: towpath local up --with prometheus")
    yield Prometheus({"": server.url(settings)})


def check(query: str = f"max({GAUGE})", **more: Any) -> QueryCheck:
    return QueryCheck(name="errors", query=query, interval_seconds=0.2, **more)


async def verify(
    plane: Plane, prometheus: Prometheus, asked: RolloutRequest, *queries: QueryCheck, **rules: Any
) -> Verdict:
    verification = Verification(plane.worker, prometheus=prometheus)
    ruled = with_policy(asked, **{"queries": queries, "checks": (), **rules})
    return await ActivityEnvironment().run(verification.verify, ruled)


async def scraped(prometheus: Prometheus, asked: RolloutRequest) -> None:
    """Wait until Prometheus has a first sample of this release."""
    query = f'count(up{{namespace="{asked.target.namespace}",release="{asked.release.name}"}} == 1)'

    async def seen() -> bool:
        return (await prometheus.ask("", query, None, 5)).value is not None

    await eventually(seen, 60)


async def running(plane: Plane, prometheus: Prometheus, metrics: str) -> RolloutRequest:
    """A healthy release that tells these metrics, scraped at least once."""
    asked = plane.ask(tells(metrics), stability=0.5, metrics=Metrics())
    verdict = await plane.deploy(asked)
    assert verdict.passed, verdict.message
    await scraped(prometheus, asked)
    return asked


async def test_a_threshold_and_the_release_before_decide_over_real_metrics(
    plane: Plane, prometheus: Prometheus
) -> None:
    first = await running(plane, prometheus, "demo_errors 0.01")
    verdict = await verify(plane, prometheus, first, check(max=0.05))
    assert (verdict.health, verdict.reason) == ("healthy", "QueryPassed")

    plane.fence = 2 * (int(time.time() * 1000) // 2)
    second = await running(plane, prometheus, "demo_errors 0.04")
    second = second.model_copy(update={"last_good": first.release})
    verdict = await verify(plane, prometheus, second, check(max=0.05))
    assert verdict.passed, verdict.message
    compared = check(baseline=Baseline(max_ratio=2))
    verdict = await verify(plane, prometheus, second, compared)
    assert (verdict.health, verdict.reason) == ("unhealthy", "QueryFailed")
    assert "is 0.04, its baseline 0.01: more than 0.02" in verdict.message
    verdict = await verify(plane, prometheus, second, check(baseline=Baseline(max_ratio=5)))
    assert verdict.passed, verdict.message


NO_NUMBER = {
    f"max(nothing{GAUGE.removeprefix('demo_errors')})": "there is no data",
    f"max({GAUGE}) / 0 * 0": "NaN",
    f"max({GAUGE}) / 0": "infinite",
    f'label_replace({GAUGE},"x","1","","") or {GAUGE}': "2 series",
    f"{GAUGE}[5m]": "matrix",
    f"max({GAUGE}": "parse error",
    "vector(1) + on() (vector(1) or label_replace(vector(1),'a','b','',''))": "duplicate",
}


async def test_what_is_no_number_is_inconclusive(plane: Plane, prometheus: Prometheus) -> None:
    asked = await running(plane, prometheus, "demo_errors 1")
    for query, reason in NO_NUMBER.items():
        verdict = await verify(plane, prometheus, asked, check(query, max=1e9, error_limit=2))
        assert verdict.health == "inconclusive", f"{query}: {verdict.message}"
        assert reason in verdict.message


async def test_a_server_that_is_not_there_is_inconclusive(plane: Plane) -> None:
    verdict = await verify(plane, Prometheus({"": "http://127.0.0.1:9"}), plane.ask(SERVES), check(max=1))
    assert (verdict.health, verdict.reason) == ("inconclusive", "QueryInconclusive")


@pytest.mark.parametrize(
    "value", ['"} or vector(1) #', "\\", "a\nb", "'", "`", "ü\u2028", "a|b.*", "\\x41", "\x00"]
)
async def test_prometheus_itself_reads_what_was_filled_in_as_it_was(value: str) -> None:
    values = dict.fromkeys(promql.VARIABLES, value)
    async with httpx.AsyncClient(base_url=server.url(Settings.from_environment())) as client:
        for operator in ("=", "=~", "!~"):
            query = promql.fill(f'absent(nothing{{x="y",release{operator}"{{{{release}}}}"}})', values)
            answer = (await client.post("/api/v1/query", data={"query": query})).json()
            assert answer["status"] == "success", answer
            [series] = answer["data"]["result"]
            assert series["metric"] == {"x": "y"} | ({"release": value} if operator == "=" else {})


@pytest_asyncio.fixture
async def etcd(plane: Plane) -> Image:
    """An image with a real server of grpc.health.v1 in it."""
    settings = Settings.from_environment()
    return await asyncio.to_thread(busybox, settings, programs={"etcd": ETCD.folder(settings) / "etcd"})


async def test_a_real_grpc_server_is_asked_for_its_health(
    plane: Plane, prometheus: Prometheus, etcd: Image
) -> None:
    url = "http://0.0.0.0:2379"
    script = f"exec etcd --data-dir /tmp/data --listen-client-urls {url} --advertise-client-urls {url}"
    asked = plane.ask(script, image=etcd, endpoints=(RPC,), stability=1)
    assert (await plane.deploy(asked)).passed
    verdict = await verify(plane, prometheus, asked, grpc=(GrpcCheck(timeout_seconds=10),))
    assert (verdict.health, verdict.reason) == ("healthy", "HealthCheckPassed"), verdict.message
    assert "Endpoint rpc (port 2379) is SERVING, 3 times in a row." in verdict.message
    unknown = GrpcCheck(service="shop.Cart", error_limit=2, timeout_seconds=10)
    verdict = await verify(plane, prometheus, asked, grpc=(unknown,))
    assert (verdict.health, verdict.reason) == ("inconclusive", "HealthCheckUnreachable")


async def test_tls_is_believed_by_the_authority_in_the_components_namespace(
    plane: Plane, prometheus: Prometheus, etcd: Image
) -> None:
    asked = plane.ask("true", image=etcd)
    namespace, service = asked.target.namespace, names.workload(asked.release.component.name)
    certificate, key = self_signed(f"{service}.{namespace}.svc")
    url = "https://0.0.0.0:2379"
    script = (
        f"exec etcd --data-dir /tmp/data --listen-client-urls {url} --advertise-client-urls {url} "
        "--cert-file /etc/tls.crt --key-file /etc/tls.key"
    )
    files = (File(path="/etc/tls.crt", value=certificate.decode()), File(path="/etc/tls.key", value=key.decode()))
    asked = plane.ask(script, image=etcd, endpoints=(SECURE,), files=files, stability=1)
    assert (await plane.deploy(asked)).passed
    wanted = HttpCheck(path="/health", tls=Tls(ca_config_map="authority"), error_limit=2, timeout_seconds=10)
    for authority, health in ((self_signed("other")[0], "inconclusive"), (certificate, "healthy")):
        obj = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "authority", "namespace": namespace},
            "data": {"ca.crt": authority.decode()},
        }
        await plane.admin.apply(obj)
        verdict = await verify(plane, prometheus, asked, checks=(wanted,))
        assert verdict.health == health, verdict.message
    grpc = GrpcCheck(endpoint="secure", tls=Tls(ca_config_map="authority"), timeout_seconds=10)
    verdict = await verify(plane, prometheus, asked, grpc=(grpc,))
    assert verdict.health == "healthy", verdict.message


async def test_a_vigil_sees_a_crash_loop_and_metrics_that_turn_bad(plane: Plane, prometheus: Prometheus) -> None:
    page = tells("demo_errors 0").replace("exec httpd -f", "httpd")
    script = f"{page}; sleep 12; printf 'demo_errors 9\\n' >/tmp/www/metrics; sleep 3600"
    asked = plane.ask(script, stability=0.5, metrics=Metrics())
    assert (await plane.deploy(asked)).passed
    await scraped(prometheus, asked)
    sight = await look_until(plane, prometheus, asked, check(max=1, failure_limit=2))
    assert sight.alarm is not None
    assert (sight.alarm.health, sight.alarm.reason) == ("unhealthy", "QueryFailed")
    assert "is 9, more than 1" in sight.alarm.message

    crashing = plane.ask(f"{page}; sleep 4; exit 3", stability=0.5)
    assert (await plane.deploy(crashing)).passed
    sight = await look_until(plane, prometheus, crashing)
    assert sight.alarm is not None
    assert (sight.alarm.reason, sight.alarm.health) == ("PodsUnhealthy", "unhealthy")


async def look_until(plane: Plane, prometheus: Prometheus, asked: RolloutRequest, *queries: QueryCheck) -> Sight:
    """Look every second until there is an alarm; each look begins with what the one before remembered."""
    verification = Verification(plane.worker, prometheus=prometheus)
    watchkeeping = Watchkeeping(plane.worker, verification, prometheus)
    sight = Sight.model_validate({"memory": {}})
    target = with_policy(asked, queries=queries, checks=()).target
    async with asyncio.timeout(90):
        while sight.alarm is None:
            request = VigilRequest(
                target=target,
                release=asked.release,
                revision=asked.revision,
                interval_seconds=1,
                seconds=90,
                lane="lane",
                memory=sight.memory,
            )
            sight = await ActivityEnvironment().run(watchkeeping.look, request)
            await asyncio.sleep(1)
    return sight


@pytest.mark.parametrize(
    ("script", "health", "said"),
    [
        ("exit 0", "healthy", "exited with 0"),
        ("echo no cart; exit 3", "unhealthy", "exited with 3. Its last lines:\nno cart"),
        ("sleep 60", "inconclusive", "DeadlineExceeded"),
    ],
)
async def test_a_job_from_the_releases_own_image_is_a_check(
    plane: Plane, script: str, health: str, said: str
) -> None:
    asked = plane.ask(SERVES)
    smoke = JobCheck(
        name="smoke", command=("sh", "-c", script), timeout_seconds=60 if said != "DeadlineExceeded" else 3
    )
    jobs = Jobs(plane.worker)
    result = await ActivityEnvironment().run(jobs.run, job_check.request(asked, smoke))
    verdict = job_check.judge(smoke, result)
    assert verdict.health == health, verdict.message
    assert said in verdict.message
