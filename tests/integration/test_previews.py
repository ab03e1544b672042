"""Previews on the real API server, with the rights of those who make them: where they are, and that they go."""

from typing import Any

import httpx
import pytest
from temporalio.testing import ActivityEnvironment

from activities.apiserver import ApiServer
from activities.preview_namespace import PreviewNamespace
from activities.preview_plans import PlanRequest, PreviewPlans
from activities.resources import Resources
from model import names, preview_rules
from model.change_request import ChangeRequest
from model.failure import UserFailure
from model.key import ComponentKey
from model.pipeline import EnvironmentStep
from model.preview import Candidates
from model.repository import normalise
from model.rollout import RolloutRequest
from model.workload import Dependency, Endpoint
from tests.integration.test_cluster import SERVES, Plane, plane
from tests.integration.test_resources import admin, control, manifest, namespace, resources
from tests.unit.manifests import HELLO_WORLD

pytestmark = pytest.mark.stack
__all__ = ["admin", "control", "namespace", "plane", "resources"]

HTTP = Endpoint(name="http", port=80, target_port=8080, visibility=("project",))


def previewed(asked: RolloutRequest, change: str = "7") -> RolloutRequest:
    """The same release at its preview's place."""
    target = asked.target
    step = preview_rules.step(target.step, change)
    component = target.component
    namespace = names.preview_namespace(component.key.namespace, component.project, component.key.name, change)
    return asked.model_copy(update={"target": target.model_copy(update={"step": step, "namespace": namespace})})


async def address(plane: Plane, asked: RolloutRequest) -> str:
    found: str = await ActivityEnvironment().run(PreviewNamespace(plane.worker).address, asked.target)
    return found


async def remove(plane: Plane, asked: RolloutRequest) -> None:
    await ActivityEnvironment().run(PreviewNamespace(plane.worker).remove, asked.target)


async def test_a_preview_answers_at_its_address_and_goes_whole(plane: Plane) -> None:
    asked = previewed(plane.ask(SERVES))
    assert await address(plane, asked) == ""
    try:
        assert (await plane.deploy(asked)).passed
        assert (await plane.verify(asked)).passed
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(await address(plane, asked))).text == "fine\n"
        quota = await plane.admin.get("v1", "ResourceQuota", "towpath", asked.target.namespace)
        assert quota is not None
        assert (quota["spec"]["hard"]["pods"], quota["spec"]["hard"]["requests.cpu"]) == ("20", "3")
        # What a person has put there keeps an environment's namespace; a preview's goes all the same.
        metadata = {"name": "notes", "namespace": asked.target.namespace}
        await plane.admin.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    finally:
        await remove(plane, asked)
    assert await plane.admin.get("v1", "Namespace", asked.target.namespace) is None
    await remove(plane, asked)


async def test_an_environments_namespace_is_never_taken_for_a_preview(plane: Plane) -> None:
    asked = plane.ask(SERVES)
    await plane.apply(asked)
    mistaken = previewed(asked)
    wrong = mistaken.model_copy(
        update={"target": mistaken.target.model_copy(update={"namespace": asked.target.namespace})}
    )
    with pytest.raises(UserFailure) as refused:
        await remove(plane, wrong)
    assert refused.value.reason == "NamespaceTaken"
    kept = await plane.admin.get("v1", "Namespace", asked.target.namespace)
    assert kept is not None
    assert "deletionTimestamp" not in kept["metadata"]


async def test_a_preview_calls_what_its_neighbours_environment_runs(plane: Plane) -> None:
    api = plane.ask(SERVES, component="api", endpoints=(HTTP,))
    assert (await plane.deploy(api)).passed
    service = await plane.admin.get("v1", "Service", "api", api.target.namespace)
    assert service is not None
    # Of Debian's static busybox wget looks names up even where there are none, and falls over it; nc does not.
    call = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {service['spec']['clusterIP']} 80 | tail -n 1"
    script = (
        f"mkdir -p /tmp/www && until {call} | tee /tmp/www/index.html | grep fine; do sleep 0.2; done; "
        "exec httpd -f -p $PORT -h /tmp/www"
    )
    dependency = Dependency(component="api", endpoint="http", address_variable="API_URL")
    asked = previewed(plane.ask(script, dependencies=(dependency,)))
    try:
        assert (await plane.deploy(asked)).passed
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(await address(plane, asked))).text == "fine\n"
    finally:
        await remove(plane, asked)


@pytest.mark.asyncio(loop_scope="module")
async def test_who_wants_previews_is_asked_of_the_component_and_its_project(
    admin: ApiServer, control: ApiServer, resources: Resources, namespace: str
) -> None:
    plans = PreviewPlans(control, resources)
    found = manifest(HELLO_WORLD, namespace)
    await admin.create(found)
    change = _request(found)

    async def look(change: ChangeRequest) -> Candidates:
        candidates: Candidates = await ActivityEnvironment().run(plans.candidates, change)
        # Other namespaces may hold components of the same repository.
        return Candidates(
            wanted=tuple(each for each in candidates.wanted if each.key.namespace == namespace),
            unwanted=tuple(each for each in candidates.unwanted if each.component.namespace == namespace),
        )

    off = await look(change)
    assert [each.reason for each in off.unwanted] == ["PreviewsOff"]
    metadata = {"name": "default", "namespace": namespace, "annotations": {preview_rules.PREVIEWS: "true"}}
    await admin.apply(
        {"apiVersion": "openchoreo.dev/v1alpha1", "kind": "Project", "metadata": metadata}, "test-previews"
    )
    assert [each.key.name for each in (await look(change)).wanted] == ["hello-world"]
    elsewhere = await look(change.model_copy(update={"base": "release-2"}))
    assert [each.reason for each in elsewhere.unwanted] == ["OtherBase"]
    await _annotate(admin, namespace, {preview_rules.TTL: "soon"})
    unclear = await look(change)
    assert [(each.reason, each.unclear) for each in unclear.unwanted] == [("InvalidManifest", True)]
    await _annotate(admin, namespace, {preview_rules.TTL: "8h", preview_rules.MOST: "2"})
    key = ComponentKey(namespace=namespace, name="hello-world")
    plan = await ActivityEnvironment().run(plans.plan, PlanRequest(component=key, change="7"))
    assert plan is not None
    assert (plan.rules.enabled, plan.rules.ttl_seconds, plan.rules.limit) == (True, 8 * 3600, 2)
    assert plan.step == preview_rules.step(EnvironmentStep(environment="development"), "7")
    named = change.model_copy(update={"base": "release-2", "components": (key,)})
    assert [each.key for each in (await look(named)).wanted] == [key]
    absent = PlanRequest(component=ComponentKey(namespace=namespace, name="gone"), change="7")
    assert await ActivityEnvironment().run(plans.plan, absent) is None


def _request(obj: dict[str, Any]) -> ChangeRequest:
    url = obj["spec"]["source"]["git"]["repository"]
    return ChangeRequest(
        action="open",
        repository=normalise(url),
        url=url,
        change="7",
        branch="feature",
        base=obj["spec"]["source"]["git"].get("branch", "main"),
        head="1" * 40,
    )


async def _annotate(admin: ApiServer, namespace: str, annotations: dict[str, str]) -> None:
    patch = {"metadata": {"annotations": annotations}}
    await admin.merge("choreo.dev/v1", "Component", "hello-world", namespace, patch)
