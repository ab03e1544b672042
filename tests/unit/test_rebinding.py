"""Which edits of a ReleaseBinding ask for a promotion."""

from typing import Any

import pytest

from model import rebinding
from model.actor import AUTOMATION
from model.lane import LaneState, Revision
from model.rebinding import RebindingRequest
from tests.workflows.world import release


def wrote(manager: str, time: str = "2026-01-01T00:00:00Z", subresource: str = "") -> dict[str, Any]:
    field = "f:status" if subresource else "f:spec"
    entry = {"manager": manager, "time": time, "fieldsV1": {field: {"f:releaseName": {}}}}
    return {**entry, "subresource": subresource} if subresource else entry


def binding(*managed: dict[str, Any], answered: str = "", observed: int = 3, **spec: Any) -> dict[str, Any]:
    conditions = [{"type": "Promoted", "status": answered, "observedGeneration": observed}] if answered else []
    owner = {"projectName": "default", "componentName": "hello"}
    return {
        "metadata": {
            "name": "hello-production", "namespace": "shop", "uid": "u", "generation": 3,
            "managedFields": [*managed],
        },
        "spec": {"owner": owner, "environment": "production", "releaseName": "hello-2", **spec},
        "status": {"conditions": conditions},
    }  # fmt: skip


def test_an_edit_by_hand_names_who_wrote_it_and_what() -> None:
    asked = rebinding.edited(binding(wrote("kubectl-edit")))
    assert asked is not None
    assert (str(asked.component), asked.environment, asked.release) == ("shop/hello", "production", "hello-2")
    assert (asked.manager, asked.generation, asked.gitops) == ("kubectl-edit", 3, False)


def test_the_latest_writer_counts() -> None:
    late = wrote("kustomize-controller", "2026-01-02T00:00:00Z")
    asked = rebinding.edited(binding(late, wrote("kubectl-edit")))
    assert asked is not None
    assert asked.gitops


@pytest.mark.parametrize(
    "obj",
    [
        binding(wrote("towpath")),
        binding(wrote("kubectl-edit"), wrote("towpath")),
        binding(wrote("towpath"), wrote("kubectl", subresource="status")),
        binding(),
        binding(wrote("kubectl-edit"), releaseName=None),
        binding(wrote("kubectl-edit"), state="Undeploy"),
        binding(wrote("kubectl-edit"), owner={}),
        binding(wrote("kubectl-edit"), answered="True"),
        binding(wrote("kubectl-edit"), answered="False"),
    ],
)
def test_our_own_mirror_and_what_was_answered_ask_for_nothing(obj: dict[str, Any]) -> None:
    assert rebinding.edited(obj) is None


@pytest.mark.parametrize(("status", "observed"), [("Unknown", 3), ("True", 2)])
def test_what_is_not_answered_yet_asks_again(status: str, observed: int) -> None:
    assert rebinding.edited(binding(wrote("kubectl-edit"), answered=status, observed=observed)) is not None


def asked(number: int, manager: str = "kubectl-edit") -> RebindingRequest:
    found = rebinding.edited(binding(wrote(manager), releaseName=release(number).name))
    assert found is not None
    return found


def lane(current: int, deploying: int = 0, floor: int = 0) -> LaneState:
    coming = Revision(number=7, release=release(deploying), kind="deploy", actor=AUTOMATION, started_at=1)
    return LaneState(
        current=release(current), last_good=release(current), floor=floor,
        history=[coming] if deploying else [], deploying=7 if deploying else 0,
    )  # fmt: skip


def test_what_the_lane_runs_brings_in_or_goes_back_to_agrees() -> None:
    for number, state in ((1, lane(1)), (2, lane(1, deploying=2)), (1, lane(1, deploying=2))):
        assert rebinding.look(asked(number), release(number), True, state).runs
    assert not rebinding.look(asked(2), release(2), True, lane(1)).runs
    assert not rebinding.look(asked(1), release(1), True, None).runs


def test_a_gitops_controller_does_not_undo_a_persons_rollback_but_a_person_may() -> None:
    back = lane(1, floor=2)
    refused = rebinding.look(asked(2, "kustomize-controller"), release(2), True, back)
    assert refused.reason == "RolledBackByPerson"
    assert rebinding.look(asked(2), release(2), True, back).reason == ""
    newer = rebinding.look(asked(3, "kustomize-controller"), release(3), True, back)
    assert newer.reason == ""


def test_a_deleted_binding_is_told_of_when_it_said_whose_it_was() -> None:
    gone = rebinding.deleted(binding(wrote("towpath")))
    assert gone is not None
    assert gone.deleted
    assert rebinding.deleted({"metadata": {"name": "x"}, "spec": {}}) is None
