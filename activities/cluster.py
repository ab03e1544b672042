"""A data plane's Kubernetes: server-side apply, and what became of it."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from typing import Any

import structlog
from temporalio import activity

from activities.conversion import Conversion
from activities.dataplane import Kubernetes
from activities.dependencies import Dependencies
from activities.heartbeat import beating
from activities.rolloutwatch import RolloutWatch
from activities.routes import Routes
from model import labels, names
from model.failure import Conflict, InfrastructureFailure, UserFailure
from model.fence import fence_of, is_late
from model.manifests import bundle
from model.manifests.job import JOB_KINDS
from model.manifests.job import selector as job_selector
from model.manifests.metadata import selector
from model.manifests.rollout import API_VERSION, KIND, Steering, steering
from model.rollout import Applied, RolloutRequest, Target
from model.strategy import Strategy
from model.verdict import Verdict

Object = dict[str, Any]
Identity = tuple[str, str, str]
# Between reading an object and writing it its status may move, most of all during a rollout.
WRITE_TRIES = 20
REMOVAL_SECONDS = 60
# Server-side apply answers 500 to a value of the wrong form, such as a quantity that is none.
_UNREADABLE = "unable to convert unstructured object"

log = structlog.get_logger(__name__)


class Cluster:
    """Applies releases and judges rollouts."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes
        self._dependencies = Dependencies(kubernetes)
        self._routes = Routes(kubernetes)

    @activity.defn(name="cluster.apply")
    async def apply(self, request: RolloutRequest) -> Applied:
        """Server-side apply everything the release needs, remove what is no longer wanted.

        The same request twice changes nothing the second time.

        Raises:
            UserFailure: the API server refuses the objects (with its own message), `DependencyMissing`,
                `NamespaceTaken`, or what rendering raises.
            Conflict: `Outdated`, a later step of the lane has written already.
            InfrastructureFailure: the API server is away, or the namespace is being deleted.
        """
        async with beating():
            connections = await self._dependencies.connections(request)
            # What cannot be rendered is refused before anything is touched.
            bundle.parts(request, connections, bundle.wanted_strategy(request))
            await self.prepare(request.target)
            existing = await self._existing(request.target)
            for obj in existing.values():
                _refuse_late(obj, request)
            strategy, existing = await self._converted(request, existing)
            rollout = existing.get((API_VERSION, KIND, names.workload(request.target.component.key.name)))
            await self._routes.close(request, strategy, first=rollout is None)
            parts = bundle.parts(request, connections, strategy)
            await _all(
                self._write(obj, existing.get(_identity(obj)), request, steering(obj, request, strategy, rollout))
                for obj in parts.around
                if not _same_configuration(obj, existing)
            )
            workload = await self._write(parts.workload, existing.get(_identity(parts.workload)), request)
            wanted = {_identity(obj) for obj in (*parts.around, parts.workload)}
            await self._prune(request, [obj for key, obj in existing.items() if key not in wanted])
            await self._refuse_terminating(request.target)
        policy = request.target.step.policy
        return Applied(
            namespace=request.target.namespace,
            name=workload["metadata"]["name"],
            uid=workload["metadata"]["uid"],
            generation=workload["metadata"]["generation"],
            image=request.release.image.reference,
            stability_seconds=policy.stability_seconds,
            deadline_seconds=policy.deadline_seconds,
            kind=parts.workload["kind"],
            selector={labels.MANAGED_BY: labels.MANAGER, **selector(request.target)},
            template=parts.template["metadata"]["annotations"][labels.SPEC_HASH],
            replicas=request.release.workload.replicas,
            fence=request.fence,
            stops=0 if strategy is None or request.going_back else len(strategy.stops),
        )

    @activity.defn(name="cluster.watch")
    async def watch(self, applied: Applied) -> Verdict:
        """Wait until the rollout is healthy for the stability window, or certainly is not.

        The deadline counts from the first try of the activity; a later try takes up where it stood.
        An API server that is away is waited for until the deadline.
        """
        watch = RolloutWatch(self._kubernetes, applied, activity.info().heartbeat_details)
        async with beating(watch.progress):
            return await watch.run()

    @activity.defn(name="cluster.remove")
    async def remove(self, target: Target) -> None:
        """Delete everything of the component in the environment, and the namespace with the last one.

        The namespace stays while it holds a component, or anything that Towpath did not make; Secrets are
        not looked at, since the data plane's worker may not read them.

        Raises:
            InfrastructureFailure: `StillTerminating`, pods that do not go within 60 seconds.
        """
        async with beating():
            existing = await self._existing(target)
            await _all(self._delete(obj) for obj in (*existing.values(), *await self._of_jobs(target)))
            await self._await_no_pods(target)
            await self._remove_namespace(target)

    async def prepare(self, target: Target) -> None:
        """Make the namespace and what every component in it needs.

        Raises:
            UserFailure: `NamespaceTaken`.
            InfrastructureFailure: the API server is away, or the namespace is being deleted.
        """
        platform = bundle.platform(target)
        found = await self._kubernetes.get("v1", "Namespace", target.namespace)
        if found is not None:
            _refuse_foreign(found, target)
        await self._apply(platform.namespace)
        await _all(
            [*(self._apply(obj) for obj in platform.applied), *(self._create_once(obj) for obj in platform.once)]
        )

    async def _existing(self, target: Target) -> dict[Identity, Object]:
        """The component's objects as they are now, of all kinds that a component is made of."""
        chosen = labels.query({labels.MANAGED_BY: labels.MANAGER, **selector(target)})
        lists = await _all(self._list(kind, target.namespace, chosen) for kind in bundle.COMPONENT_KINDS)
        return {_identity(obj): obj for objects in lists for obj in objects}

    async def _list(self, kind: tuple[str, str], namespace: str, chosen: str = "") -> list[Object]:
        if kind in bundle.OPTIONAL_KINDS and not await self._kubernetes.serves(*kind):
            return []
        return await self._kubernetes.list(*kind, namespace, labels=chosen)

    async def _converted(
        self, request: RolloutRequest, existing: dict[Identity, Object]
    ) -> tuple[Strategy | None, dict[Identity, Object]]:
        """The strategy to write by, and what is there then: a change of the workload's kind comes before."""
        kinds = {kind: obj for (_, kind, _), obj in existing.items()}
        if bundle.wanted_strategy(request) is None and KIND not in kinds:
            return None, existing
        conversion = Conversion(self._kubernetes, request)
        strategy = await conversion.run(kinds.get("Deployment"), kinds.get(KIND))
        return strategy, await self._existing(request.target)

    async def _of_jobs(self, target: Target) -> list[Object]:
        """What hooks and checks have left."""
        key = target.component.key
        chosen = labels.query({labels.MANAGED_BY: labels.MANAGER, **job_selector(key.name, key.namespace)})
        lists = await _all(
            self._kubernetes.list(version, kind, target.namespace, labels=chosen) for version, kind in JOB_KINDS
        )
        return [obj for objects in lists for obj in objects]

    async def _write(
        self, obj: Object, existing: Object | None, request: RolloutRequest, steered: Steering | None = None
    ) -> Object:
        """Apply against the very version that was looked at, so that a later step's write is never undone."""
        for _ in range(WRITE_TRIES):
            version: Object = {}
            if existing is not None:
                _refuse_late(existing, request)
                version = {"resourceVersion": existing["metadata"]["resourceVersion"]}
            try:
                body = obj if steered is None else steered(obj, existing)
                return await self._kubernetes.apply({**body, "metadata": {**obj["metadata"], **version}})
            except InfrastructureFailure as failure:
                if _UNREADABLE in failure.message:
                    raise UserFailure("Invalid", failure.message) from failure
                raise
            except Conflict:
                existing = await self._kubernetes.get(
                    obj["apiVersion"], obj["kind"], obj["metadata"]["name"], request.target.namespace
                )
        raise InfrastructureFailure(
            "WriteContention",
            f"{obj['kind']} {obj['metadata']['name']} changed faster than it could be written; it is tried again.",
        )

    async def _apply(self, obj: Object) -> None:
        """Apply what all lanes of the environment write alike; two at once are no contradiction."""
        for _ in range(WRITE_TRIES):
            try:
                await self._kubernetes.apply(obj)
                return
            except Conflict:
                continue
        raise InfrastructureFailure("WriteContention", f"{obj['kind']} is written by many at once.")

    async def _create_once(self, obj: Object) -> None:
        name, namespace = obj["metadata"]["name"], obj["metadata"]["namespace"]
        if await self._kubernetes.get(obj["apiVersion"], obj["kind"], name, namespace) is not None:
            return
        try:
            await self._kubernetes.create(obj)
        except Conflict:
            log.debug("another lane made it first", kind=obj["kind"], namespace=namespace)

    async def _prune(self, request: RolloutRequest, unwanted: Sequence[Object]) -> None:
        """Delete what an earlier release needed; files that a pod still mounts stay until the next time."""
        mounted: set[str] = set()
        if any(obj["kind"] == "ConfigMap" for obj in unwanted):
            chosen = labels.query(selector(request.target))
            pods = await self._kubernetes.list("v1", "Pod", request.target.namespace, labels=chosen)
            mounted = {
                volume["configMap"]["name"]
                for pod in pods
                for volume in pod["spec"].get("volumes", [])
                if "configMap" in volume
            }
        await _all(
            self._delete(obj)
            for obj in unwanted
            if obj["kind"] != "ConfigMap" or obj["metadata"]["name"] not in mounted
        )

    async def _delete(self, obj: Object) -> None:
        metadata = obj["metadata"]
        await self._kubernetes.delete(
            obj["apiVersion"], obj["kind"], metadata["name"], metadata["namespace"], uid=metadata["uid"]
        )

    async def _refuse_terminating(self, target: Target) -> None:
        """The removal of the namespace's last component may have crossed our writes: try it all again."""
        found = await self._kubernetes.get("v1", "Namespace", target.namespace)
        if found is None or found["metadata"].get("deletionTimestamp"):
            raise _terminating(target)

    async def _await_no_pods(self, target: Target) -> None:
        chosen = labels.query(selector(target))
        changes = self._kubernetes.watch("v1", "Pod", target.namespace, labels=chosen)
        left: set[str] = set()
        try:
            async with asyncio.timeout(REMOVAL_SECONDS), aclosing(changes):
                async for change in changes:
                    if change.type in ("ADDED", "MODIFIED"):
                        left.add(change.object["metadata"]["name"])
                    elif change.type == "DELETED":
                        left.discard(change.object["metadata"]["name"])
                    if not left and change.type in ("DELETED", "SYNCED"):
                        return
        except TimeoutError:
            raise InfrastructureFailure(
                "StillTerminating", f"Pods of {target.component.key} do not go: {', '.join(sorted(left))[:300]}."
            ) from None

    async def _remove_namespace(self, target: Target) -> None:
        found = await self._kubernetes.get("v1", "Namespace", target.namespace)
        if found is None or not _is_ours(found, target) or found["metadata"].get("deletionTimestamp"):
            return
        kinds = (*bundle.COMPONENT_KINDS, ("v1", "PersistentVolumeClaim"), ("apps/v1", "StatefulSet"))
        platform = bundle.platform(target)
        own = {_identity(obj) for obj in (*platform.applied, *platform.once)}
        lists = await _all(self._list(kind, target.namespace) for kind in kinds)
        left = [obj for objects in lists for obj in objects if _identity(obj) not in own and not _is_given(obj)]
        if left:
            log.info("namespace stays", namespace=target.namespace, holds=[_identity(obj) for obj in left[:5]])
            return
        await self._kubernetes.delete("v1", "Namespace", target.namespace, uid=found["metadata"]["uid"])


