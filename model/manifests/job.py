"""The Job of a hook or check, and what it needs around it."""

import hashlib
import math
from collections.abc import Sequence
from typing import Any

from model import labels, names
from model.connection import Connection
from model.job import TTL_SECONDS, JobRequest
from model.manifests.bundle import served
from model.manifests.configuration import configuration
from model.manifests.environment import environment
from model.manifests.metadata import component_labels
from model.manifests.network import egress
from model.manifests.pod import pod_template
from model.rollout import RolloutRequest
from model.workload import Variable

Object = dict[str, Any]

# The kinds that belong to Jobs: what is looked through when a component is removed.
JOB_KINDS: tuple[tuple[str, str], ...] = (
    ("batch/v1", "Job"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("v1", "ConfigMap"),
)


def selector(component: str, namespace: str) -> dict[str, str]:
    """The labels of everything that was made for a component's Jobs."""
    return {labels.JOB_OF: component, labels.NAMESPACE: namespace}


def job(request: JobRequest, connections: Sequence[Connection]) -> Object:
    """The Job, suspended: it starts when what is `around` it is there.

    A try's own deadline is the pod's, which leaves its log to be read; the Job's is only the outermost.
    """
    rollout = _as_rollout(request)
    template = pod_template(rollout, (), connections, restart="Never")
    template["metadata"]["labels"] = _labels(request)
    del template["metadata"]["annotations"][labels.SPEC_HASH]
    spec = template["spec"]
    # The component's own account is there only once it has been deployed.
    spec["serviceAccountName"] = "default"
    spec["activeDeadlineSeconds"] = math.ceil(request.deadline_seconds)
    (container,) = spec["containers"]
    container["env"] = environment(rollout, served(rollout.release.workload), connections)
    container.pop("args", None)
    container.pop("command", None)
    if request.command:
        container["command"] = list(request.command)
    if request.image:
        container["image"] = request.image
    config = configuration(rollout)
    for volume in spec["volumes"]:
        if config is not None and volume.get("configMap", {}).get("name") == config["metadata"]["name"]:
            volume["configMap"]["name"] = f"{_name(request)}-files"
    # Between tries the Job waits 10, 20, 40 ... s, at most 6 minutes.
    pauses = sum(min(360, 10 * 2**number) for number in range(request.retries))
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": _name(request),
            "namespace": request.target.namespace,
            "labels": _labels(request),
            "annotations": {labels.JOB_ID: _identity(request)},
        },
        "spec": {
            "suspend": True,
            "backoffLimit": request.retries,
            "activeDeadlineSeconds": math.ceil((request.retries + 1) * request.deadline_seconds) + pauses + 60,
            "ttlSecondsAfterFinished": TTL_SECONDS,
            "podReplacementPolicy": "Failed",
            "template": template,
        },
    }


def around(request: JobRequest, owner: Object, connections: Sequence[Connection]) -> list[Object]:
    """What the Job needs, owned by it: the way to the dependencies, and the configuration files."""
    made: list[Object] = [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": _metadata(request, owner, _name(request)),
            "spec": {
                "podSelector": {"matchLabels": {"batch.kubernetes.io/job-name": _name(request)}},
                "policyTypes": ["Ingress", "Egress"],
                **({"egress": [egress(request.target, found) for found in connections]} if connections else {}),
            },
        }
    ]
    config = configuration(_as_rollout(request))
    if config is not None:
        made.append({**config, "metadata": _metadata(request, owner, f"{_name(request)}-files")})
    return made


def is_for(obj: Object, request: JobRequest) -> bool:
    """Whether an existing Job was made for this very request."""
    return (obj["metadata"].get("annotations") or {}).get(labels.JOB_ID) == _identity(request)


def _name(request: JobRequest) -> str:
    return names.job(request.target.component.key.name, request.name, request.id)


def _identity(request: JobRequest) -> str:
    return hashlib.sha256(request.id.encode()).hexdigest()[:32]


def _labels(request: JobRequest) -> dict[str, str]:
    """All of the component's but the one by which its Service and its Deployment find their pods."""
    key = request.target.component.key
    kept = {name: text for name, text in component_labels(request.target).items() if name != labels.COMPONENT}
    return {**kept, labels.RELEASE: request.release.name, **selector(key.name, key.namespace)}


def _metadata(request: JobRequest, owner: Object, name: str) -> Object:
    return {
        "name": name,
        "namespace": request.target.namespace,
        "labels": _labels(request),
        "ownerReferences": [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
            }
        ],
    }


def _as_rollout(request: JobRequest) -> RolloutRequest:
    """The request as one to deploy the release, whose pod the Job's is a variant of."""
    own = {variable.name for variable in request.variables}
    kept: tuple[Variable, ...] = tuple(one for one in request.release.workload.variables if one.name not in own)
    workload = request.release.workload.model_copy(update={"variables": (*kept, *request.variables)})
    release = request.release.model_copy(update={"workload": workload})
    return RolloutRequest(target=request.target, release=release, revision=0)
