"""One Kubernetes API server, spoken to in plain dicts: any kind, typed errors, watches that do not hang."""

import asyncio
import json
import random
import re
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple, Self

import aiohttp
import structlog

from activities import apierrors
from activities.changes import Change, Seen
from activities.connection import Connection
from model.failure import Conflict, InfrastructureFailure, NotFound, UserFailure

__all__ = ["ApiServer", "Change"]

Object = dict[str, Any]
Objects = list[Object]
PAGE = 500
WATCH_SECONDS = 55
_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.:-]{1,253}")
# The server ends a watch after WATCH_SECONDS; a socket that is still silent later is half open.
_WATCHING = aiohttp.ClientTimeout(total=WATCH_SECONDS + 10, connect=5)
_FOLLOWING = aiohttp.ClientTimeout(total=None, connect=5, sock_read=300)
# On top of the API server's own five tries.
_PATCH_TRIES = 4
_BACK_OFF_START, _BACK_OFF_LIMIT = 0.2, 15.0

log = structlog.get_logger(__name__)


class _Resource(NamedTuple):
    plural: str
    namespaced: bool


class ApiServer:
    """Requests to one API server. Objects are dicts as they travel; nothing is cached but discovery.

    Every method raises `model.failure` errors: `NotFound`, `Conflict`, other `UserFailure`s with the
    server's own reason (`Invalid`, `Forbidden` ...), and `InfrastructureFailure("ApiServerUnavailable")`
    for 429, 5xx, timeouts and broken connections.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._discovered: dict[str, dict[str, _Resource]] = {}

    @classmethod
    async def connect(cls, kubeconfig: str | None) -> Self:
        """A client for the cluster that the file names, or (None) for the one this process runs in.

        Nothing is asked of the server yet.

        Raises:
            InfrastructureFailure: `KubernetesAccessMissing`, no such file or not in a cluster.
        """
        return cls(await Connection.open(kubeconfig))

    async def close(self) -> None:
        """Close all connections; watches and log streams end."""
        await self._connection.close()

    async def serves(self, api_version: str, kind: str) -> bool:
        """Whether the server knows the kind at all."""
        try:
            await self._resource(api_version, kind)
        except InfrastructureFailure as failure:
            if failure.reason == "KindNotServed":
                return False
            raise
        return True

    async def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        """The object as it is now, or None when there is none."""
        try:
            return await self._connection.json("GET", await self._path(api_version, kind, namespace, name))
        except NotFound:
            return None

    async def list(
        self, api_version: str, kind: str, namespace: str = "", labels: str = "", fields: str = ""
    ) -> list[Object]:
        """All objects that match; namespace empty means all namespaces. Pages of 500."""
        objects, _ = await self._list(api_version, kind, namespace, labels, fields)
        return objects

    async def watch(
        self, api_version: str, kind: str, namespace: str = "", labels: str = "", fields: str = ""
    ) -> AsyncGenerator[Change, None]:
        """Every change, for ever: a list told as changes, `SYNCED`, then what the server sends.

        When the stream ends, times out or has expired (410) it lists again and tells only what differs;
        objects that vanished meanwhile give `DELETED` (then holding metadata only). While the server
        cannot be reached it tries again with growing, jittered pauses of at most 15 seconds.

        Raises:
            UserFailure: the server refuses (for instance `Forbidden`); waiting would not help.
        """
        seen = Seen()
        failures = 0
        while True:
            try:
                objects, version = await self._list(api_version, kind, namespace, labels, fields)
                for change in seen.listed(objects):
                    yield change
                yield Change("SYNCED", {})
                failures = 0
                query = {
                    "watch": "true",
                    "resourceVersion": version,
                    "allowWatchBookmarks": "true",
                    "timeoutSeconds": str(WATCH_SECONDS),
                    **_selectors(labels, fields),
                }
                path = await self._path(api_version, kind, namespace)
                async with self._connection.stream("GET", path, query, _WATCHING) as response:
                    async for line in response.content:
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            raise apierrors.failure(int(event["object"].get("code") or 500), event["object"])
                        if event["type"] == "BOOKMARK":
                            continue
                        yield seen.event(event["type"], event["object"])
            except apierrors.Expired:
                continue
            except (InfrastructureFailure, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                failures += 1
                pause = _pause(failures)
                log.info("watch interrupted", kind=kind, error=repr(error), again_in_seconds=round(pause, 2))
                await asyncio.sleep(pause)

    async def create(self, obj: Object) -> Object:
        """Create it.

        Raises:
            Conflict: `AlreadyExists`.
        """
        path = await self._path(obj["apiVersion"], obj["kind"], *_place(obj), collection=True)
        return await self._connection.json("POST", path, body=obj)

    async def apply(
        self,
        obj: Object,
        field_manager: str = "towpath",
        subresource: str = "",
        force: bool = True,
        dry_run: bool = False,
    ) -> Object:
        """Server-side apply: these fields are the field manager's, all others stay as they are.

        Raises:
            Conflict: without `force`, a field belongs to another manager; with a `uid` or
                `resourceVersion` in the object, that one is not there any more.
        """
        query = {"fieldManager": field_manager, "force": str(force).lower()}
        if dry_run:
            query["dryRun"] = "All"
        path = await self._path(obj["apiVersion"], obj["kind"], *_place(obj), subresource=subresource)
        if not force or obj["metadata"].keys() & {"uid", "resourceVersion"}:
            return await self._connection.json("PATCH", path, query, obj, "application/apply-patch+yaml")
        return await self._patch(path, query, obj, "application/apply-patch+yaml")

    async def merge(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str,
        patch: Object,
        subresource: str = "",
        field_manager: str = "towpath",
    ) -> Object:
        """JSON merge patch (RFC 7386) of one object.

        Raises:
            NotFound: there is no such object.
            Conflict: with a `resourceVersion` in the patch, that version is not there any more.
        """
        path = await self._path(api_version, kind, namespace, name, subresource=subresource)
        query = {"fieldManager": field_manager}
        if "resourceVersion" in (patch.get("metadata") or {}):
            return await self._connection.json("PATCH", path, query, patch, "application/merge-patch+json")
        return await self._patch(path, query, patch, "application/merge-patch+json")

    async def _patch(self, path: str, query: dict[str, str], body: Object, content_type: str) -> Object:
        """A patch that contradicts nothing: a conflict is only that others write the object just now."""
        for failures in range(1, _PATCH_TRIES + 1):
            try:
                return await self._connection.json("PATCH", path, query, body, content_type)
            except Conflict as conflict:
                log.info("others write this object just now", path=path, reason=conflict.reason)
                await asyncio.sleep(_pause(failures - 3))
        raise InfrastructureFailure("WriteContended", f"Others keep writing {path}; try again.")

    async def delete(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str = "",
        propagation: str = "Background",
        uid: str = "",
    ) -> bool:
        """Delete it; False when it is absent (with `uid`: when that very object is)."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            await self._connection.json(
                "DELETE", await self._path(api_version, kind, namespace, name), body=options
            )
        except NotFound:
            return False
        except Conflict:
            if uid:
                return False
            raise
        return True

    async def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        follow: bool = True,
        since_seconds: int = 0,
        previous: bool = False,
        tail_lines: int = 0,
        timestamps: bool = False,
    ) -> AsyncGenerator[bytes, None]:
        """What the container has written, in pieces as they come; with `follow` until it ends.

        Raises:
            NotFound: no such pod.
            UserFailure: `BadRequest`, the container has not started yet.
            InfrastructureFailure: also after 300 seconds of silence, since the stream may be half open;
                ask again with `since_seconds`.
        """
        query = {"container": container, "follow": str(follow).lower(), "timestamps": str(timestamps).lower()}
        if since_seconds:
            query["sinceSeconds"] = str(since_seconds)
        if tail_lines:
            query["tailLines"] = str(tail_lines)
        if previous:
            query["previous"] = "true"
        path = await self._path("v1", "Pod", namespace, pod, subresource="log")
        async with self._connection.stream("GET", path, query, _FOLLOWING) as response:
            try:
                async for piece in response.content.iter_any():
                    yield piece
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise apierrors.unreachable(error) from error

    async def _list(
        self, api_version: str, kind: str, namespace: str, labels: str, fields: str
    ) -> tuple[Objects, str]:
        path = await self._path(api_version, kind, namespace)
        while True:
            query = {"limit": str(PAGE), **_selectors(labels, fields)}
            objects: Objects = []
            try:
                while True:
                    page = await self._connection.json("GET", path, query)
                    for item in page.get("items") or []:
                        # Lists of built-in kinds leave these out of their items.
                        objects.append({**item, "apiVersion": api_version, "kind": kind})
                    metadata = page.get("metadata") or {}
                    if not metadata.get("continue"):
                        return objects, str(metadata.get("resourceVersion", ""))
                    query["continue"] = metadata["continue"]
            except apierrors.Expired:
                # The continue token is older than etcd's compaction: only a fresh list is consistent.
                continue

    async def _path(
        self,
        api_version: str,
        kind: str,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
        collection: bool = False,
    ) -> str:
        resource = await self._resource(api_version, kind)
        if collection:
            name = ""
        for what, text in (("namespace", namespace), ("name", name)):
            if text and not _NAME.fullmatch(text):
                raise UserFailure("InvalidName", f"{text[:80]!r} cannot be the {what} of a {kind}.")
        parts = [_group_path(api_version)]
        if resource.namespaced and namespace:
            parts.append(f"namespaces/{namespace}")
        elif resource.namespaced and (name or collection):
            raise UserFailure("NamespaceMissing", f"A {kind} lives in a namespace; say which.")
        parts.append(resource.plural)
        parts.extend(part for part in (name, subresource) if part)
        return "/".join(parts)

    async def _resource(self, api_version: str, kind: str) -> _Resource:
        found = self._discovered.get(api_version, {}).get(kind)
        if found is None:
            try:
                answer = await self._connection.json("GET", _group_path(api_version))
            except NotFound:
                answer = {}
            self._discovered[api_version] = {
                entry["kind"]: _Resource(entry["name"], bool(entry["namespaced"]))
                for entry in answer.get("resources", [])
                if "/" not in entry["name"]
            }
            found = self._discovered[api_version].get(kind)
        if found is None:
            raise InfrastructureFailure(
                "KindNotServed",
                f"The API server has no {kind} in {api_version}; install its CustomResourceDefinition.",
            )
        return found


def _group_path(api_version: str) -> str:
    if not re.fullmatch(r"[a-z0-9.-]+(/[a-z0-9]+)?", api_version):
        raise UserFailure("InvalidName", f"{api_version[:80]!r} is not an apiVersion.")
    return f"apis/{api_version}" if "/" in api_version else f"api/{api_version}"


def _place(obj: Object) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata.get("name", "")


def _selectors(labels: str, fields: str) -> dict[str, str]:
    chosen = {"labelSelector": labels, "fieldSelector": fields}
    return {key: text for key, text in chosen.items() if text}


def _pause(failures: int) -> float:
    """Seconds before the next try: doubling from 0.2 to 15, with full jitter so that watches spread."""
    ceiling: float = min(_BACK_OFF_LIMIT, _BACK_OFF_START * 2.0 ** min(failures, 10))
    return ceiling * (0.5 + random.random() / 2)  # noqa: S311  (spreads load, keeps no secret)
