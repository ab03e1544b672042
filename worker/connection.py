"""The one way a process connects to Temporal."""

from temporalio.client import Client, TLSConfig
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.runtime import Runtime

from worker.keys import seal_keys
from worker.seals import Sealing
from worker.settings import Settings
from worker.telemetry import runtime, tracing


async def connect(settings: Settings, service: str, shared: Runtime | None = None, lazy: bool = False) -> Client:
    """Connect with the data converter, tracing and, when set, mutual TLS and seals on what is signalled.

    A `lazy` client connects at its first call, so that a server can start while Temporal is away.

    Raises:
        RuntimeError: Temporal could not be reached.
    """
    temporal = settings.temporal
    tls: TLSConfig | bool = False
    if temporal.tls_ca or temporal.tls_cert:
        tls = TLSConfig(
            server_root_ca_cert=temporal.tls_ca.read_bytes() if temporal.tls_ca else None,
            client_cert=temporal.tls_cert.read_bytes() if temporal.tls_cert else None,
            client_private_key=temporal.tls_key.read_bytes() if temporal.tls_key else None,
        )
    return await Client.connect(
        temporal.address,
        namespace=temporal.namespace,
        data_converter=pydantic_data_converter,
        plugins=tracing(settings, service),
        interceptors=[Sealing(seal_keys(settings.seal_keys))] if settings.seal_keys else [],
        runtime=shared or runtime(settings),
        tls=tls,
        lazy=lazy,
    )
