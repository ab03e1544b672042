"""The time-skipping Temporal of the workflows' tests."""

from tests.workflows.conftest import connection, temporal

__all__ = ["connection", "temporal"]
