"""A namespace of one's own on the stack's Temporal, for workers that must not meet the stack's."""

import asyncio
from contextlib import suppress
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode

from deploy.local.settings import Settings
from workflows.attributes import ATTRIBUTES

_KEPT = Duration(seconds=86_400)


async def client_of(settings: Settings, namespace: str, **options: Any) -> Client:
    """A client for a namespace, made unless it is there, with our search attributes."""
    client = await Client.connect(
        settings.temporal_address, namespace=namespace, data_converter=pydantic_data_converter, **options
    )
    with suppress(RPCError):  # It is there from the run before.
        await client.workflow_service.register_namespace(
            RegisterNamespaceRequest(namespace=namespace, workflow_execution_retention_period=_KEPT)
        )
    wanted = {key.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD for key in ATTRIBUTES}
    request = AddSearchAttributesRequest(namespace=namespace, search_attributes=wanted)
    async with asyncio.timeout(60):
        while True:
            try:
                await client.operator_service.add_search_attributes(request)
                await client.count_workflows()
                return client
            except RPCError as error:
                if error.status == RPCStatusCode.ALREADY_EXISTS:
                    return client
                await asyncio.sleep(0.2)  # Frontends learn of a new namespace within seconds.
