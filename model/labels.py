"""The labels and annotations on everything that Towpath makes in a cluster."""

from model.key import ComponentKey

MANAGED_BY = "app.kubernetes.io/managed-by"
NAME = "app.kubernetes.io/name"
PART_OF = "app.kubernetes.io/part-of"
VERSION = "app.kubernetes.io/version"
PROJECT = "openchoreo.dev/project"
COMPONENT = "openchoreo.dev/component"
ENVIRONMENT = "openchoreo.dev/environment"
NAMESPACE = "openchoreo.dev/namespace"
FAQ_COMPONENT = "choreo.dev/component"
RELEASE = "towpath.dev/release"
COMMIT = "towpath.dev/commit"
BRANCH_HASH = "towpath.dev/branch"
SEQUENCE = "towpath.dev/sequence"
TAG = "towpath.dev/tag"
WORKFLOW = "towpath.dev/workflow"
SPEC_HASH = "towpath.dev/spec-hash"
REVISION = "towpath.dev/revision"
FENCE = "towpath.dev/fence"
PREVIEW = "towpath.dev/preview"
TRUST = "towpath.dev/trust"
NEIGHBOURS = "towpath.dev/neighbours"
JOB_OF = "towpath.dev/job-of"
JOB_ID = "towpath.dev/job-id"
STOPPED = "towpath.dev/stopped"

MANAGER = "towpath"


def for_component(key: ComponentKey, project: str, environment: str = "") -> dict[str, str]:
    """Labels of an object that belongs to a component (in an environment, when one is named)."""
    labels = {
        MANAGED_BY: MANAGER,
        NAME: key.name,
        PART_OF: project,
        PROJECT: project,
        COMPONENT: key.name,
        NAMESPACE: key.namespace,
        FAQ_COMPONENT: key.name,
    }
    if environment:
        labels[ENVIRONMENT] = environment
    return labels


def for_environment(namespace: str, project: str, environment: str) -> dict[str, str]:
    """Labels of an object that belongs to a project's environment as a whole, such as its namespace."""
    return {
        MANAGED_BY: MANAGER,
        PART_OF: project,
        PROJECT: project,
        ENVIRONMENT: environment,
        NAMESPACE: namespace,
    }


def query(wanted: dict[str, str]) -> str:
    """A label selector in the API server's query form."""
    return ",".join(f"{key}={value}" for key, value in wanted.items())
