"""How many builds a plane takes at once, as it is declared now."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import structlog

from activities.declarations import OPENCHOREO
from model.build_queue import RUNNING_LIMIT, Limits
from model.failure import Failure, UserFailure
from model.stated_limits import PER_PROJECT, RUNNING, whole

FRESH_SECONDS = 15.0
KEPT = 1000

log = structlog.get_logger(__name__)


class Reading(Protocol):
    """The part of `activities.apiserver.ApiServer` that is needed."""

    async def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        """An object, or None."""
        ...


class BuildLimits:
    """Reads the annotations of planes and projects; what it has read counts for some seconds, so that a build
    does not wait for the API server.

    Args:
        server: the control plane's API server.
        running: the limits of planes whose objects say nothing, by plane.
    """

    def __init__(
        self, server: Reading, running: Mapping[str, int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._server = server
        self._running = running
        self._clock = clock
        self._kept: dict[tuple[str, str, str], tuple[float, Mapping[str, str]]] = {}

    async def of(self, plane: str, projects: Iterable[str]) -> Limits:
        """The limits of a plane and of projects (`namespace/name`). What cannot be read now is as it was read
        last, or as if nothing were stated.

        A plane's are those of its ClusterWorkflowPlane: objects in namespaces are their tenants', who may not
        give themselves more of what all share.
        """
        declared = await self._annotations("ClusterWorkflowPlane", plane, "")
        running = _stated(declared, RUNNING, f"ClusterWorkflowPlane {plane}")
        found = {}
        for project in sorted(set(projects)):
            namespace, _, name = project.partition("/")
            stated = _stated(await self._annotations("Project", name, namespace), RUNNING, f"Project {project}")
            if stated:
                found[project] = stated
        return Limits(
            running=self._running.get(plane, RUNNING_LIMIT) if running is None else running,
            per_project=_stated(declared, PER_PROJECT, f"ClusterWorkflowPlane {plane}") or 0,
            projects=found,
        )

    async def _annotations(self, kind: str, name: str, namespace: str) -> Mapping[str, str]:
        now, which = self._clock(), (kind, namespace, name)
        read_at, kept = self._kept.get(which, (-FRESH_SECONDS, {}))
        if now - read_at < FRESH_SECONDS:
            return kept
        try:
            obj = await self._server.get(OPENCHOREO, kind, name, namespace)
        except Failure as failure:
            log.warning("limits not read", kind=kind, name=name, reason=failure.reason, error=failure.message)
        else:
            kept = ((obj or {}).get("metadata") or {}).get("annotations") or {}
        while len(self._kept) >= KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[which] = (now, kept)
        return kept


def _stated(annotations: Mapping[str, str], name: str, where: str) -> int | None:
    try:
        return whole(annotations.get(name, ""), f"{where}: metadata.annotations.{name}")
    except UserFailure as failure:
        log.warning("limit cannot be used", reason=failure.reason, error=failure.message)
        return None
