"""What holds for all tests."""

import os

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

ON_THE_STACK = ("tests/integration/", "tests/e2e/")

# CI tries the same examples every time, so that what lands does not depend on luck; people's runs look further.
settings.register_profile("ci", derandomize=True)
settings.register_profile("people", print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "people")


class OneOnTheStack(LoadScopeScheduling):  # type: ignore[misc]
    """One process has the stack to itself, whose parts some tests kill; all else may run beside it."""

    def _split_scope(self, nodeid: str) -> str:
        return "stack" if nodeid.startswith(ON_THE_STACK) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> OneOnTheStack:
    """Which process runs what. (Marks of xdist's own for it have no effect under pytest 9.2.)"""
    return OneOnTheStack(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The whole story comes last: it is mostly waiting, and has the machine to itself by then."""
    items.sort(key=lambda item: item.nodeid.startswith(ON_THE_STACK[-1]))
