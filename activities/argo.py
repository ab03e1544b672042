"""The Argo Workflow of one build attempt, as data."""

import base64
import hashlib
import json
from typing import Any

from hera.workflows import Container, Parameter, Resources, Workflow
from hera.workflows.models import (
    Capabilities,
    EmptyDirVolumeSource,
    EnvVar,
    ExecutorConfig,
    Metadata,
    PodGC,
    PodSecurityContext,
    SeccompProfile,
    SecretVolumeSource,
    SecurityContext,
    TTLStrategy,
    ValueFrom,
    Volume,
    VolumeMount,
)

from model import labels, names
from model.build import BuildRequest
from model.component import BuildPlan
from model.failure import UserFailure
from model.value import Value

API_VERSION, KIND = "argoproj.io/v1alpha1", "Workflow"
CONTAINER = "main"
OUTPUTS = "/tmp/towpath"  # noqa: S108  (inside the build's own container)
SECONDS_KEPT = 14 * 24 * 3600
"""How long finished objects stay: longer than the longest outage of the worker that reads them."""
POD_KEPT = "2h"
"""How long finished pods stay: a worker that was away this long still finds the whole log."""
_STORAGE = "/var/lib/containers"
_CREDENTIALS = "/var/run/towpath/source"
_QUEUED_SECONDS = 3600
_USER = 10001


class BuildPlane(Value):
    """What a build plane has, and how big a build may become.

    `builders` and `runtimes` are image references: builders by `dockerfile`, `nodejs`, `python`, runtimes
    by `nodejs`, `python`. `registry` is where images go (`host[:port]`), `hub` what stands in for
    docker.io (`host[:port]/path`, empty for the real one), `insecure` says that the registry has no TLS.
    """

    registry: str
    builders: dict[str, str]
    runtimes: dict[str, str]
    hub: str = ""
    insecure: bool = False
    namespace: str = "towpath-build-plane"
    service_account: str = "towpath-build"
    seccomp_profile: str = "towpath-buildah.json"
    cpu_request: str = "200m"
    cpu_limit: str = "2"
    memory_request: str = "256Mi"
    memory_limit: str = "2Gi"
    disk_limit: str = "20Gi"


def manifest(request: BuildRequest, plane: BuildPlane) -> dict[str, Any]:
    """The object to create. The same attempt gives the same name.

    What people wrote travels as base64 inside one variable: Argo expands `{{...}}` wherever it finds it.

    Raises:
        UserFailure: `NothingToBuild`, `UnknownRuntime`.
    """
    component = request.component
    plan = builder_plan(request, plane)
    name = names.argo_workflow(component.key, request.commit.id, request.number, request.attempt, request.preview)
    common = labels.for_component(component.key, component.project) | {labels.COMMIT: request.commit.id[:63]}
    if request.untrusted:
        common |= {labels.TRUST: names.UNTRUSTED}
    # What nobody answers for gets no credentials, not even those that fetch it.
    private = component.source is not None and bool(component.source.secret) and not request.untrusted
    workflow = Workflow(
        name=name,
        namespace=plane.namespace,
        labels=common
        | {
            labels.BRANCH_HASH: names.branch_hash(request.line),
            labels.SEQUENCE: str(request.sequence),
            labels.SPEC_HASH: spec_hash(request, plan),
        },
        annotations={labels.WORKFLOW: request.workflow},
        entrypoint="build",
        templates=[_template(component.build, plane, plan, private)],
        volumes=_volumes(component.build, component.source.secret if private and component.source else ""),
        service_account_name=plane.service_account,
        # The build's own container gets no token; only Argo's sidecar reports.
        automount_service_account_token=False,
        executor=ExecutorConfig(service_account_name=plane.service_account),
        active_deadline_seconds=component.build.timeout_seconds + _QUEUED_SECONDS,
        ttl_strategy=TTLStrategy(seconds_after_completion=SECONDS_KEPT),
        pod_gc=PodGC(strategy="OnWorkflowCompletion", delete_delay_duration=POD_KEPT),
        pod_metadata=Metadata(labels=common),
    )
    built: dict[str, Any] = workflow.to_dict()
    return built


