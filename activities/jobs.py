"""Jobs beside a component: hooks, checks, and questions that a container answers."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

import structlog
from temporalio import activity

from activities.cluster import Cluster
from activities.dataplane import Kubernetes
from activities.dependencies import Dependencies
from activities.heartbeat import beating
from model import labels
from model.failure import Conflict, Failure, InfrastructureFailure
from model.health import CONTAINER
from model.job import LOG_LIMIT, LOG_LINES, JobRequest, JobResult, exit_code, finished, last_lines, newest
from model.manifests import job as manifests
from model.rollout import RolloutRequest
from model.trouble import Trouble, of_pod

Object = dict[str, Any]
MANAGER = "towpath-jobs"
RETRY_SECONDS = 1.0
LOG_SECONDS = 3.0
STOP_SECONDS = 30.0
UNKNOWN = "the Job was deleted before it had ended, so nobody knows how far it came"

log = structlog.get_logger(__name__)


class Jobs:
    """Runs Jobs to their end in a data plane's namespaces."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes
        self._dependencies = Dependencies(kubernetes)
        self._cluster = Cluster(kubernetes)

    @activity.defn(name="jobs.run")
    async def run(self, request: JobRequest) -> JobResult:
        """Run a Job to its end; the same request again finds the same Job, also when it has ended.

        When the activity is cancelled the Job is stopped first. An API server that is away is waited for.

        Raises:
            UserFailure: the API server refuses the Job (with its own message), `DependencyMissing`,
                `FilesTooLarge` or `NamespaceTaken`.
            Conflict: `JobNameTaken`, somebody else's Job has this name.
            InfrastructureFailure: the API server is away, or the namespace is being deleted.
        """
        seen = _seen(activity.info().heartbeat_details)
        watch = _Watch(self._kubernetes, request, seen)
        async with beating(lambda: {"job": watch.uid}):
            await self._start(request, watch)
            try:
                return await watch.run()
            except asyncio.CancelledError:
                # A worker that shuts down leaves the Job to the next try; only a wish to cancel stops it.
                details = activity.cancellation_details()
                if details is not None and (details.cancel_requested or details.not_found):
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(watch.stop("Cancelled", "It was cancelled."), STOP_SECONDS)
                raise

    async def _start(self, request: JobRequest, watch: "_Watch") -> None:
        connections = await self._dependencies.connections(
            RolloutRequest(target=request.target, release=request.release, revision=0)
        )
        obj = manifests.job(request, connections)
        watch.name = obj["metadata"]["name"]
        found = await self._kubernetes.get("batch/v1", "Job", watch.name, request.target.namespace)
        if found is None and watch.uid:
            return  # it was there at an earlier try: it is not run a second time
        if found is None:
            await self._cluster.prepare(request.target)
            found = await self._create(obj, request)
        if not manifests.is_for(found, request):
            raise Conflict(
                "JobNameTaken", f"Job {watch.name} in {request.target.namespace} is another's; remove it."
            )
        watch.uid = found["metadata"]["uid"]
        if found["spec"].get("suspend") and finished(found) is None:
            for needed in manifests.around(request, found, connections):
                await self._kubernetes.apply(needed)
            await self._kubernetes.apply(_part(found, {"suspend": False}), field_manager=MANAGER)

    async def _create(self, obj: Object, request: JobRequest) -> Object:
        try:
            return await self._kubernetes.create(obj)
        except Conflict as conflict:
            found = await self._kubernetes.get(
                "batch/v1", "Job", obj["metadata"]["name"], request.target.namespace
            )
            if found is None:
                raise InfrastructureFailure(
                    "WriteContention", "The Job came and went; it is tried again."
                ) from conflict
            return found


