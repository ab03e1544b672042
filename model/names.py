"""Names of what Towpath makes in a cluster and in a registry: the one place where they are made.

All are deterministic, so that doing a step twice finds what the first time made.
"""

import hashlib
import re

from model.key import ComponentKey

_NOT_NAME = re.compile(r"[^a-z0-9-]+")
_SERVICE_NAME = re.compile(r"[a-z]([a-z0-9-]{0,50}[a-z0-9])?")


def short_hash(*parts: str) -> str:
    """Eight hex digits over the parts, unambiguous in where one part ends."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]


def data_namespace(namespace: str, project: str, environment: str) -> str:
    """`dp-<namespace>-<project>-<environment>-<hash>` as OpenChoreo names them, at most 63 characters."""
    stem = f"dp-{namespace}-{project}-{environment}"[:54].rstrip("-")
    return f"{stem}-{short_hash(namespace, project, environment)}"


def preview_namespace(namespace: str, project: str, component: str, change: str) -> str:
    """The namespace of one component's preview of one change: nobody else's, so that it can go as a whole."""
    stem = f"dp-{namespace}-{project}-preview-{change}-{component}"[:54].rstrip("-.")
    return f"{stem}-{short_hash('preview', namespace, project, component, change)}".replace(".", "-")


def workload(component: str) -> str:
    """Name of a component's Deployment (or CronJob), Service and the rest: the component's own name.

    Where that is not a Service's name (RFC 1035 label) or longer than a CronJob's may be (52), the nearest
    one with a hash. The container and volumes have names of their own.
    """
    if _SERVICE_NAME.fullmatch(component):
        return component
    stem = label_value(component)[:41].strip("-")
    return f"c-{stem}-{short_hash(component)}" if stem else f"c-{short_hash(component)}"


def argo_workflow(component: ComponentKey, commit: str, number: int, attempt: int = 1, preview: str = "") -> str:
    """Name of the Argo Workflow of one build attempt; the same attempt always gets the same name. `preview` is
    the change that it is built for."""
    stem = f"{component.name[:36]}-{commit[:7]}-{number}"
    again = f"-{attempt}" if attempt > 1 else ""
    aside = (preview,) if preview else ()
    return f"{stem}{again}-{short_hash(str(component), commit, str(number), str(attempt), *aside)}"


def job(component: str, name: str, request: str) -> str:
    """Name of a Job beside a component; `request` is the id that makes it one Job. At most 57 characters,
    which leaves room for what is named after it."""
    stem = label_value(f"{component[:27]}-{name[:20]}")
    return f"j-{stem[:46]}-{short_hash(component, name, request)}"


UNTRUSTED = "untrusted"
"""Where images lie, in a registry, that were made of code for which nobody answers: none of them is promoted."""


def image_repository(registry: str, component: ComponentKey, project: str, untrusted: bool = False) -> str:
    """`<registry>/<namespace>/<project>/<component>`; what is untrusted lies below `<registry>/untrusted`."""
    place = f"{registry}/{UNTRUSTED}" if untrusted else registry
    return f"{place}/{component.namespace}/{project}/{component.name}"


def build_log_tag(argo_name: str) -> str:
    """Tag of a build's kept log in the component's image repository."""
    return f"log-{argo_name}"


def branch_hash(branch: str) -> str:
    """A branch as a label value; its name may hold what labels may not."""
    return short_hash(branch)


def release_binding(component: str, environment: str) -> str:
    """`<component>-<environment>` as OpenChoreo names ReleaseBindings."""
    return f"{component}-{environment}"


def label_value(text: str) -> str:
    """The nearest valid label value (lower case, at most 63 characters); may be empty."""
    return _NOT_NAME.sub("-", text.lower())[:63].strip("-")
