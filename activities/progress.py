"""Steering an Argo Rollout: guarding it while it waits, letting it go on, taking it back."""

from collections.abc import Callable
from typing import Any

from temporalio import activity

from activities.dataplane import Kubernetes
from activities.heartbeat import beating
from activities.rolloutwatch import RolloutWatch
from activities.routes import Routes
from model import health, progress
from model.failure import Conflict, InfrastructureFailure, NotFound
from model.fence import fence_of, is_late
from model.manifests.rollout import API_VERSION, KIND
from model.rollout import Applied
from model.route import Weighing
from model.verdict import Verdict

Object = dict[str, Any]
WRITE_TRIES = 20
FOREVER = 10 * 365 * 86_400.0


class Progress:
    """What the engine does to a Rollout between two stops; the patches are those of `kubectl argo rollouts`."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes

    @activity.defn(name="progress.guard")
    async def guard(self, applied: Applied) -> Verdict:
        """Watch a rollout that waits at a stop; ends only when it certainly will not do, or was moved."""
        guarded = applied.model_copy(update={"guard": True, "deadline_seconds": FOREVER})
        watch = RolloutWatch(self._kubernetes, guarded, activity.info().heartbeat_details)
        async with beating(watch.progress):
            return await watch.run()

    @activity.defn(name="progress.proceed")
    async def proceed(self, applied: Applied) -> None:
        """Let it go on from its stop; once it has gone on, nothing.

        Raises:
            Conflict: `Outdated`, a later step of the lane has written already; `ChangedUnderneath`.
            NotFound: `RolloutGone`.
            InfrastructureFailure: `WriteContention`.
        """

        def is_needless(found: Object) -> bool:
            return not progress.is_at(found, applied.stop)

        await self._patch(applied, {"pauseConditions": None}, is_needless)

    @activity.defn(name="progress.abort")
    async def abort(self, applied: Applied) -> None:
        """Take all traffic back to the stable release; where the new one has taken over already, nothing.

        Raises:
            as `proceed`.
        """

        def is_needless(found: Object) -> bool:
            return progress.is_complete(found) or bool((found.get("status") or {}).get("abort"))

        await self._patch(applied, {"abort": True}, is_needless)

    @activity.defn(name="progress.weigh")
    async def weigh(self, weighing: Weighing) -> None:
        """Set the weight that a Gateway API route gives the canary.

        Raises:
            UserFailure: `RouteMissing`, `RouteNotWeighted`.
            as `proceed`.
        """
        applied = weighing.applied
        await self._current(applied)
        await Routes(self._kubernetes).weigh(
            applied.namespace, weighing.route, weighing.stable, weighing.canary, weighing.percent
        )

    async def _current(self, applied: Applied) -> Object:
        """The very Rollout that was applied, as far as no later step has written it."""
        found = await self._kubernetes.get(API_VERSION, KIND, applied.name, applied.namespace)
        if found is None or found["metadata"]["uid"] != applied.uid:
            raise NotFound("RolloutGone", f"Rollout {applied.name} was deleted; deploy the release again.")
        if is_late(found, applied.fence):
            raise Conflict(
                "Outdated",
                f"A later step ({fence_of(found)}) has already written {applied.name}; "
                f"this one ({applied.fence}) comes too late.",
            )
        if not health.runs(applied, found["spec"]["template"]):
            raise Conflict("ChangedUnderneath", f"Somebody changed Rollout {applied.name}; deploy it again.")
        return found

    async def _patch(self, applied: Applied, status: Object, needless: Callable[[Object], bool]) -> None:
        """Patch the status of the very Rollout that was looked at, unless that is needless."""
        for _ in range(WRITE_TRIES):
            found = await self._current(applied)
            if needless(found):
                return
            version = {"resourceVersion": found["metadata"]["resourceVersion"]}
            try:
                await self._kubernetes.merge(
                    API_VERSION,
                    KIND,
                    applied.name,
                    applied.namespace,
                    {"metadata": version, "status": status},
                    subresource="status",
                )
                return
            except Conflict:
                continue  # its controller has written a status meanwhile
        raise InfrastructureFailure("WriteContention", f"Rollout {applied.name} changes faster than we can patch.")
