"""Some of the lives of tests/faults on the real Temporal, with the real ledger, and workers that die."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.api.operatorservice.v1 import DeleteNamespaceRequest
from temporalio.client import Client

from activities.ledgers import Ledgers
from deploy.local.settings import Settings
from tests.faults.many import Many
from tests.temporal_namespace import client_of

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
SEEDS = range(1000, 1030)
SIDE_BY_SIDE = 15
DEATHS_EVERY_SECONDS = 5.0


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client() -> AsyncIterator[Client]:
    """A Temporal namespace that goes with the tests."""
    name = f"test-lives-{uuid.uuid4().hex[:8]}"
    client = await client_of(Settings.from_environment(), name)
    yield client
    await client.operator_service.delete_namespace(DeleteNamespaceRequest(namespace=name))


async def test_whatever_dies_meanwhile_the_newest_is_built_and_nothing_is_lost(
    client: Client, tmp_path: Path
) -> None:
    print(f"seeds {SEEDS[0]} to {SEEDS[-1]}")
    await Many(client, Ledgers(client)).live(SEEDS, SIDE_BY_SIDE, tmp_path, DEATHS_EVERY_SECONDS)
