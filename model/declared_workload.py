"""How a component runs, from the words of a Workload object or a `workload.yaml`."""

import re
from collections.abc import Iterable
from typing import Any, TypeVar

from model.failure import UserFailure
from model.resources.workload import (
    Container,
    EndpointDependency,
    EnvironmentVariable,
    MountedFile,
    ValueFrom,
    WorkloadEndpoint,
    WorkloadSpec,
)
from model.workload import Dependency, Endpoint, File, Variable, Workload

_ADDRESS_PARTS = {"url": "address", "address": "address", "host": "host", "port": "port"}
T = TypeVar("T")


def from_spec(spec: WorkloadSpec, base: Workload) -> Workload:
    """`base` with what the Workload object says put over it.

    Raises:
        UserFailure: `BadWorkload`, naming the field.
    """
    container = spec.container or (spec.containers or {}).get("main")
    if container is None and spec.containers:
        raise refuse("spec.containers", "name the container main")
    parts = (
        endpoints([(name, found) for name, found in (spec.endpoints or {}).items()], "spec.endpoints"),
        dependencies(spec.dependencies.endpoints or [] if spec.dependencies else [])
        + _connections(spec.connections or {}),
    )
    return merged(
        base,
        Workload(
            endpoints=parts[0],
            dependencies=parts[1],
            command=tuple(container.command or ()) if container else (),
            args=tuple(container.args or ()) if container else (),
            variables=_variables(container),
            files=_files(container),
        ),
    )


def merged(base: Workload, over: Workload) -> Workload:
    """`base` with `over` put on top: endpoints and commands whole, the rest entry by entry."""
    return base.model_copy(
        update={
            "endpoints": over.endpoints or base.endpoints,
            "command": over.command or base.command,
            "args": over.args or base.args,
            "variables": _by(base.variables + over.variables, lambda one: one.name),
            "files": _by(base.files + over.files, lambda one: one.path),
            "dependencies": _by(
                base.dependencies + over.dependencies, lambda one: (one.project, one.component, one.endpoint)
            ),
        }
    )


def endpoints(declared: Iterable[tuple[str, WorkloadEndpoint]], field: str) -> tuple[Endpoint, ...]:
    """Endpoints under their names, none twice, no port twice."""
    made: list[Endpoint] = []
    ports: set[tuple[int, bool]] = set()
    for name, one in declared:
        if any(name == other.name for other in made):
            raise refuse(f"{field}.{name}", "two endpoints have this name")
        kind = "HTTP" if one.type in (None, "REST") else one.type
        if (one.port, kind == "UDP") in ports:
            raise refuse(f"{field}.{name}.port", f"another endpoint has port {one.port}")
        ports.add((one.port, kind == "UDP"))
        made.append(
            Endpoint.model_validate(
                {
                    "name": name,
                    "type": kind,
                    "port": one.port,
                    "target_port": one.target_port or 0,
                    "visibility": tuple(one.visibility or ("project",)),
                    "base_path": one.base_path or "",
                }
            )
        )
    return tuple(made)


def variable(one: EnvironmentVariable, field: str) -> Variable:
    """A variable: literal or from a Secret's key."""
    name = one.key or one.name
    if not name:
        raise refuse(field, "give the variable a name")
    secret, key = _secret(one.value_from, f"{field}.valueFrom") if one.value_from else ("", "")
    return Variable(name=name, value=one.value or "", secret=secret, key=key)


def file(one: MountedFile, field: str) -> File:
    """A mounted file: literal or from a Secret's key."""
    if any(part == ".." for part in one.mount_path.split("/")):
        raise refuse(f"{field}.mountPath", "leave out `..`")
    secret, key = _secret(one.value_from, f"{field}.valueFrom") if one.value_from else ("", "")
    return File(path=one.mount_path, value=one.value or "", secret=secret, key=key)


def dependencies(declared: Iterable[EndpointDependency]) -> tuple[Dependency, ...]:
    """The endpoints of others that are called."""
    return tuple(
        Dependency(
            component=one.component,
            project=one.project or "",
            endpoint=one.name,
            address_variable=(one.env_bindings.address or "") if one.env_bindings else "",
            host_variable=(one.env_bindings.host or "") if one.env_bindings else "",
            port_variable=(one.env_bindings.port or "") if one.env_bindings else "",
        )
        for one in declared
    )


def refuse(field: str, message: str) -> UserFailure:
    """The failure for a field that cannot be used."""
    return UserFailure("BadWorkload", f"{field}: {message}")


def _variables(container: Container | None) -> tuple[Variable, ...]:
    declared = (container.env if container else None) or []
    return tuple(variable(one, f"spec.container.env.{index}") for index, one in enumerate(declared))


def _files(container: Container | None) -> tuple[File, ...]:
    declared = (container.files if container else None) or []
    return tuple(file(one, f"spec.container.files.{index}") for index, one in enumerate(declared))


def _secret(source: ValueFrom, field: str) -> tuple[str, str]:
    reference = source.secret_key_ref or source.secret_ref
    if source.path is not None:
        raise refuse(f"{field}.path", "files from the source are not read; write the content as `value`")
    if reference is None:
        raise refuse(field, "only secretKeyRef is supported")
    return reference.name, reference.key


def _connections(declared: dict[str, Any]) -> tuple[Dependency, ...]:
    """v0.8's `connections`: `{type: api, params: {projectName, componentName, endpoint}, inject: {env}}`."""
    made: list[Dependency] = []
    for name, one in declared.items():
        field = f"spec.connections.{name}"
        params = one.get("params") if isinstance(one, dict) else None
        if not isinstance(params, dict) or not isinstance(params.get("componentName"), str):
            raise refuse(f"{field}.params.componentName", "name the component that is called")
        inject = one.get("inject")
        wanted = inject.get("env") if isinstance(inject, dict) else None
        variables: dict[str, str] = {}
        for entry in wanted if isinstance(wanted, list) else []:
            text = str(entry.get("value", "")) if isinstance(entry, dict) else ""
            part = re.fullmatch(r"\{\{\s*\.(\w+)\s*\}\}", text)
            if part and part.group(1) in _ADDRESS_PARTS:
                variables[_ADDRESS_PARTS[part.group(1)]] = str(entry.get("name", ""))
        made.append(
            Dependency(
                component=params["componentName"],
                project=str(params.get("projectName") or ""),
                endpoint=str(params.get("endpoint") or "http"),
                address_variable=variables.get("address", ""),
                host_variable=variables.get("host", ""),
                port_variable=variables.get("port", ""),
            )
        )
    return tuple(made)


def _by(entries: tuple[T, ...], key: Any) -> tuple[T, ...]:
    """The last entry of each key, in the order of first mention."""
    return tuple({key(one): one for one in entries}.values())
