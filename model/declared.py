"""A declared component, in whichever group and shape, as the engine's Component with defaults filled in."""

import re
from typing import Any, Literal

from pydantic import ValidationError

from model import declared_image, declared_workload, priority, scraping, stated_filters, timed_build, workload_file
from model.component import BuildPlan, Component
from model.failure import UserFailure
from model.key import ComponentKey
from model.repository import check_address, check_ref
from model.resources.choreo_component import ChoreoComponent
from model.resources.component import OpenChoreoComponent, WorkflowUse
from model.resources.component import Repository as SourceRepository
from model.resources.declared import Metadata, explain, read
from model.resources.workload import OpenChoreoWorkload, WorkloadEndpoint
from model.source import SourceLocation
from model.workload import Variable, Workload

HEALTH_PATH = "towpath.dev/health-path"
DEFAULT_PROJECT = "default"
DEFAULT_BRANCH = "main"

Kind = Literal["service", "web-application", "worker", "scheduled-task"]
_KINDS: dict[str, Kind] = {
    "service": "service",
    "web-application": "web-application",
    "webapplication": "web-application",
    "web-app": "web-application",
    "webapp": "web-application",
    "worker": "worker",
    "scheduled-task": "scheduled-task",
    "scheduledtask": "scheduled-task",
}
_RUNTIMES = {"nodejs": "nodejs", "node": "nodejs", "python": "python"}
_QUANTITY = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?(m|k|Ki|M|Mi|G|Gi)?")
_SCHEDULE = re.compile(r"[A-Za-z0-9*/,@ -]{1,100}")


def component(obj: dict[str, Any], workload: dict[str, Any] | None = None) -> Component:
    """The component that an object of `choreo.dev` or `openchoreo.dev` declares.

    `workload` is its Workload object, when there is one. Without endpoints from either, a service or web
    application has one HTTP endpoint `http` on port 8080 (OpenChoreo: `parameters.port`).

    Raises:
        UserFailure: `InvalidManifest` or a more specific reason; the message names the field.
    """
    try:
        if str(obj.get("apiVersion", "")).startswith("choreo.dev/"):
            made = _choreo(read(ChoreoComponent, obj))
        else:
            made = _openchoreo(read(OpenChoreoComponent, obj))
        if workload is not None:
            made = _with_workload(made, read(OpenChoreoWorkload, workload))
    except ValidationError as error:
        raise UserFailure("InvalidManifest", explain(error)) from None
    if made.workload.kind in ("service", "web-application") and not made.workload.endpoints:
        settled = made.workload.model_copy(update={"endpoints": (workload_file.default_endpoint(),)})
        made = made.model_copy(update={"workload": settled})
    if made.workload.kind == "scheduled-task" and not made.workload.schedule:
        raise UserFailure("ScheduleMissing", "spec.parameters.schedule: say when it runs, such as '*/5 * * * *'")
    return made.model_copy(update={"priority": _priority(obj)})


def _priority(obj: dict[str, Any]) -> str:
    said = (obj["metadata"].get("annotations") or {}).get(priority.ANNOTATION, "")
    return priority.stated(said, f"metadata.annotations.{priority.ANNOTATION}")


def owner(workload: dict[str, Any]) -> str:
    """The name of the component that a Workload object is for; empty when it does not say."""
    named = ((workload.get("spec") or {}).get("owner") or {}).get("componentName", "")
    return named if isinstance(named, str) else ""


def _choreo(obj: ChoreoComponent) -> Component:
    spec, git = obj.spec, obj.spec.source.git
    size: dict[str, str] = {}
    if spec.memory:
        size |= {"memory_request": spec.memory, "memory_limit": spec.memory}
    if spec.cpu:
        size |= {"cpu_request": spec.cpu, "cpu_limit": spec.cpu}
    folder = _folder(git.path, "spec.source.git.path")
    runtime = spec.runtime or "dockerfile"
    plan = (
        _dockerfile(folder)
        if runtime == "dockerfile"
        else BuildPlan(kind="runtime", runtime=runtime, context=folder)
    )
    return Component(
        key=_key(obj.metadata),
        api_version="choreo.dev/v1",
        uid=obj.metadata.uid,
        generation=obj.metadata.generation,
        project=spec.project or DEFAULT_PROJECT,
        source=SourceLocation(
            url=_address(git.repository, "spec.source.git.repository"),
            branch=_branch(git.branch, "spec.source.git.branch"),
            app_path=folder,
            secret=git.secret_ref or "",
        ),
        build=plan,
        workload=Workload(
            kind=spec.type,
            replicas=1 if spec.replicas is None else spec.replicas,
            endpoints=declared_workload.endpoints(
                [
                    (
                        one.name,
                        WorkloadEndpoint(port=one.port, type=one.type, visibility=one.visibility),
                    )
                    for one in spec.endpoints
                ],
                "spec.endpoints",
            ),
            variables=tuple(
                {
                    one.name: Variable(
                        name=one.name, value=one.value or "", secret=one.secret or "", key=one.key or ""
                    )
                    for one in spec.env
                }.values()
            ),
            health_path=_health_path(obj.metadata),
            metrics=scraping.metrics(obj.metadata.annotations),
            schedule=_schedule(spec.schedule, "spec.schedule"),
            **size,
        ),
        auto_build=spec.auto_build is not False,
        auto_deploy=spec.auto_deploy is not False,
        filters=stated_filters.annotated(obj.metadata.annotations),
        schedules=timed_build.annotated(obj.metadata.annotations),
    )


