"""Whom a Repository wants to be told of its commits."""

from typing import Any

import pytest

from model import stated_statuses
from model.failure import UserFailure
from model.hosting import line
from model.resources.declared import read
from model.resources.repository import Repository
from model.status_note import of_build
from model.told import Told

API = {"tokenSecretRef": {"name": "github"}}


def repository(**spec: Any) -> Repository:
    metadata = {"name": "web", "namespace": "team"}
    return read(
        Repository,
        {"metadata": metadata, "spec": {"url": "git@github.com:Team/web.git", "provider": "github", **spec}},
    )


def test_an_api_is_enough() -> None:
    expected = Told(repository="github.com/Team/web", namespace="team", name="web")
    assert stated_statuses.told(repository(api=API)) == expected


def test_what_is_stated_is_taken() -> None:
    found = stated_statuses.told(
        repository(api=API, statuses={"context": "ship", "link": "https://ui.example", "deployments": False})
    )
    assert found is not None
    assert (found.context, found.link, found.deployments) == ("ship", "https://ui.example", False)


@pytest.mark.parametrize(
    "spec", [{}, {"api": API, "statuses": {"enabled": False}}, {"api": API, "provider": "git"}], ids=str
)
def test_nobody_is_told_where_nobody_wants_to_be(spec: dict[str, Any]) -> None:
    assert stated_statuses.told(repository(**spec)) is None


def test_an_address_of_another_provider_is_said_to_be_wrong() -> None:
    with pytest.raises(UserFailure, match="as azure has them"):
        stated_statuses.told(repository(api=API, provider="azure"))


@pytest.mark.parametrize(
    ("phase", "fault", "state"),
    [
        ("admitted", "", "pending"),
        ("queued", "", "pending"),
        ("running", "", "pending"),
        ("succeeded", "", "success"),
        ("failed", "user", "failure"),
        ("failed", "infrastructure", "error"),
        ("cancelled", "", "cancelled"),
        ("superseded", "", "cancelled"),
        ("something new", "", "pending"),
    ],
)
def test_only_what_succeeded_is_a_success(phase: str, fault: str, state: str) -> None:
    assert of_build(phase, fault) == state


def test_a_description_is_one_line_that_providers_take() -> None:
    assert line("a\n\tb\x1b[31m c" + "x" * 200) == "a b [31m c" + "x" * 129 + "…"
    assert len(line("y" * 500)) == 140
