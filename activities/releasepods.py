"""The pods of one release, whoever made them."""

from activities.dataplane import Kubernetes, Object
from model import labels
from model.gitops import by_gitops, place
from model.health import image_of
from model.manifests.metadata import selector
from model.release import Release
from model.rollout import Target


async def pods_of(kubernetes: Kubernetes, target: Target, release: Release) -> list[Object]:
    """By our label, or, where a GitOps controller makes them, by their image.

    Raises:
        InfrastructureFailure: the API server cannot be asked.
    """
    if by_gitops(target):
        found = await kubernetes.list("v1", "Pod", place(target).namespace)
        return [pod for pod in found if image_of(pod).rpartition("@")[2] == release.digest]
    chosen = {**selector(target), labels.RELEASE: release.name}
    return await kubernetes.list("v1", "Pod", target.namespace, labels=labels.query(chosen))
