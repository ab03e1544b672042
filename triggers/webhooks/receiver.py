"""The hot path: verify, parse, one durable call, 202."""

import asyncio
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote

import structlog
from opentelemetry import trace
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from model.event import Announced, Event
from model.failure import Failure
from model.image_push import ImagePush
from model.push import Ignored, Ping, Push
from model.ref_deleted import RefDeleted
from model.sweep import SweepRequest
from triggers.body import BodyReader
from triggers.metrics import Metrics
from triggers.problem import Problem, of_failure
from triggers.repositories import KnownRepository, Repositories
from triggers.sequence import Sequence
from triggers.starter import Started, Starter, Stored, workflow_of
from triggers.webhooks.document import LIST_LIMIT, Document
from triggers.webhooks.logged import logged
from triggers.webhooks.poison import poison_of
from triggers.webhooks.provider import Provider
from triggers.webhooks.sender import check_address

REFS_LIMIT = 100
"""More moved refs in one delivery do not each start something of their own."""
NAMED_LIMIT = LIST_LIMIT - 1
"""More are not named: all refs of the repository are looked at."""

log = structlog.get_logger(__name__)
tracer = trace.get_tracer("towpath.triggers")

Link = Callable[[str], str]


def temporal_link(ui: str, namespace: str) -> Link:
    """Where a workflow is shown in Temporal's Web UI, given that UI's address; empty without one."""
    if not ui:
        return lambda _: ""
    return lambda workflow: f"{ui.rstrip('/')}/namespaces/{quote(namespace)}/workflows/{quote(workflow, safe='')}"


