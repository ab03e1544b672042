"""The server's process: webhooks and API on one address."""

import signal
import ssl
import sys

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from activities.apiserver import ApiServer
from activities.freezes import Freezes
from activities.marks import Marks
from activities.registry import Registry
from activities.resources import Resources
from activities.secrets import Secrets
from model.declared import component
from model.failure import UserFailure
from triggers.admission import Admission
from triggers.server import ServerSettings, create
from triggers.signing import Signer
from triggers.tokens import Tokens
from worker.connection import connect
from worker.inbound import Inbound
from worker.kept_logs import KeptLogs
from worker.keys import signing_key
from worker.listener import Certificate, serve
from worker.logs import configure
from worker.settings import Settings


async def application(settings: Settings, apiserver: ApiServer) -> FastAPI:
    """The server with its clients, put together.

    Raises:
        UserFailure: `TokensMissing`, the server will not run without knowing who may use it.
    """
    if settings.tokens is None:
        raise UserFailure("TokensMissing", "Set TOWPATH_TOKENS to a JSON file of {name, email, roles, sha256}.")
    client = await connect(settings, "towpath-server", lazy=True)
    secrets = tuple(part for part in settings.webhook_secret.get_secret_value().split(",") if part)
    return create(
        ServerSettings(
            webhook_secrets=secrets,
            temporal_ui=settings.temporal.ui_url,
            public_url=settings.public_url,
            temporal_namespace=settings.temporal.namespace,
            webhook_body_limit=settings.body_limit_bytes,
        ),
        client=client,
        apiserver=apiserver,
        secrets=Secrets(apiserver),
        releases=Resources(apiserver),
        rules=Resources(apiserver),
        freezes=Freezes(apiserver),
        marks=Marks(apiserver),
        logs=KeptLogs(Registry(settings.registry, insecure=settings.registry_insecure)),
        tokens=Tokens(settings.tokens),
        convert=component,
        signer=Signer(signing_key(settings.signing_key)),
    )


async def run(settings: Settings) -> None:
    """Serve until told to stop.

    Raises:
        UserFailure: `TokensMissing`, or `CertificateMissing` where the cluster is to be answered.
    """
    configure(settings.log_level, settings.log_format)
    apiserver = await ApiServer.connect(settings.kubeconfig or None)
    first = _config(await application(settings, apiserver), settings.listen)
    second, certificate = None, None
    if settings.admission_listen:
        certificate = _certificate(settings)
        second = _config(Admission(apiserver).application(), settings.admission_listen, certificate.context)
    # uvicorn raises the signal that stopped it once more, for whoever handled it before. By default that would
    # end the process on the spot, with the last spans still to be sent.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    await serve(first, second, certificate)


def _certificate(settings: Settings) -> Certificate:
    if settings.admission_cert is None or settings.admission_key is None:
        raise UserFailure(
            "CertificateMissing", "Set TOWPATH_ADMISSION_CERT and TOWPATH_ADMISSION_KEY to PEM files."
        )
    return Certificate(settings.admission_cert, settings.admission_key)


def _config(app: ASGIApp, listen: str, context: ssl.SSLContext | None = None) -> uvicorn.Config:
    host, _, port = listen.rpartition(":")
    return uvicorn.Config(
        app,
        host=host,
        port=int(port),
        http=Inbound,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=64 * 1024,
        ssl_context_factory=None if context is None else (lambda _config, _default: context),
    )
