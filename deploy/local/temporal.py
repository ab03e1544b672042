"""Temporal: the server on an SQLite file, its Web UI, the namespace and its search attributes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from deploy.local.catalogue import TEMPORAL, TEMPORAL_UI
from deploy.local.configuration import write_yaml
from deploy.local.errors import ServiceFailed
from deploy.local.readiness import http_ok, tcp_open
from deploy.local.service import Service
from deploy.local.settings import Settings
from workflows.attributes import ATTRIBUTES

RETENTION = timedelta(days=30)
SEARCH_ATTRIBUTES: tuple[str, ...] = tuple(key.name for key in ATTRIBUTES)
"""Keyword attributes; SQL stores allow ten of them in a namespace."""

_SETUP_SECONDS = 60.0

# One shard makes the defaults slow: with these an activity hop takes some 11 ms
# in place of 101 ms, and a child workflow 23 ms in place of 201 ms.
_DYNAMIC_CONFIGURATION: dict[str, Any] = {
    "history.transferProcessorMaxPollRPS": 2000,
    "history.timerProcessorMaxPollRPS": 2000,
    "history.visibilityProcessorMaxPollRPS": 2000,
    "history.timerProcessorMaxTimeShift": "10ms",
    "matching.numTaskqueueReadPartitions": 1,
    "matching.numTaskqueueWritePartitions": 1,
    "system.enableActivityEagerExecution": True,
    "system.forceSearchAttributesCacheRefreshOnRead": True,
    "frontend.enableUpdateWorkflowExecution": True,
    "frontend.enableUpdateWorkflowExecutionAsyncAccepted": True,
    "frontend.workerVersioningDataAPIs": True,
    "frontend.workerVersioningWorkflowAPIs": True,
    "system.enableDeploymentVersions": True,
}


def services(settings: Settings) -> list[Service]:
    """The server and the Web UI; writes their configuration."""
    folder = settings.state / "temporal"
    dynamic = write_yaml(
        folder / "dynamic.yaml",
        {key: [{"value": value}] for key, value in _DYNAMIC_CONFIGURATION.items()},
    )
    config = write_yaml(folder / "server.yaml", _server_configuration(settings, dynamic))
    ui = write_yaml(
        folder / "ui" / "local.yaml",
        {
            "temporalGrpcAddress": settings.temporal_address,
            "host": "127.0.0.1",
            "port": settings.temporal_ui_port,
            "enableUi": True,
            "defaultNamespace": settings.temporal_namespace,
            "disableNewsFetch": True,
            "cors": {"cookieInsecure": True, "allowOrigins": [settings.temporal_ui_url]},
        },
    )
    return [
        Service(
            name="temporal",
            argv=(
                str(TEMPORAL.folder(settings) / "temporal-server"),
                *("--config-file", str(config), "--allow-no-auth", "start"),
            ),
            ready=tcp_open("127.0.0.1", settings.temporal_port),
            then=lambda: prepare_namespace(settings),
            config=(config, dynamic),
            timeout=90.0,
            stop_timeout=15.0,
        ),
        Service(
            name="temporal-ui",
            argv=(
                str(TEMPORAL_UI.folder(settings) / "temporal-ui"),
                *("--root", str(folder), "--config", "ui", "--env", "local", "start"),
            ),
            ready=http_ok(f"{settings.temporal_ui_url}/api/v1/settings"),
            after=("temporal",),
            config=(ui,),
        ),
    ]


def prepare_namespace(settings: Settings) -> None:
    """Make the namespace and its search attributes, unless they are there.

    Raises:
        ServiceFailed: the server does not take them within a minute.
    """
    try:
        asyncio.run(asyncio.wait_for(_prepare(settings), _SETUP_SECONDS))
    except (TimeoutError, RPCError, RuntimeError) as error:
        raise ServiceFailed(
            "NamespaceNotReady", f"Temporal at {settings.temporal_address}: {error!r}; read temporal.log"
        ) from error


async def _prepare(settings: Settings) -> None:
    namespace = settings.temporal_namespace
    while True:
        # The port opens before the shard is owned; until then calls fail.
        try:
            client = await Client.connect(settings.temporal_address, namespace=namespace)
            await _register(client, namespace)
            await _wait_for_attributes(client, namespace)
            return
        except (RPCError, RuntimeError):
            await asyncio.sleep(0.25)


async def _register(client: Client, namespace: str) -> None:
    retention = Duration()
    retention.FromTimedelta(RETENTION)
    try:
        await client.workflow_service.register_namespace(
            RegisterNamespaceRequest(namespace=namespace, workflow_execution_retention_period=retention)
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise


async def _wait_for_attributes(client: Client, namespace: str) -> None:
    listed = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
    absent = [name for name in SEARCH_ATTRIBUTES if name not in listed.custom_attributes]
    if absent:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=namespace,
                search_attributes=dict.fromkeys(absent, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
            )
        )


def _server_configuration(settings: Settings, dynamic: Path) -> dict[str, Any]:
    store = {
        "sql": {
            "user": "",
            "password": "",
            "pluginName": "sqlite",
            "databaseName": str(settings.state / "temporal" / "temporal.db"),
            "connectAddr": "localhost",
            "connectProtocol": "tcp",
            "connectAttributes": {
                "cache": "private",
                "setup": True,
                "journal_mode": "wal",
                # As safe against a killed process as FULL, and without a disk flush a write.
                "synchronous": "1",
            },
            "maxConns": 1,
            "maxIdleConns": 1,
            "maxConnLifetime": "1h",
            "tls": {"enabled": False},
        }
    }

    def rpc(offset: int) -> dict[str, Any]:
        return {
            "rpc": {
                "grpcPort": settings.temporal_port + offset,
                "membershipPort": settings.temporal_membership_port + offset,
                "bindOnIP": "127.0.0.1",
            }
        }

    frontend = rpc(0)
    frontend["rpc"]["httpPort"] = settings.temporal_http_port
    return {
        "log": {"stdout": True, "level": "warn"},
        "persistence": {
            "defaultStore": "main",
            "visibilityStore": "visibility",
            "numHistoryShards": 1,
            "datastores": {"main": store, "visibility": store},
        },
        "global": {
            "membership": {"maxJoinDuration": "30s", "broadcastAddress": "127.0.0.1"},
            "pprof": {"port": 0},
            "metrics": {
                "prometheus": {
                    "framework": "tally",
                    "timerType": "histogram",
                    "listenAddress": f"127.0.0.1:{settings.temporal_metrics_port}",
                }
            },
        },
        "services": {"frontend": frontend, "history": rpc(1), "matching": rpc(2), "worker": rpc(6)},
        "clusterMetadata": {
            "enableGlobalNamespace": False,
            "failoverVersionIncrement": 10,
            "masterClusterName": "active",
            "currentClusterName": "active",
            "clusterInformation": {
                "active": {
                    "enabled": True,
                    "initialFailoverVersion": 1,
                    "rpcName": "frontend",
                    "rpcAddress": settings.temporal_address,
                    "httpAddress": f"127.0.0.1:{settings.temporal_http_port}",
                }
            },
        },
        "dcRedirectionPolicy": {"policy": "noop"},
        "archival": {"history": {"state": "disabled"}, "visibility": {"state": "disabled"}},
        "namespaceDefaults": {"archival": {"history": {"state": "disabled"}, "visibility": {"state": "disabled"}}},
        "dynamicConfigClient": {"filepath": str(dynamic), "pollInterval": "60s"},
    }