class Receiver:
    """Answers the webhooks of one provider.

    `secrets` are the platform's, several while one replaces another; a repository's own take their place.
    """

    def __init__(
        self,
        provider: Provider,
        secrets: tuple[str, ...],
        repositories: Repositories,
        starter: Starter,
        bodies: BodyReader,
        sequence: Sequence,
        metrics: Metrics,
        link: Link,
    ) -> None:
        self._provider = provider
        self._secrets = secrets
        self._repositories = repositories
        self._starter = starter
        self._bodies = bodies
        self._sequence = sequence
        self._metrics = metrics
        self._link = link

    async def receive(self, request: Request) -> Response:
        """Answer one request, whatever is in it."""
        begun = time.perf_counter()
        with tracer.start_as_current_span(f"webhook {self._provider.name}", kind=trace.SpanKind.SERVER) as span:
            try:
                outcome, response = await self._receive(request)
            except Failure as failure:
                problem = of_failure(failure)
                outcome, response = problem.reason, problem.response()
            except Problem as problem:
                outcome, response = problem.reason, problem.response()
            span.set_attribute("towpath.outcome", outcome)
            span.set_attribute("http.response.status_code", response.status_code)
        seconds = time.perf_counter() - begun
        self._metrics.webhook(self._provider.name, outcome, seconds)
        log.info(
            "webhook",
            provider=self._provider.name,
            outcome=outcome,
            status=response.status_code,
            milliseconds=round(seconds * 1000, 1),
            headers=logged(request.headers),
        )
        return response

    async def _receive(self, request: Request) -> tuple[str, Response]:
        if not self._repositories.ready:
            raise Problem(503, "NotReady", "The declared repositories are still being read; send it again.")
        check_address(self._provider.name, request.headers)
        body = await self._bodies.read(request.headers, request.stream())
        try:
            document, vouched = self._authenticated(request.headers, body)
            events = self._provider.parse(request.headers, document)
            known = self._known(document)
        except (Problem, Failure):
            raise
        except Exception as error:
            return await self._set_aside(request.headers, body, error)
        if not vouched and not all(isinstance(event, Ping) for event in events):
            raise Problem(401, "SignatureWrong", "Only the platform's secret may announce this.")
        announced = [event for event in events if not isinstance(event, Ping | Ignored)]
        if not announced:
            return _uneventful(events[0])
        return await self._accept(announced, known)

    def _authenticated(self, headers: Mapping[str, str], body: bytes) -> tuple[Document, bool]:
        """The body's content once the signature holds, and whether it may start something; nothing about
        repositories shows before."""
        provider = self._provider
        if not self._repositories.any_own_secrets:
            # Nothing in the body can change which secrets count, so unsigned bodies are not even parsed.
            provider.authenticate(headers, body, self._secrets)
            return provider.read(headers, body), True
        try:
            document = provider.read(headers, body)
        except Problem:
            provider.authenticate(headers, body, self._secrets)
            raise
        if not provider.addresses(document):
            return document, self._vouched(headers, body)
        known = self._known(document)
        own = known.secrets if known else None
        if known is not None and own == ():
            log.error("webhook secret unreadable", repository=known.repository)
        provider.authenticate(headers, body, self._secrets if own is None else own)
        return document, True

    def _vouched(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the platform's secret vouches for a body that names no repository. One that only some
        repository's own secret vouches for may be a ping (Bitbucket's names none), and nothing more."""
        try:
            self._provider.authenticate(headers, body, self._secrets)
        except Problem:
            self._provider.authenticate(headers, body, self._repositories.own_secrets)
            return False
        return True

    async def _set_aside(self, headers: Mapping[str, str], body: bytes, error: Exception) -> tuple[str, Response]:
        """Our reading of it broke: that is kept where people find it, and nothing stops. Only what a secret of the
        platform or of any repository vouches for is kept, so that strangers cannot fill the store."""
        self._provider.authenticate(headers, body, self._secrets + self._repositories.own_secrets)
        found = poison_of(self._provider.name, headers, body, error, self._sequence.next())
        log.error("webhook set aside", digest=found.digest, error=found.error, at=found.place)
        stored = await self._starter.start(found, workflow_of(found))
        detail = f"Reading this delivery broke, which is our mistake. It is set aside as {stored.workflow}."
        raise Problem(422, "PoisonEvent", detail)

    def _known(self, document: Document) -> KnownRepository | None:
        found = (self._repositories.find(address) for address in self._provider.addresses(document))
        return next((known for known in found if known is not None), None)

    async def _accept(self, events: list[Announced], known: KnownRepository | None) -> tuple[str, Response]:
        """Store every event of the delivery before it is answered. One that cannot be stored is an error for all:
        the sender repeats the delivery, and what was stored already is a duplicate then."""
        ready = gathered([self._ready(event, known) for event in events])
        tried = await asyncio.gather(
            *(self._starter.start(event, workflow_of(event)) for event in ready), return_exceptions=True
        )
        stored: list[Started] = []
        for each in tried:
            if isinstance(each, BaseException):
                raise each
            stored.append(each)
        await self._look_at_repeated(ready, stored)
        answers = [
            {"workflow": each.workflow, "duplicate": each.duplicate, "url": self._link(each.workflow)}
            for each in stored
        ]
        answer = answers[0] if len(answers) == 1 else {**answers[0], "all": answers}
        outcome = "Duplicate" if all(each.duplicate for each in stored) else "Accepted"
        return outcome, JSONResponse(answer, 202)

    async def _look_at_repeated(self, events: list[Stored], stored: list[Started]) -> None:
        """A push whose id has been is a redelivery, or leads the ref back to where it was (not every sender says
        so): whoever asks the repository knows. An old body that is sent once more so starts nothing."""
        looks = [
            SweepRequest(
                repository=event.repository,
                refs=(event.ref,),
                because="duplicate",
                provider=event.provider,
                delivery=event.delivery,
                before=event.before,
                sequence=event.sequence,
            )
            for event, started in zip(events, stored, strict=True)
            if started.duplicate and isinstance(event, Push)
        ]
        for look in looks:
            await self._starter.start(look, workflow_of(look))

    def _ready(self, event: Announced, known: KnownRepository | None) -> Announced:
        """The event with its place in the order, speaking of the repository as it was declared."""
        if isinstance(event, ImagePush):
            return event.model_copy(update={"sequence": self._sequence.next()})
        known = _declared(known, event.repository)
        return event.model_copy(
            update={"repository": known.repository, "url": known.url, "sequence": self._sequence.next()}
        )


def _declared(known: KnownRepository | None, repository: str) -> KnownRepository:
    if known is None:
        raise Problem(
            404,
            "UnknownRepository",
            f"No component or Repository names {repository}; apply one, then push or redeliver.",
        )
    return known


def gathered(events: list[Announced]) -> list[Stored]:
    """More refs than a delivery should tell of become one look at the repository, which finds them all."""
    moved = [event for event in events if isinstance(event, Push | RefDeleted)]
    if len(moved) <= REFS_LIMIT:
        return list(events)
    refs = tuple(dict.fromkeys(event.ref for event in moved))
    look = SweepRequest(
        repository=moved[0].repository,
        refs=refs if len(refs) <= NAMED_LIMIT else (),
        because="many",
        provider=moved[0].provider,
        delivery=moved[0].delivery,
        sequence=moved[0].sequence,
        actor=moved[0].actor,
    )
    return [look, *(event for event in events if not isinstance(event, Push | RefDeleted))]


def _uneventful(event: Event) -> tuple[str, Response]:
    if isinstance(event, Ignored):
        return event.reason, JSONResponse({"ignored": True, "reason": event.reason, "message": event.message})
    assert isinstance(event, Ping)  # noqa: S101  (the only one left)
    return "Ping", JSONResponse({"pong": True})