def _openchoreo(obj: OpenChoreoComponent) -> Component:
    spec = obj.spec
    parameters = spec.parameters or {}
    source, plan = (
        _build(spec.workflow) if spec.workflow else (None, declared_image.plan(obj.metadata.annotations))
    )
    workload = Workload(
        kind=_kind(spec.component_type.name if spec.component_type else "deployment/service"),
        health_path=_health_path(obj.metadata),
        metrics=scraping.metrics(obj.metadata.annotations),
        **_settings(parameters),
    )
    if "port" in parameters:
        port = _whole(parameters["port"], "spec.parameters.port", 1, 65_535)
        workload = workload.model_copy(update={"endpoints": (workload_file.default_endpoint(port),)})
    return Component(
        key=_key(obj.metadata),
        api_version="openchoreo.dev/v1alpha1",
        uid=obj.metadata.uid,
        generation=obj.metadata.generation,
        project=spec.owner.project_name if spec.owner else DEFAULT_PROJECT,
        source=source,
        build=plan,
        workload=workload,
        auto_build=spec.auto_build is not False,
        auto_deploy=spec.auto_deploy is not False,
        filters=stated_filters.annotated(obj.metadata.annotations),
        schedules=timed_build.annotated(obj.metadata.annotations),
    )


def _with_workload(made: Component, obj: OpenChoreoWorkload) -> Component:
    workload = declared_workload.from_spec(obj.spec, made.workload)
    containers = obj.spec.containers or {}
    container = obj.spec.container or containers.get("main")
    build = made.build
    if build.kind == "image" and container and container.image:
        build = build.model_copy(update={"image": container.image})
    return made.model_copy(update={"workload": workload, "build": build})


def _build(use: WorkflowUse) -> tuple[SourceLocation, BuildPlan]:
    parameters = use.parameters
    in_parameters = parameters.repository if parameters else None
    in_system = use.system_parameters.repository if use.system_parameters else None
    repository, field = (
        (in_parameters, "spec.workflow.parameters.repository")
        if in_parameters or not in_system
        else (in_system, "spec.workflow.systemParameters.repository")
    )
    if repository is None or not repository.url:
        raise UserFailure("RepositoryMissing", f"{field}.url: say where the source is")
    source = _source(repository, field)
    plan = _plan(use, source.app_path)
    arguments = {one.name: one.value for one in (parameters.build_args if parameters else None) or []}
    environment = {one.name: one.value for one in (parameters.build_env if parameters else None) or []}
    return source, plan.model_copy(update={"arguments": arguments, "environment": environment})


def _source(repository: SourceRepository, field: str) -> SourceLocation:
    revision = repository.revision
    return SourceLocation(
        url=_address(repository.url or "", f"{field}.url"),
        branch=_branch(revision.branch if revision else None, f"{field}.revision.branch"),
        app_path=_folder(repository.app_path, f"{field}.appPath"),
        commit=(revision.commit or "") if revision else "",
        secret=repository.secret_ref.name if repository.secret_ref else "",
    )


