"""What holds for all tests."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from deploy.local.settings import Settings

ON_THE_STACK = ("tests/integration/", "tests/e2e/")

# CI tries the same examples every time, so that what lands does not depend on luck; people's runs look further.
settings.register_profile("ci", derandomize=True)
settings.register_profile("people", print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "people")


IN_SKIPPED_TIME = ("tests/workflows/", "tests/faults/")
"""Temporal's Java test server loses a task now and then on a busy machine, and whoever waits for it waits in vain.
What it has not answered in time is tried on another one; a wrong answer is not."""
STORY = ("tests/e2e/", "tests/integration/test_existing_cluster.py")
"""What speaks for the whole stack, or brings up another one on the same cluster: one after the other."""


class TwoOnTheStack(LoadScopeScheduling):  # type: ignore[misc]
    """One process tells the story, one tries the parts, and all else runs in whatever process has time."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(STORY):
            return "story"
        return "parts" if nodeid.startswith(ON_THE_STACK) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> TwoOnTheStack:
    """Which process runs what. (Marks of xdist's own for it have no effect under pytest 9.2.)"""
    return TwoOnTheStack(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The other stack first, since its engine would follow the story's components as well; the story last."""
    items.sort(key=lambda item: (item.nodeid.startswith(ON_THE_STACK[-1]), not item.nodeid.startswith(STORY[-1])))
    for item in items:
        if item.nodeid.startswith(IN_SKIPPED_TIME):
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(150))
            item.add_marker(
                pytest.mark.flaky(reruns=2, only_rerun=["TimeoutError", "RPCError", "Timeout", "CancelledError"])
            )


@pytest.fixture(autouse=True, scope="module")
def _file_alone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing else on the stack runs while a file does that is marked `alone`, its own fixtures included."""
    with _on_the_stack(fcntl.LOCK_EX) if request.node.get_closest_marker("alone") else nullcontext():
        yield


@pytest.fixture(autouse=True)
def _test_alone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing else on the stack runs while a test that is marked `alone` kills a part of it."""
    file = request.node.getparent(pytest.Module)
    if not request.node.nodeid.startswith(ON_THE_STACK) or (file and file.get_closest_marker("alone")):
        yield
        return
    with _on_the_stack(fcntl.LOCK_EX if request.node.get_closest_marker("alone") else fcntl.LOCK_SH):
        yield


@contextmanager
def _on_the_stack(how: int) -> Iterator[None]:
    state = Settings.from_environment().state
    state.mkdir(parents=True, exist_ok=True)
    with (state / "tests.lock").open("w") as lock:
        fcntl.flock(lock, how)
        yield
