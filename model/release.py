"""A release: a component at one commit as one image digest, with its workload. It never changes."""

import hashlib
import json

from model.commit import Commit
from model.image import Image
from model.key import ComponentKey
from model.value import Value
from model.workload import Workload


class Release(Value):
    """What is promoted. `sequence` orders the releases of one component (milliseconds since the epoch at
    which the push that made it was accepted); `build` is the workflow id of the build that made it."""

    name: str
    component: ComponentKey
    project: str
    commit: Commit
    image: Image
    workload: Workload
    sequence: int
    build: str = ""
    branch: str = ""

    @property
    def digest(self) -> str:
        """The image digest, which approvals and verdicts are bound to."""
        return self.image.digest


def release_name(component: ComponentKey, commit: str, image: Image, workload: Workload) -> str:
    """The deterministic name of a release: component, short commit, and a hash over what makes it differ.

    The same commit built to the same digest with the same workload is the same release; anything else
    is another one. At most 63 characters, valid as a Kubernetes name and label.
    """
    content = json.dumps(
        [commit, image.reference, workload.model_dump(mode="json", exclude_none=True)],
        sort_keys=True,
        separators=(",", ":"),
    )
    identity = hashlib.sha256(content.encode()).hexdigest()[:8]
    return f"{component.name[:45]}-{commit[:7]}-{identity}"