def builder_plan(request: BuildRequest, plane: BuildPlane) -> dict[str, Any]:
    """What the builder is told (`deploy.builder.plan.Plan` reads it).

    Raises:
        UserFailure: `NothingToBuild`, `UnknownRuntime`.
    """
    component, build = request.component, request.component.build
    if component.source is None or build.kind == "image":
        raise UserFailure("NothingToBuild", f"{component.key} has no source; give it a repository to build from.")
    if build.kind == "runtime" and build.runtime not in plane.runtimes:
        known = ", ".join(sorted(plane.runtimes)) or "none"
        raise UserFailure(
            "UnknownRuntime",
            f"Runtime {build.runtime!r} is not known to this build plane (it has: {known}); use a Dockerfile.",
        )
    branch = f"refs/heads/{request.branch}" if not request.branch.startswith("refs/") else request.branch
    return {
        "url": component.source.url,
        "commit": request.commit.id,
        "ref": request.ref or branch,
        "app_path": component.source.app_path,
        "kind": build.kind,
        "runtime": build.runtime,
        "base": plane.runtimes.get(build.runtime, ""),
        "image": f"{image_repository(request, plane)}:{request.commit.id[:12]}",
        "file": build.file,
        "context": build.context,
        "arguments": build.arguments,
        "environment": build.environment,
        "hub": plane.hub,
        "insecure": [plane.registry] if plane.insecure else [],
    }


def image_repository(request: BuildRequest, plane: BuildPlane) -> str:
    """Where the image of a build goes."""
    component = request.component
    return names.image_repository(plane.registry, component.key, component.project, request.untrusted)


def spec_hash(request: BuildRequest, plan: dict[str, Any]) -> str:
    """What makes two objects of one name the same attempt.

    Images of the plane are left out: a worker that was upgraded in the middle adopts what the older began.
    """
    asked = {key: value for key, value in plan.items() if key not in ("base", "hub", "insecure")}
    asked |= {"component": str(request.component.key), "number": request.number, "attempt": request.attempt}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]


def _template(build: BuildPlan, plane: BuildPlane, plan: dict[str, Any], private: bool) -> Container:
    encoded = base64.b64encode(json.dumps(plan, sort_keys=True).encode()).decode()
    mounts = [VolumeMount(name="storage", mount_path=_STORAGE)] if build.kind == "dockerfile" else []
    if private:
        mounts.append(VolumeMount(name="source", mount_path=_CREDENTIALS, read_only=True))
    return Container(
        name="build",
        image=plane.builders[build.runtime if build.kind == "runtime" else "dockerfile"],
        image_pull_policy="IfNotPresent",
        command=["python3", "-m", "deploy.builder"],
        env=[EnvVar(name="TOWPATH_PLAN", value=encoded)],
        volume_mounts=mounts,
        active_deadline_seconds=build.timeout_seconds,
        resources=Resources(
            cpu_request=plane.cpu_request,
            cpu_limit=plane.cpu_limit,
            memory_request=plane.memory_request,
            memory_limit=plane.memory_limit,
            ephemeral_limit=plane.disk_limit,
        ),
        security_context=_security(build, plane),
        pod_security_context=PodSecurityContext(fs_group=_USER) if private and build.kind == "runtime" else None,
        outputs=[
            Parameter(name=name, value_from=ValueFrom(path=f"{OUTPUTS}/{name}", default=""))
            for name in ("digest", "workload")
        ],
    )


def _security(build: BuildPlan, plane: BuildPlane) -> SecurityContext:
    """As little as the build needs. Neither is privileged, nor adds a capability."""
    if build.kind == "runtime":
        # What Pod Security calls "restricted".
        return SecurityContext(
            run_as_non_root=True,
            run_as_user=_USER,
            allow_privilege_escalation=False,
            capabilities=Capabilities(drop=["ALL"]),
            seccomp_profile=SeccompProfile(type="RuntimeDefault"),
        )
    # Root in its pod, so that buildah can map users in a namespace of its own; the runtime's default
    # seccomp profile forbids making one, this profile is the container tools' own.
    return SecurityContext(
        run_as_user=0,
        seccomp_profile=SeccompProfile(type="Localhost", localhost_profile=plane.seccomp_profile),
    )


def _volumes(build: BuildPlan, secret: str) -> list[Volume]:
    volumes = [Volume(name="storage", empty_dir=EmptyDirVolumeSource())] if build.kind == "dockerfile" else []
    if secret:
        volumes.append(Volume(name="source", secret=SecretVolumeSource(secret_name=secret, default_mode=0o440)))
    return volumes
