"""The server's answers to the cluster's questions, and to whoever else asks."""

from typing import Any

import httpx
import pytest

from activities.informer import Object
from model.failure import InfrastructureFailure
from triggers.admission import Admission
from triggers.body import BodyReader


class Cluster:
    """Environments by name; None: it does not answer."""

    def __init__(self, *names: str, away: bool = False) -> None:
        self.names = names
        self.away = away
        self.asked: list[str] = []

    async def list(
        self, api_version: str, kind: str, namespace: str = "", labels: str = "", fields: str = ""
    ) -> list[Object]:
        if self.away:
            raise InfrastructureFailure("ClusterUnavailable", "The API server does not answer.")
        self.asked.append(namespace)
        return [{"metadata": {"name": name}} for name in self.names]


def client(cluster: Cluster, limit: int = 100_000) -> httpx.AsyncClient:
    app = Admission(cluster, BodyReader(limit, 1.0, limit)).application()
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://towpath")


def pipeline(*paths: tuple[str, str]) -> Object:
    spec = {
        "promotionPaths": [
            {"sourceEnvironmentRef": source, "targetEnvironmentRefs": [{"name": target}]}
            for source, target in paths
        ]
    }
    return {
        "apiVersion": "openchoreo.dev/v1alpha1",
        "kind": "DeploymentPipeline",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": spec,
    }


CIRCLE = pipeline(("dev", "live"), ("live", "dev"))
KNOWN = Cluster("dev", "live")


async def ask(cluster: Cluster, obj: Object | None, operation: str = "CREATE", **question: Any) -> dict[str, Any]:
    review = {"request": {"uid": "u-1", "operation": operation, "namespace": "shop", "object": obj, **question}}
    async with client(cluster) as http:
        answer = await http.post("/admission", json={"kind": "AdmissionReview"} | review)
    assert answer.status_code == 200, answer.text
    response: dict[str, Any] = answer.json()["response"]
    assert response["uid"] == "u-1"
    return response


@pytest.mark.parametrize(
    ("obj", "cluster", "reason"),
    [
        (pipeline(("dev", "live")), KNOWN, ""),
        (CIRCLE, KNOWN, "PipelineCycle"),
        (CIRCLE, Cluster(), "PipelineCycle"),
        (CIRCLE, Cluster(away=True), "PipelineCycle"),
        (pipeline(("dev", "prod")), KNOWN, "UnknownEnvironment"),
        (pipeline(("dev", "prod")), Cluster(), ""),
        (pipeline(("dev", "prod")), Cluster(away=True), ""),
        ({**pipeline(("dev", "live")), "spec": {"promotionPaths": "x"}}, KNOWN, "InvalidManifest"),
        ({"kind": "Project", "spec": {}}, KNOWN, ""),
    ],
)
async def test_what_can_never_work_is_refused_with_its_reason(obj: Object, cluster: Cluster, reason: str) -> None:
    response = await ask(cluster, obj)
    assert response["allowed"] is not bool(reason)
    if reason:
        assert response["status"]["code"] == 422
        assert response["status"]["message"].startswith(f"{reason}: ")


async def test_the_message_names_the_field() -> None:
    response = await ask(KNOWN, pipeline(("dev", "prod")))
    assert "spec.promotionPaths.0.targetEnvironmentRefs.0" in response["status"]["message"]


async def test_what_may_still_come_and_what_was_not_looked_at_is_warned_of() -> None:
    [missing] = (await ask(Cluster(), pipeline(("dev", "prod"))))["warnings"]
    assert "prod" in missing
    [unseen] = (await ask(Cluster(away=True), pipeline(("dev", "prod"))))["warnings"]
    assert "did not check" in unseen
    assert "warnings" not in await ask(KNOWN, pipeline(("dev", "live")))


async def test_what_was_there_before_may_be_labelled_and_deleted() -> None:
    labelled = {**CIRCLE, "metadata": {**CIRCLE["metadata"], "labels": {"a": "b"}}}
    assert (await ask(KNOWN, labelled, "UPDATE", oldObject=CIRCLE))["allowed"]
    going = {**CIRCLE, "metadata": {**CIRCLE["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert (await ask(KNOWN, going, "UPDATE", oldObject=pipeline(("dev", "live"))))["allowed"]
    assert (await ask(KNOWN, None, "DELETE", oldObject=CIRCLE))["allowed"]
    assert not (await ask(KNOWN, CIRCLE, "UPDATE", oldObject=pipeline(("dev", "live"))))["allowed"]


async def test_environments_are_those_of_the_manifest_s_namespace() -> None:
    cluster = Cluster("dev", "live")
    await ask(cluster, pipeline(("dev", "live")))
    assert cluster.asked == ["shop"]


async def test_strangers_learn_nothing_and_send_little() -> None:
    async with client(KNOWN, limit=1000) as http:
        bad = await http.post("/admission", content=b'{"request": {"uid": 7, "object": "geheim"}}')
        assert (bad.status_code, bad.json()["reason"]) == (400, "BadReview")
        assert "geheim" not in bad.text
        assert (await http.post("/admission", content=b"x" * 1001)).status_code == 413
        assert (await http.get("/admission")).status_code == 405
        assert (await http.post("/api/v1/components")).status_code == 404
