"""What holds for all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

HERE = Path(__file__).parent
ON_THE_STACK = (HERE / "integration", HERE / "e2e")

# CI tries the same examples every time, so that what lands does not depend on luck; people's runs look further.
settings.register_profile("ci", derandomize=True)
settings.register_profile("people", print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "people")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process has the stack to itself, whose parts some tests kill; all else may run beside it.

    The whole story comes last: it is mostly waiting, and what it waits for has the machine to itself by then.
    """
    for item in items:
        if any(folder in item.path.parents for folder in ON_THE_STACK):
            item.add_marker(pytest.mark.xdist_group("stack"))
    items.sort(key=lambda item: ON_THE_STACK[1] in item.path.parents)
