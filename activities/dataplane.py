"""What the data plane's activities need of a Kubernetes API server."""

from collections.abc import AsyncGenerator
from typing import Any, Protocol

from activities.changes import Change

Object = dict[str, Any]


class Kubernetes(Protocol):
    """The part of `activities.apiserver.ApiServer` that is used here; its docstrings hold."""

    async def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        """The object, or None."""

    async def list(
        self, api_version: str, kind: str, namespace: str = "", labels: str = "", fields: str = ""
    ) -> list[Object]:
        """All that match."""

    def watch(
        self, api_version: str, kind: str, namespace: str = "", labels: str = "", fields: str = ""
    ) -> AsyncGenerator[Change, None]:
        """Every change, for ever."""

    async def create(self, obj: Object) -> Object:
        """Create it, or Conflict."""

    async def apply(
        self,
        obj: Object,
        field_manager: str = "towpath",
        subresource: str = "",
        force: bool = True,
        dry_run: bool = False,
    ) -> Object:
        """Server-side apply."""

    async def serves(self, api_version: str, kind: str) -> bool:
        """Whether the server knows the kind at all."""

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
        """JSON merge patch; with a `resourceVersion` in it, of that version only."""

    async def delete(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str = "",
        propagation: str = "Background",
        uid: str = "",
    ) -> bool:
        """Delete it; False when absent."""

    def logs(
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
        """What the container has written."""