async def _all(steps: Iterable[Any]) -> list[Any]:
    """All steps at once; the first failure ends the others and is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(step) for step in steps]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def _identity(obj: Object) -> Identity:
    return obj["apiVersion"], obj["kind"], obj["metadata"]["name"]


def _same_configuration(obj: Object, existing: dict[Identity, Object]) -> bool:
    """Immutable content under a name with its hash: there is nothing to write again."""
    return obj["kind"] == "ConfigMap" and _identity(obj) in existing


def _refuse_late(existing: Object, request: RolloutRequest) -> None:
    if is_late(existing, request.fence):
        raise Conflict(
            "Outdated",
            f"A later step ({fence_of(existing)}) has already written {existing['metadata']['name']}; "
            f"this one ({request.fence}) comes too late. If Temporal's history was lost, remove the annotation "
            f"{labels.FENCE} there.",
        )


def _refuse_foreign(namespace: Object, target: Target) -> None:
    if namespace["metadata"].get("deletionTimestamp"):
        raise _terminating(target)
    if not _is_ours(namespace, target):
        raise UserFailure(
            "NamespaceTaken",
            f"Namespace {target.namespace} exists and was not made by Towpath for this project and environment; "
            "remove it or rename it.",
        )


def _is_ours(namespace: Object, target: Target) -> bool:
    present = namespace["metadata"].get("labels") or {}
    wanted = bundle.platform(target).namespace["metadata"]["labels"]
    keys = (labels.MANAGED_BY, labels.NAMESPACE, labels.PROJECT, labels.ENVIRONMENT)
    return all(present.get(key) == wanted[key] for key in keys)


def _terminating(target: Target) -> InfrastructureFailure:
    return InfrastructureFailure(
        "NamespaceTerminating", f"Namespace {target.namespace} is being deleted; it is made again afterwards."
    )


def _is_given(obj: Object) -> bool:
    """What Kubernetes itself puts into every namespace."""
    return (obj["kind"], obj["metadata"]["name"]) in {
        ("ConfigMap", "kube-root-ca.crt"),
        ("ServiceAccount", "default"),
    }
