"""What every route needs: who asks, for which component, under which idempotency key."""

import re
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, cast

from fastapi import Depends, Header, Path, Request

from model.actor import Actor
from model.key import ComponentKey
from model.mark import Mark
from model.release import Release
from model.resources.freeze import Freeze
from triggers.builds import Builds
from triggers.declared import Declared, DeclaredComponent
from triggers.deliveries import Deliveries
from triggers.events import Events
from triggers.gates import Gates
from triggers.lanes import Lanes
from triggers.previews import Previews
from triggers.problem import Problem
from triggers.promotions import Promotions
from triggers.queues import Queues
from triggers.registrations import Registrations
from triggers.sequence import Clock, Sequence
from triggers.sets import Sets
from triggers.starter import Starter
from triggers.sweeps import Sweeps
from triggers.timetable import Timetable
from triggers.tokens import Tokens, require_steering
from triggers.webhooks.receiver import Link

DNS_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
_REQUEST = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class Releases(Protocol):
    """The part of `activities.resources.Resources` that the API reads."""

    async def release(self, key: ComponentKey, name: str) -> Release | None:
        """One release, or None."""
        ...

    async def releases(self, key: ComponentKey) -> list[Release]:
        """All that are kept."""
        ...


class Freezes(Protocol):
    """`activities.freezes.Freezes`; its docstrings hold."""

    async def make(self, namespace: str, name: str, spec: dict[str, Any]) -> Freeze:
        """Hold gates shut. Raises Conflict and UserFailure."""
        ...

    async def all(self, namespace: str) -> list[Freeze]:
        """Those of a namespace."""
        ...

    async def lift(self, namespace: str, name: str) -> None:
        """Take one away. Raises NotFound."""
        ...


class Marks(Protocol):
    """The part of `activities.marks.Marks` that the API uses."""

    async def of(self, release: Release) -> Mark | None:
        """What was said of a release."""
        ...

    async def all(self, component: ComponentKey) -> dict[str, Mark]:
        """The marks on a component's releases, by their names."""
        ...

    async def put(self, release: Release, word: Mark) -> None:
        """Keep a mark. Raises NotFound."""
        ...


@dataclass(frozen=True)
class LogPiece:
    """Bytes of a kept log from an offset on; `offset` is where the next piece begins."""

    content: bytes
    offset: int


class Logs(Protocol):
    """Where the logs of builds are kept."""

    async def read(self, reference: str, offset: int) -> LogPiece:
        """What is there from `offset` (in bytes) on. Raises NotFound while there is no log."""
        ...


@dataclass(frozen=True)
class Services:
    """Everything that the routes use, made by the composition root."""

    tokens: Tokens
    timetable: Timetable
    declared: Declared
    starter: Starter
    builds: Builds
    deliveries: Deliveries
    events: Events
    promotions: Promotions
    lanes: Lanes
    sets: Sets
    gates: Gates
    freezes: Freezes
    previews: Previews
    queues: Queues
    registrations: Registrations
    sweeps: Sweeps
    releases: Releases
    marks: Marks
    logs: Logs
    sequence: Sequence
    clock: Clock
    link: Link


def services(request: Request) -> Services:
    """The application's services."""
    return cast(Services, request.app.state.services)


Use = Annotated[Services, Depends(services)]


def reader(use: Use, authorization: Annotated[str, Header()] = "") -> Actor:
    """Whoever has a token. Raises Problem 401."""
    return use.tokens.actor(authorization)


def steerer(actor: Annotated[Actor, Depends(reader)]) -> Actor:
    """Whoever may change things. Raises Problem 401 and 403."""
    return require_steering(actor)


def key(
    namespace: Annotated[str, Path(pattern=DNS_NAME, max_length=63)],
    name: Annotated[str, Path(pattern=DNS_NAME, max_length=63)],
) -> ComponentKey:
    """The component of the path, declared or not."""
    return ComponentKey(namespace=namespace, name=name)


Key = Annotated[ComponentKey, Depends(key)]


def declared(use: Use, component: Key) -> DeclaredComponent:
    """The component of the path as it is declared.

    Raises:
        Problem: 404 `ComponentNotFound`, 503 while nothing can be known yet.
    """
    found = use.declared.component(component)
    if found is None and not use.declared.ready:
        raise Problem(503, "NotReady", "What is declared is still being read; ask again.")
    if found is None:
        raise Problem(404, "ComponentNotFound", f"There is no component {component}; `towpath get` lists them.")
    return found


def request_id(idempotency_key: Annotated[str, Header()] = "") -> str:
    """The caller's Idempotency-Key, or a fresh one. Raises Problem 400."""
    if not idempotency_key:
        return uuid.uuid4().hex
    if not _REQUEST.fullmatch(idempotency_key):
        raise Problem(400, "BadIdempotencyKey", "Idempotency-Key takes 1 to 128 letters, digits and . _ : -")
    return idempotency_key


Reader = Annotated[Actor, Depends(reader)]
Steerer = Annotated[Actor, Depends(steerer)]
Named = Annotated[DeclaredComponent, Depends(declared)]
RequestId = Annotated[str, Depends(request_id)]
Environment = Annotated[str, Path(pattern=DNS_NAME, max_length=63)]
RequestName = Annotated[str, Path(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]
Commit = Annotated[str, Path(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
Number = Annotated[int, Path(ge=1, le=1_000_000)]
