"""Everything that a workflow may ask for is served by the worker of some plane."""

from collections.abc import Sequence
from typing import Any
from unittest.mock import MagicMock

import pytest
from temporalio import activity

from worker import planes
from workflows.effort import TABLE


def test_every_activity_that_has_limits_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    served: set[str] = set()

    def note(_client: Any, _queue: str, instances: Sequence[object], **_options: Any) -> None:
        for instance in instances:
            for method in planes.activities_of(instance):
                served.add(str(activity._Definition.must_from_callable(method).name))

    for name, stand_in in (("_worker", note), ("Guard", MagicMock()), ("proof_keys", MagicMock())):
        monkeypatch.setattr(planes, name, stand_in)
    monkeypatch.setattr(planes, "seal_keys", MagicMock())
    client, settings, apiserver = MagicMock(), MagicMock(), MagicMock()
    settings.prometheus, settings.prometheus_servers, settings.acting_key = "", {}, None
    planes.control_worker(client, settings, apiserver)
    planes.data_worker(client, settings, apiserver)
    settings.build.model_dump.return_value = {}
    monkeypatch.setattr(planes, "BuildPlane", MagicMock())
    planes.build_worker(client, settings, apiserver, MagicMock())
    assert set(TABLE) <= served, f"asked for and served by nobody: {sorted(set(TABLE) - served)}"