class _Watch:
    """One Job and its pods as they change, until it has ended. `uid` is empty until it was seen."""

    def __init__(self, kubernetes: Kubernetes, request: JobRequest, uid: str) -> None:
        self._kubernetes = kubernetes
        self._request = request
        self._namespace = request.target.namespace
        self._changed = asyncio.Event()
        self._job: Object | None = None
        self._pods: dict[str, Object] = {}
        self._synced: set[str] = set()
        self._refused: Failure | None = None
        self._troubles: dict[str, float] = {}
        self.uid = uid
        self.name = ""

    async def run(self) -> JobResult:
        """How it ended."""
        chosen = f"batch.kubernetes.io/job-name={self.name}"
        tasks = [
            asyncio.create_task(self._follow("Job", "batch/v1", fields=f"metadata.name={self.name}")),
            asyncio.create_task(self._follow("Pod", "v1", chosen=chosen)),
        ]
        try:
            return await self._until_the_end()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(self, reason: str, message: str) -> None:
        """End it now, say why on it, and wait until nothing of it runs any more.

        It fails by its deadline, so that it stays to be read and is cleaned up like any other.
        """
        while True:
            try:
                found = await self._kubernetes.get("batch/v1", "Job", self.name, self._namespace)
                if found is None or found["metadata"]["uid"] != self.uid or finished(found) is not None:
                    return
                if not _stopped(found):
                    stopping = _part(found, {"suspend": False, "activeDeadlineSeconds": 1}, f"{reason}: {message}")
                    await self._kubernetes.apply(stopping, field_manager=MANAGER)
            except (InfrastructureFailure, Conflict) as failure:
                log.info("job not stopped yet", job=self.name, reason=failure.reason)
            await asyncio.sleep(RETRY_SECONDS / 4)

    async def _until_the_end(self) -> JobResult:
        while True:
            self._changed.clear()
            if self._refused is not None:
                raise self._refused
            if self._synced == {"Job", "Pod"}:
                if self._job is None or self._job["metadata"]["uid"] != self.uid:
                    return self._result("unknown", "JobGone", f"{self.name}: {UNKNOWN}.", "")
                ended = finished(self._job)
                if ended is not None:
                    return await self._ended(*ended)
                trouble = self._certain_trouble()
                if trouble is not None and not _stopped(self._job):
                    await self.stop(trouble.reason, trouble.message)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS if self._troubles else None):
                    await self._changed.wait()

    def _certain_trouble(self) -> Trouble | None:
        """What keeps the Job from ever running: an image, a Secret, a node."""
        now = time.monotonic()
        found = [trouble for pod in self._pods.values() if (trouble := of_pod(pod, CONTAINER)) is not None]
        # That a container has ended, however often, is the Job's own affair.
        found = [trouble for trouble in found if not trouble.crashed]
        self._troubles = {trouble.key: self._troubles.get(trouble.key, now) for trouble in found}
        return next((one for one in found if now - self._troubles[one.key] >= one.patience), None)

    async def _ended(self, result: str, reason: str, message: str) -> JobResult:
        assert self._job is not None  # noqa: S101  (the caller has seen it)
        pods = await self._kubernetes.list(
            "v1", "Pod", self._namespace, labels=f"batch.kubernetes.io/job-name={self.name}"
        )
        pod = newest(pods)
        code = exit_code(pod, CONTAINER) if pod is not None else None
        written = await self._last_lines(pod["metadata"]["name"]) if pod is not None else ""
        stopped = _stopped(self._job)
        if stopped:
            reason, _, message = stopped.partition(": ")
        elif result == "failed" and (pod or {}).get("status", {}).get("reason") == "DeadlineExceeded":
            reason = "DeadlineExceeded"
            message = (
                f"It did not end within {self._request.deadline_seconds:g} s; give it longer or make it quicker."
            )
        elif result == "failed" and code is not None:
            reason, message = "JobFailed", f"It exited with code {code}."
        elif result == "failed" and pod is None:
            message += " No pod of it could be made or is left; see the quota of the namespace and its Events."
        return self._result(result, reason, message, written, code)

    def _result(self, result: str, reason: str, message: str, written: str, code: int | None = None) -> JobResult:
        status = (self._job or {}).get("status") or {}
        ends = [one.get("lastTransitionTime", "") for one in status.get("conditions") or []]
        return JobResult.model_validate(
            {
                "result": result,
                "reason": reason,
                "message": message,
                "job": self.name,
                "namespace": self._namespace,
                "exit_code": code,
                "log": written,
                "started_at": _time(status.get("startTime")),
                "finished_at": _time(status.get("completionTime") or max(ends, default="")),
            }
        )

    async def _last_lines(self, pod: str) -> str:
        """The end of what the last try wrote; a log that cannot be read is said, and changes no result."""
        text = b""
        try:
            async with asyncio.timeout(LOG_SECONDS):
                pieces = self._kubernetes.logs(self._namespace, pod, CONTAINER, False, tail_lines=LOG_LINES)
                async with aclosing(pieces):
                    async for piece in pieces:
                        text = (text + piece)[-4 * LOG_LIMIT :]
        except (Failure, TimeoutError) as error:
            log.info("log of the job not read", pod=pod, error=repr(error))
            return "(its log could not be read)" if not text else last_lines(text)
        return last_lines(text)

    async def _follow(self, kind: str, version: str, chosen: str = "", fields: str = "") -> None:
        while True:
            try:
                changes = self._kubernetes.watch(version, kind, self._namespace, chosen, fields)
                async with aclosing(changes):
                    async for change in changes:
                        self._note(kind, change.type, change.object)
            except InfrastructureFailure as failure:
                log.info("job watch interrupted", job=self.name, reason=failure.reason)
            except Failure as failure:
                self._refused = failure
                self._changed.set()
                return
            await asyncio.sleep(RETRY_SECONDS)

    def _note(self, kind: str, change: str, obj: Object) -> None:
        if change == "SYNCED":
            self._synced.add(kind)
        elif kind == "Job":
            self._job = None if change == "DELETED" else obj
        elif change == "DELETED":
            self._pods.pop(obj["metadata"]["uid"], None)
        else:
            self._pods[obj["metadata"]["uid"]] = obj
        self._changed.set()


def _part(found: Object, spec: Object, stopped: str = "") -> Object:
    """These fields of that very Job, for server-side apply."""
    metadata = {name: found["metadata"][name] for name in ("name", "namespace", "uid")}
    if stopped:
        metadata["annotations"] = {labels.STOPPED: stopped[:1000]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _stopped(job: Object) -> str:
    return str((job["metadata"].get("annotations") or {}).get(labels.STOPPED, ""))


def _seen(details: Sequence[Any]) -> str:
    """The uid of the Job that an earlier try of the activity saw."""
    if details and isinstance(details[0], dict) and isinstance(details[0].get("job"), str):
        return str(details[0]["job"])
    return ""


def _time(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0
