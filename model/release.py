"""A release: a component at one commit as one image digest, with its workload. It never changes."""

import hashlib
import json

from model.commit import Commit
from model.image import Image
from model.key import ComponentKey
from model.value import Value
from model.workload import Workload


class Imported(Value):
    """Where an image came from that was built elsewhere: the `tag` that it was taken by, when it was made by its
    own account (`created`, milliseconds since the epoch, 0 when it does not say or cannot be believed), and what
    its labels say of its source and version (OCI image specification, "Pre-Defined Annotation Keys")."""

    tag: str = ""
    created: int = 0
    source: str = ""
    version: str = ""


class Release(Value):
    """What is promoted. `sequence` orders the releases of one component (milliseconds since the epoch at
    which the push that made it was accepted); `build` is the workflow id of the build, or of the import, that
    made it. `version` is the semantic version of the tag it was built for. `imported`: the image was built
    elsewhere, and the commit is what its label says (its id may be empty)."""

    name: str
    component: ComponentKey
    project: str
    commit: Commit
    image: Image
    workload: Workload
    sequence: int
    build: str = ""
    branch: str = ""
    version: str = ""
    imported: Imported | None = None

    @property
    def digest(self) -> str:
        """The image digest, which approvals and verdicts are bound to."""
        return self.image.digest


def release_name(
    component: ComponentKey, commit: str, image: Image, workload: Workload, occasion: str = ""
) -> str:
    """The deterministic name of a release: component, short commit, and a hash over what makes it differ.

    The same commit built to the same digest with the same workload is the same release; anything else
    is another one. At most 63 characters, valid as a Kubernetes name and label. Without a commit the image's
    digest takes its place; an `occasion` makes the same thing another release.
    """
    parts = [commit, image.reference, workload.model_dump(mode="json", exclude_none=True)]
    content = json.dumps([*parts, occasion] if occasion else parts, sort_keys=True, separators=(",", ":"))
    identity = hashlib.sha256(content.encode()).hexdigest()[:8]
    return f"{component.name[:45]}-{(commit or image.digest.removeprefix('sha256:'))[:7]}-{identity}"
