"""Watching one rollout: the Deployment (or CronJob) and its pods as they change, judged by the model."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import Any

import structlog

from activities.dataplane import Kubernetes
from model import health, labels, progress, scheduled
from model.failure import Conflict, Failure, InfrastructureFailure
from model.health import CONTAINER, Look, Memory
from model.manifests.imagecheck import check_name, image_check
from model.rollout import Applied
from model.trouble import Trouble
from model.verdict import Observation, Verdict

Object = dict[str, Any]
OBSERVATIONS_KEPT = 30
LOG_LINES = 20
LOG_CHARACTERS = 2000
LOG_SECONDS = 2.0
RETRY_SECONDS = 1.0
LAST_LOOK_SECONDS = 5.0
# The kubelet answers 200 with this where a log has been removed with its container.
_NO_LOG = b"unable to retrieve container logs"
_VERSIONS = {"Deployment": "apps/v1", "CronJob": "batch/v1", "Rollout": "argoproj.io/v1alpha1"}
_JUDGES = {"Deployment": health.judge, "CronJob": scheduled.judge, "Rollout": progress.judge}

log = structlog.get_logger(__name__)


class RolloutWatch:
    """One watch; `heartbeat_details` are those of an earlier try of the same activity, if any."""

    def __init__(self, kubernetes: Kubernetes, applied: Applied, heartbeat_details: Sequence[Any] = ()) -> None:
        self._kubernetes = kubernetes
        self._applied = applied
        self._chosen = labels.query(applied.selector)
        self._changed = asyncio.Event()
        self._judge = _JUDGES[applied.kind]
        self._subject = f"{applied.kind} {applied.name}"
        self._workload: Object | None = None
        self._pods: dict[str, Object] = {}
        self._synced: set[str] = set()
        self._refused: Failure | None = None
        self._memory = Memory()
        self._observations: deque[Observation] = deque(maxlen=OBSERVATIONS_KEPT)
        self._waiting_for = "Nothing was seen of the rollout: the API server could not be asked."
        # Elapsed time is the monotonic clock's, so that a clock that is set cannot shorten a window.
        self._offset = time.time() - time.monotonic()
        self._began = _began(heartbeat_details) or self._now()

    def progress(self) -> dict[str, float]:
        """What the next try needs: when the first one began (seconds since the epoch)."""
        return {"began": self._began}

    async def run(self) -> Verdict:
        """The verdict; at the deadline `DeadlineExceeded`, by what is seen then."""
        applied = self._applied
        named = f"metadata.name={applied.name}"
        tasks = [
            asyncio.create_task(self._follow(applied.kind, _VERSIONS[applied.kind], fields=named)),
            asyncio.create_task(self._follow("Pod", "v1", chosen=self._chosen)),
        ]
        if applied.kind == "CronJob":
            tasks.append(asyncio.create_task(self._try_image()))
        try:
            return await self._until_the_end()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if applied.kind == "CronJob":
                await self._clear_image_check()

    async def _until_the_end(self) -> Verdict:
        while True:
            self._changed.clear()
            left = self._began + self._applied.deadline_seconds - self._now()
            if left <= 0:
                return await self._too_late()
            if self._refused is not None:
                return self._ended("inconclusive", self._refused.reason, self._refused.message)
            look = self._look()
            if look is not None and look.end is not None:
                look = await self._confirmed(look)
                if look is not None and look.end is not None:
                    return await self._verdict(look)
                # What the watch told was no longer so; do not ask again more often than once a moment.
                left = min(left, RETRY_SECONDS)
            again = look.again_in if look is not None and look.again_in is not None else left
            try:
                async with asyncio.timeout(max(0.0, min(left, again))):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _look(self) -> Look | None:
        """Judge what the watches told; None until both have told everything once."""
        if self._synced != {self._applied.kind, "Pod"}:
            return None
        look = self._judge(self._applied, self._workload, list(self._pods.values()), self._now(), self._memory)
        self._take(look)
        return look

    async def _confirmed(self, look: Look) -> Look | None:
        """Only what the API server says now may end in healthy: a watch may be silent because it is broken."""
        if look.end is None or look.end[0] == "unhealthy":
            return look
        try:
            return await self._fresh()
        except InfrastructureFailure as failure:
            self._observe("API server", failure.reason)
            return None

    async def _fresh(self) -> Look:
        """A look at what the API server says now. Raises what asking it raises."""
        applied = self._applied
        version = _VERSIONS[applied.kind]
        workload = await self._kubernetes.get(version, applied.kind, applied.name, applied.namespace)
        pods = await self._kubernetes.list("v1", "Pod", applied.namespace, labels=self._chosen)
        fresh = self._judge(applied, workload, pods, self._now(), self._memory)
        self._take(fresh)
        return fresh

    def _take(self, look: Look) -> None:
        self._memory = look.memory
        if look.waiting_for and look.waiting_for != self._waiting_for:
            self._waiting_for = look.waiting_for
            self._observe(self._subject, look.waiting_for)

    async def _follow(self, kind: str, version: str, chosen: str = "", fields: str = "") -> None:
        while True:
            try:
                changes = self._kubernetes.watch(version, kind, self._applied.namespace, chosen, fields)
                async with aclosing(changes):
                    async for change in changes:
                        self._note(kind, change.type, change.object)
            except InfrastructureFailure as failure:
                self._observe("API server", failure.reason)
            except Failure as failure:
                self._refused = failure
                self._changed.set()
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _try_image(self) -> None:
        """Have a node pull the task's image, once."""
        applied = self._applied
        while True:
            try:
                found = await self._kubernetes.get("batch/v1", "CronJob", applied.name, applied.namespace)
                if found is not None:
                    await self._kubernetes.create(image_check(applied, found))
                return
            except Conflict:
                return  # an earlier try of this activity has made it
            except InfrastructureFailure as failure:
                self._observe("API server", failure.reason)
            except Failure as failure:
                self._refused = failure
                self._changed.set()
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _clear_image_check(self) -> None:
        try:
            name = check_name(self._applied)
            await self._kubernetes.delete("v1", "Pod", name, self._applied.namespace)
        except Failure as failure:
            # It belongs to the CronJob and goes with that at the latest.
            log.warning("image check not taken away", pod=name, error=repr(failure))

    def _note(self, kind: str, change: str, obj: Object) -> None:
        if change == "SYNCED":
            self._synced.add(kind)
        elif kind != "Pod":
            self._workload = None if change == "DELETED" else obj
        elif change == "DELETED":
            self._pods.pop(obj["metadata"]["uid"], None)
        else:
            self._note_pod(obj)
        self._changed.set()

    def _note_pod(self, pod: Object) -> None:
        self._pods[pod["metadata"]["uid"]] = pod
        said = _said(pod)
        name = pod["metadata"]["name"]
        if all(seen.value != said or seen.subject != f"Pod {name}" for seen in list(self._observations)[-5:]):
            self._observe(f"Pod {name}", said)

    async def _verdict(self, look: Look) -> Verdict:
        assert look.end is not None  # noqa: S101  (the caller has seen it)
        health, reason, message = look.end
        if look.trouble is not None and look.trouble.crashed:
            message = f"{message} {await self._last_lines(look.trouble)}"
        return self._ended(health, reason, message)

    async def _last_lines(self, trouble: Trouble) -> str:
        """The end of what the crashed container wrote, as a sentence for people."""
        unread, pod = False, trouble.pod
        # The kubelet keeps one ended container: the latest, which is not "previous" until it runs again.
        for previous in (trouble.runs_again, not trouble.runs_again):
            text = b""
            try:
                async with asyncio.timeout(LOG_SECONDS):
                    pieces = self._kubernetes.logs(
                        self._applied.namespace, pod, CONTAINER, False, previous=previous, tail_lines=LOG_LINES
                    )
                    async with aclosing(pieces):
                        async for piece in pieces:
                            text = (text + piece)[-LOG_CHARACTERS:]
            except (Failure, TimeoutError) as error:
                unread = True
                log.info("log of the crashed container not read", pod=pod, previous=previous, error=repr(error))
            if text.startswith(_NO_LOG):
                unread = True
            elif text.strip():
                return f"Its last lines:\n{_printable(text.decode(errors='replace'))}"
        return "Its log could not be read." if unread else "It wrote nothing."

    async def _too_late(self) -> Verdict:
        """Unhealthy when the pods can be seen, now, and are not well; what cannot be seen is inconclusive."""
        fresh: Look | None = None
        if self._look() is not None:
            with suppress(TimeoutError, Failure):
                async with asyncio.timeout(LAST_LOOK_SECONDS):
                    fresh = await self._fresh()
        return self._ended(
            "unhealthy" if fresh is not None and fresh.unwell else "inconclusive",
            "DeadlineExceeded",
            f"Not healthy within {self._applied.deadline_seconds:g} s. {self._waiting_for}",
        )

    def _ended(self, health: Any, reason: str, message: str) -> Verdict:
        self._observe(self._subject, reason)
        return Verdict(health=health, reason=reason, message=message, observations=tuple(self._observations))

    def _observe(self, subject: str, value: str) -> None:
        self._observations.append(Observation(at=self._now(), subject=subject, value=value[:300]))

    def _now(self) -> float:
        return self._offset + time.monotonic()


def _began(details: Sequence[Any]) -> float | None:
    """When the first try began, as its heartbeats told; never in the future."""
    if details and isinstance(details[0], dict) and isinstance(details[0].get("began"), int | float):
        return min(float(details[0]["began"]), time.time())
    return None


def _said(pod: Object) -> str:
    """A pod's state in a few words."""
    status = pod.get("status") or {}
    words = [str(status.get("phase") or "Pending")]
    if pod["metadata"].get("deletionTimestamp"):
        words.append("going")
    for found in status.get("containerStatuses") or []:
        state = found.get("state") or {}
        for detail in (state.get("waiting"), state.get("terminated")):
            if detail:
                code = f" (exit code {detail['exitCode']})" if "exitCode" in detail else ""
                words.append(f"{detail.get('reason', '')}{code}")
        if found.get("ready"):
            words.append("ready")
        if found.get("restartCount"):
            words.append(f"restarts {found['restartCount']}")
    return ", ".join(words)


def _printable(text: str) -> str:
    return "\n".join("".join(ch for ch in line if ch.isprintable()) for line in text.splitlines())
