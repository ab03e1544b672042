"""A ReleaseBinding that somebody else has edited: which release they want where, and what came of it."""

from typing import Any, Literal

from model.actor import AUTOMATION, Actor
from model.key import ComponentKey
from model.labels import MANAGER
from model.lane import LaneState
from model.release import Release
from model.value import State, Value

# Field managers of GitOps controllers: what they write is automation's word, which never undoes a person's.
_GITOPS = ("kustomize-controller", "helm-controller", "argocd-controller", "argocd-application-controller")
CONDITION = "Promoted"


class RebindingRequest(Value):
    """What a Rebinding is started with: the binding's name and generation, what it says, and who wrote that.

    `manager` is the field manager of `spec.releaseName`. `deleted`: the binding is gone.
    """

    component: ComponentKey
    environment: str
    binding: str
    uid: str
    generation: int
    release: str = ""
    manager: str = ""
    deleted: bool = False

    @property
    def gitops(self) -> bool:
        """Whether a GitOps controller wrote it."""
        return by_gitops(self.manager)

    @property
    def actor(self) -> Actor:
        """Who asks for it. A field manager says no more of a person than which program they used."""
        return AUTOMATION if self.gitops else Actor(kind="person", name=f"{self.manager} (ReleaseBinding)")


class RebindingLook(Value):
    """How things are: the release that is named, and what the lane has to do with it.

    `current`: the binding still says so. `runs`: the lane runs that release, or is bringing it up. `against`:
    why it is not even tried (a reason and a message), both empty when nothing is against it.
    """

    release: Release | None = None
    current: bool = True
    runs: bool = False
    running: str = ""
    reason: str = ""
    message: str = ""


class RebindingAnswer(Value):
    """What is written to the binding: a condition, and an Event unless that would be no news."""

    request: RebindingRequest
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    event: Literal["Normal", "Warning", ""] = ""


class RebindingState(State):
    """What a query of a Rebinding answers, and its result; `outcome` is a stable reason."""

    request: RebindingRequest
    outcome: str = "Accepted"
    message: str = ""


def foreign_writer(obj: dict[str, Any]) -> str:
    """The field manager whose word a binding's releaseName is; empty when it is (also) our own mirror's."""
    writers = _writers(obj["metadata"].get("managedFields") or [])
    return "" if not writers or MANAGER in writers else writers[-1]


def by_gitops(manager: str) -> bool:
    """Whether a field manager is a GitOps controller."""
    return manager in _GITOPS


def edited(obj: dict[str, Any]) -> RebindingRequest | None:
    """What a ReleaseBinding asks for; None when it is our own mirror's word, or was answered before."""
    spec, metadata = obj.get("spec") or {}, obj["metadata"]
    owner = spec.get("owner") or {}
    release, generation = spec.get("releaseName"), int(metadata.get("generation") or 0)
    manager = foreign_writer(obj)
    if not release or not owner.get("componentName") or not manager:
        return None
    if spec.get("state") not in (None, "Active") or "deletionTimestamp" in metadata:
        return None
    answered = [
        found.get("observedGeneration")
        for found in (obj.get("status") or {}).get("conditions") or []
        if found.get("type") == CONDITION and found.get("status") != "Unknown"
    ]
    if generation in answered:
        return None
    return _request(obj).model_copy(update={"release": str(release)[:253], "manager": manager[:128]})


def deleted(obj: dict[str, Any]) -> RebindingRequest | None:
    """What a deleted ReleaseBinding is told of; None when it did not say whose it was."""
    owner = (obj.get("spec") or {}).get("owner") or {}
    return _request(obj).model_copy(update={"deleted": True}) if owner.get("componentName") else None


def look(
    request: RebindingRequest, release: Release | None, current: bool, lane: LaneState | None
) -> RebindingLook:
    """What is to be done about an edit, given the lane (None: nothing ever ran there)."""
    seen = RebindingLook(release=release, current=current)
    if lane is None:
        return seen
    coming = [entry.release for entry in lane.history if lane.deploying and entry.number == lane.deploying]
    last_good = [lane.last_good] if lane.deploying else []
    present = [one.name for one in (lane.current, *coming, *last_good) if one is not None]
    seen = seen.model_copy(
        update={"runs": request.release in present, "running": lane.current.name if lane.current else ""}
    )
    if request.gitops and release is not None and release.sequence <= lane.floor and not seen.runs:
        return seen.model_copy(
            update={
                "reason": "RolledBackByPerson",
                "message": f"{request.environment} went back from {release.name}; automation does not bring it in "
                "again. Change Git, or `towpath promote` it.",
            }
        )
    return seen


def _request(obj: dict[str, Any]) -> RebindingRequest:
    spec, metadata = obj.get("spec") or {}, obj["metadata"]
    component = str((spec.get("owner") or {})["componentName"])[:253]
    return RebindingRequest(
        component=ComponentKey(namespace=str(metadata.get("namespace") or "default"), name=component),
        environment=str(spec.get("environment") or "")[:253],
        binding=str(metadata["name"]),
        uid=str(metadata.get("uid") or ""),
        generation=int(metadata.get("generation") or 0),
    )


def _writers(managed: list[dict[str, Any]]) -> list[str]:
    """The field managers that own `spec.releaseName`, the latest last."""
    owners = [
        entry
        for entry in managed
        if not entry.get("subresource") and "f:releaseName" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return [str(entry.get("manager")) for entry in sorted(owners, key=lambda entry: str(entry.get("time") or ""))]