def _plan(use: WorkflowUse, folder: str) -> BuildPlan:
    """Which kind of build a builder's name means: OpenChoreo's own builders, or one named for a runtime."""
    name = use.name.lower()
    if "docker" in name or "podman" in name or "buildah" in name:
        docker = use.parameters.docker if use.parameters else None
        plan = _dockerfile(folder)
        return plan.model_copy(
            update={
                "context": _folder(docker.context, "spec.workflow.parameters.docker.context")
                if docker and docker.context
                else plan.context,
                "file": _folder(docker.file_path, "spec.workflow.parameters.docker.filePath")
                if docker and docker.file_path
                else plan.file,
            }
        )
    said = (use.parameters.model_extra or {}).get("runtime") if use.parameters else None
    words = re.split(r"[^a-z0-9]+", said.lower() if isinstance(said, str) else name)
    for word in words:
        if word in _RUNTIMES:
            return BuildPlan(kind="runtime", runtime=_RUNTIMES[word], context=folder)
    if isinstance(said, str) or "buildpack" in name:
        raise UserFailure(
            "UnknownRuntime", "spec.workflow.parameters.runtime: say nodejs or python, or use dockerfile-builder"
        )
    raise UserFailure(
        "UnknownBuilder",
        f"spec.workflow.name: there is no builder {use.name[:80]!r}; use dockerfile-builder or nodejs-buildpack",
    )


def _dockerfile(folder: str) -> BuildPlan:
    file = "Dockerfile" if folder == "." else f"{folder}/Dockerfile"
    return BuildPlan(kind="dockerfile", file=file, context=folder)


def _kind(name: str) -> Kind:
    """`deployment/service` and the like, or the bare type name; own type names go by their workload type."""
    workload_type, slash, type_name = name.rpartition("/")
    found = _KINDS.get(type_name.lower())
    if found:
        return found
    if slash and workload_type in ("deployment", "cronjob"):
        return "service" if workload_type == "deployment" else "scheduled-task"
    raise UserFailure(
        "UnknownComponentType",
        f"spec.componentType.name: {name[:80]!r} is not supported; use deployment/service, "
        "deployment/web-application, deployment/worker or cronjob/scheduled-task",
    )


def _settings(parameters: dict[str, Any]) -> dict[str, Any]:
    """What the default component types of OpenChoreo call `replicas`, `resources` and `schedule`."""
    made: dict[str, Any] = {}
    if "replicas" in parameters:
        made["replicas"] = _whole(parameters["replicas"], "spec.parameters.replicas", 0, 1000)
    if "schedule" in parameters:
        made["schedule"] = _schedule(parameters["schedule"], "spec.parameters.schedule")
    resources = parameters.get("resources")
    for part, suffix in (("requests", "request"), ("limits", "limit")):
        amounts = resources.get(part) if isinstance(resources, dict) else None
        for what in ("cpu", "memory"):
            if not isinstance(amounts, dict) or what not in amounts:
                continue
            field = f"spec.parameters.resources.{part}.{what}"
            if isinstance(amounts[what], bool) or not _QUANTITY.fullmatch(str(amounts[what])):
                raise UserFailure("InvalidManifest", f"{field}: write a quantity such as 250m or 128Mi")
            made[f"{what}_{suffix}"] = str(amounts[what])
    return made


def _whole(value: Any, field: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UserFailure("InvalidManifest", f"{field}: write a whole number from {low} to {high}")
    return value


def _schedule(value: Any, field: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or not _SCHEDULE.fullmatch(value):
        raise UserFailure("InvalidManifest", f"{field}: write a cron schedule such as '*/5 * * * *'")
    return value


def _health_path(metadata: Metadata) -> str:
    path = metadata.annotations.get(HEALTH_PATH, "")
    if path and not re.fullmatch(r"/[^\x00-\x20\x7f]{0,1023}", path):
        raise UserFailure("InvalidManifest", f"metadata.annotations.{HEALTH_PATH}: write a path such as /healthz")
    return path


def _key(metadata: Metadata) -> ComponentKey:
    return ComponentKey(namespace=metadata.namespace or "default", name=metadata.name)


def _folder(path: str | None, field: str) -> str:
    """A path within the repository as Git writes it; the leading slash of OpenChoreo's samples goes."""
    parts = [part for part in (path or "").split("/") if part not in ("", ".")]
    if parts and parts[0].startswith("-"):
        raise UserFailure("InvalidManifest", f"{field}: a path within the repository may not begin with -")
    return "/".join(parts) or "."


def _address(url: str, field: str) -> str:
    try:
        return check_address(url)
    except UserFailure as failure:
        raise UserFailure(failure.reason, f"{field}: {failure.message}") from None


def _branch(branch: str | None, field: str) -> str:
    chosen = branch or DEFAULT_BRANCH
    try:
        check_ref(f"refs/heads/{chosen}")
    except UserFailure as failure:
        raise UserFailure(failure.reason, f"{field}: {failure.message}") from None
    return chosen
