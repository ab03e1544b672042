"""How a component asks to be scraped."""

import pytest

from model import scraping
from model.failure import UserFailure
from model.image import Image
from model.key import ComponentKey
from model.manifests import bundle
from model.release import release_name
from model.workload import Endpoint, Metrics, Workload
from tests.rollouts import HTTP, request

WORKER = Workload(kind="worker")


@pytest.mark.parametrize(
    ("annotations", "asked"),
    [
        ({}, None),
        ({"prometheus.io/port": "9090"}, None),
        ({"prometheus.io/scrape": "false"}, None),
        ({"prometheus.io/scrape": "true"}, Metrics(port=0, path="/metrics")),
        (
            {"prometheus.io/scrape": "true", "prometheus.io/port": "9090", "prometheus.io/path": "/m"},
            Metrics(port=9090, path="/m"),
        ),
    ],
)
def test_annotations_of_a_component(annotations: dict[str, str], asked: Metrics | None) -> None:
    assert scraping.metrics(annotations) == asked


@pytest.mark.parametrize(
    ("annotation", "value"),
    [("scrape", "yes"), ("port", "http"), ("port", "70000"), ("path", "metrics"), ("path", "/a b")],
)
def test_a_wrong_annotation_is_refused_by_name(annotation: str, value: str) -> None:
    with pytest.raises(UserFailure, match=f"prometheus.io/{annotation}"):
        scraping.metrics({"prometheus.io/scrape": "true", f"prometheus.io/{annotation}": value})


def test_pods_carry_the_annotations_and_nothing_changes_for_those_that_ask_for_nothing() -> None:
    def annotations(workload: Workload) -> dict[str, str]:
        found: dict[str, str] = bundle.parts(request(workload)).template["metadata"]["annotations"]
        return {name: value for name, value in found.items() if name.startswith("prometheus.io/")}

    assert annotations(Workload(endpoints=(HTTP,))) == {}
    asking = Workload(endpoints=(Endpoint(name="dns", type="UDP", port=53), HTTP), metrics=Metrics())
    assert annotations(asking) == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "8080",
        "prometheus.io/path": "/metrics",
    }
    assert annotations(WORKER.model_copy(update={"metrics": Metrics()})) == {}
    assert annotations(WORKER.model_copy(update={"metrics": Metrics(port=9090)}))["prometheus.io/port"] == "9090"


def test_releases_that_ask_for_nothing_keep_the_names_that_they_always_had() -> None:
    image = Image(repository="r.test/web", digest="sha256:" + "b" * 64)
    assert release_name(ComponentKey(name="web"), "1" * 40, image, WORKER) == "web-1111111-c7af6ed9"
    scraped = WORKER.model_copy(update={"metrics": Metrics(port=9090)})
    assert release_name(ComponentKey(name="web"), "1" * 40, image, scraped) != "web-1111111-c7af6ed9"
