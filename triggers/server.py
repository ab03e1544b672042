"""The server: webhooks, API, health and metrics in one ASGI application.

The composition root calls

    create(settings, client, apiserver, secrets, releases, marks, logs, tokens, convert, signer) -> FastAPI

and serves the result with uvicorn; the application's lifespan follows the API server and starts Deliveries
for what is applied.

- `client`: a Temporal client with `temporalio.contrib.pydantic`'s data converter; with `lazy=True` the server
  starts while Temporal is away
- `apiserver`: an `activities.apiserver.ApiServer`
- `secrets`: a `triggers.declared.SecretReader`
- `releases`, `rules`: an `activities.resources.Resources`
- `freezes`: an `activities.freezes.Freezes`
- `marks`: an `activities.marks.Marks`
- `logs`: a `triggers.api.access.Logs`
- `convert`: reads a Component's object of either group, raising UserFailure
- `signer`: signs what people are allowed to tell workflows
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from temporalio.client import Client

from activities.informer import Object, Watching
from model.component import Component
from model.failure import Failure
from triggers.api import builds as builds_api
from triggers.api import components as components_api
from triggers.api import events as events_api
from triggers.api import freezes as freezes_api
from triggers.api import gates as gates_api
from triggers.api import lanes as lanes_api
from triggers.api import previews as previews_api
from triggers.api import promotions as promotions_api
from triggers.api import queues as queues_api
from triggers.api import releases as releases_api
from triggers.api import repositories as repositories_api
from triggers.api import revisions as revisions_api
from triggers.api import schedules as schedules_api
from triggers.api import sets as sets_api
from triggers.api import sweeps as sweeps_api
from triggers.api.access import Freezes, Logs, Marks, Releases, Services
from triggers.bindings import BindingWatch
from triggers.body import BodyReader
from triggers.builds import Builds
from triggers.capped import CappedBodies
from triggers.declared import Declared, SecretReader
from triggers.deliveries import Deliveries
from triggers.events import Events
from triggers.gates import Gates, Rules
from triggers.image_watch import ImageWatch
from triggers.lanes import Lanes
from triggers.metrics import CONTENT_TYPE, Metrics
from triggers.previews import Previews
from triggers.problem import Problem, of_failure
from triggers.promotions import Promotions
from triggers.queues import Queues
from triggers.registrations import Registrations
from triggers.removal import RemovalWatch
from triggers.runs import Runs, TemporalRuns
from triggers.sequence import Clock, Sequence
from triggers.sets import Sets
from triggers.signing import NotSent, Signer
from triggers.starter import Starter, TemporalStarter
from triggers.statements import Statements, signed
from triggers.sweeps import Sweeps
from triggers.timetable import Timetable
from triggers.tokens import Tokens
from triggers.watch import AppliedWatch
from triggers.webhooks.azure import Azure
from triggers.webhooks.bitbucket import Bitbucket
from triggers.webhooks.cloudevents import CloudEvents, permission
from triggers.webhooks.git import Git
from triggers.webhooks.gitea import Gitea
from triggers.webhooks.github import GitHub
from triggers.webhooks.gitlab import GitLab
from triggers.webhooks.provider import Provider
from triggers.webhooks.receiver import Receiver, temporal_link
from triggers.webhooks.registry.distribution import Distribution
from triggers.webhooks.registry.followed import Followed
from triggers.webhooks.registry.ghcr import Ghcr
from triggers.webhooks.registry.harbor import Harbor
from triggers.webhooks.registry.routes import secret_route, shown
from triggers.webhooks.registry.unsigned import DockerHub, Quay

PROVIDERS: tuple[Provider, ...] = (GitHub(), GitLab(), Bitbucket(), Gitea(), Azure(), Git())
REGISTRIES: tuple[Provider, ...] = (Distribution(), Harbor(), Ghcr(), CloudEvents())
UNSIGNED: tuple[Provider, ...] = (DockerHub(), Quay())
API = "/api/v1"
# FastAPI's own would trace every probe, keep what failed validation, and let an unsigned request choose its trace
# and whether it is sampled. Webhooks are traced where they are received.
TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ServerSettings:
    """How the server behaves. Sizes in bytes, times in seconds.

    `webhook_secrets` are the platform's, more than one while they are being rotated. `buffered_limit` is
    what all bodies under way may take together. `start_seconds` bounds the one durable call of a webhook:
    senders give up after 10 s, and an honest 503 must come before. `public_url` is where providers reach it.
    """

    webhook_secrets: tuple[str, ...]
    temporal_ui: str = ""
    public_url: str = ""
    temporal_namespace: str = "default"
    webhook_body_limit: int = 25 * 1024 * 1024
    api_body_limit: int = 64 * 1024
    buffered_limit: int = 256 * 1024 * 1024
    body_seconds: float = 10.0
    start_seconds: float = 5.0
    temporal_seconds: float = 8.0

    def __repr__(self) -> str:
        return f"ServerSettings({len(self.webhook_secrets)} secrets, temporal_ui={self.temporal_ui!r})"


def create(
    settings: ServerSettings,
    client: Client,
    apiserver: Watching,
    secrets: SecretReader,
    releases: Releases,
    marks: Marks,
    rules: Rules,
    freezes: Freezes,
    logs: Logs,
    tokens: Tokens,
    convert: Callable[[Object], Component],
    signer: Signer,
) -> FastAPI:
    """The server on real parts."""
    return application(
        settings,
        starter=TemporalStarter(client, settings.start_seconds),
        runs=TemporalRuns(client, signer, settings.temporal_seconds),
        declared=Declared(apiserver, secrets, convert),
        releases=releases,
        marks=marks,
        rules=rules,
        freezes=freezes,
        logs=logs,
        tokens=tokens,
    )


def application(
    settings: ServerSettings,
    starter: Starter,
    runs: Runs,
    declared: Declared,
    releases: Releases,
    marks: Marks,
    rules: Rules,
    freezes: Freezes,
    logs: Logs,
    tokens: Tokens,
    clock: Clock = time.time,
) -> FastAPI:
    """The server over anything that fits our Protocols."""
    metrics = Metrics()
    sequence = Sequence(clock)
    link = temporal_link(settings.temporal_ui, settings.temporal_namespace)
    watch = AppliedWatch(starter, sequence, metrics)
    declared.listen(watch.changed)
    removal = RemovalWatch(runs, declared)
    declared.listen_removed(removal.removed)
    bindings = BindingWatch(runs, declared)
    declared.listen_bindings(bindings.changed)
    images = ImageWatch(declared.server, declared, watch.changed)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(endless.run()) for endless in (declared, watch, removal, bindings, images)]
        app.state.tasks = tasks
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    app = FastAPI(
        title="Towpath",
        version="1",
        lifespan=lifespan,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        telemetry=TELEMETRY,
        description="Builds and promotions. Send `Authorization: Bearer <token>`; errors are RFC 9457 problems. "
        "Any POST that steers is signed instead of sent below /api/v1/statements/.",
    )
    app.state.services = Services(
        tokens=tokens,
        declared=declared,
        starter=starter,
        builds=Builds(runs, link),
        deliveries=Deliveries(runs, link),
        sweeps=Sweeps(runs, starter, declared, link),
        timetable=Timetable(runs, declared, link),
        events=Events(runs, link),
        promotions=Promotions(runs, link),
        lanes=Lanes(runs, link),
        sets=Sets(runs, link),
        gates=Gates(rules, runs, clock),
        freezes=freezes,
        previews=Previews(runs, starter, link),
        queues=Queues(runs),
        registrations=Registrations(runs, declared, settings.public_url, link),
        releases=releases,
        marks=marks,
        logs=logs,
        sequence=sequence,
        clock=clock,
        link=link,
    )
    webhook_bodies = BodyReader(settings.webhook_body_limit, settings.body_seconds, settings.buffered_limit)

    def receive(provider: Provider) -> Callable[[Request], Awaitable[Response]]:
        return Receiver(
            provider, settings.webhook_secrets, declared, starter, webhook_bodies, sequence, metrics, link
        ).receive

    for provider in (*PROVIDERS, *(Followed(each, images) for each in REGISTRIES)):
        app.router.routes.append(Route(f"/webhooks/{provider.name}", receive(provider), methods=["POST"]))
    for provider in (Followed(each, images) for each in UNSIGNED):
        app.router.routes.append(secret_route(provider.name, receive(provider)))
    app.router.routes.append(Route("/webhooks/cloudevents", _permit, methods=["OPTIONS"]))
    moving = (promotions_api, gates_api, freezes_api, lanes_api, revisions_api)
    coming = (components_api, repositories_api, sweeps_api, events_api, schedules_api)
    for module in (*coming, builds_api, queues_api, releases_api, *moving, previews_api, sets_api):
        app.include_router(module.router, prefix=API)
    _add_health(app, declared, metrics)
    _add_problems(app)
    api_bodies = BodyReader(settings.api_body_limit, settings.body_seconds, settings.buffered_limit)
    app.add_middleware(CappedBodies, bodies=api_bodies, prefix="/api/")
    app.add_middleware(Statements, prefix=API)
    app.add_exception_handler(NotSent, signed)
    return app


async def _permit(request: Request) -> Response:
    """Whether a sender of CloudEvents may send here."""
    return Response(headers=permission(request.headers))


def _add_health(app: FastAPI, declared: Declared, metrics: Metrics) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        # Both run for ever: one that has ended was a bug, and only a new process follows the cluster again.
        ended = [task for task in getattr(app.state, "tasks", []) if task.done()]
        if ended:
            raise Problem(503, "NotFollowing", "The server no longer follows the cluster; restart it.")
        return JSONResponse({"status": "alive"})

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        waits_for = declared.waits_for
        if waits_for:
            raise Problem(503, "NotReady", f"Still to be read: {', '.join(waits_for)}.")
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", include_in_schema=False)
    async def exposition() -> Response:
        return Response(metrics.exposition(declared.ready, declared.waiting()), media_type=CONTENT_TYPE)

    @app.get("/", include_in_schema=False)
    async def pointer() -> dict[str, str]:
        return {
            "name": "towpath",
            "api": "/api/openapi.json",
            "webhooks": "/webhooks/{github,gitlab,bitbucket,gitea,azure,git,registry/<kind>,cloudevents}",
        }


def _add_problems(app: FastAPI) -> None:
    """Every error leaves as a problem document, and nothing that was sent is sent back."""

    @app.exception_handler(Problem)
    async def problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)  # noqa: S101  (registered for it)
        return error.response()

    @app.exception_handler(Failure)
    async def failure(_: Request, error: Exception) -> Response:
        assert isinstance(error, Failure)  # noqa: S101  (registered for it)
        return of_failure(error).response()

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  (registered for it)
        reasons = {404: ("NoSuchPage", "There is nothing here; see /api/openapi.json.")}
        reason, detail = reasons.get(error.status_code, ("HttpError", str(error.detail)))
        return Problem(error.status_code, reason, detail, error.headers).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  (registered for it)
        fields = tuple(
            {"field": ".".join(str(part) for part in found["loc"]), "message": str(found["msg"])}
            for found in error.errors()
        )
        detail = "; ".join(f"{found['field']}: {found['message']}" for found in fields)[:1000]
        return Problem(422, "Invalid", detail, errors=fields).response()

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("unexpected error", path=shown(request.url.path), error=type(error).__name__, exc_info=error)
        return Problem(500, "InternalError", "This is our mistake; the server's log says more.").response()
