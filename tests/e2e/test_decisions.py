"""What people decide about what ran, on real parts: compare, take back, mark bad."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.application import Application
from tests.e2e.site import Site

ENVIRONMENT = "development"


@dataclass
class Decided:
    """Two releases that were healthy, what differed, and what ran after each word."""

    app: Application
    commits: tuple[str, str]
    digests: tuple[str, str]
    difference: dict[str, Any]
    after_undo: str
    history: list[dict[str, Any]]


@pytest.fixture(scope="module")
def decided(site: Site, application: Callable[..., Application]) -> Decided:
    app = application(Application.hello, "decided")
    first = app.begin()
    app.healthy(first, ENVIRONMENT)
    one = app.running(ENVIRONMENT)
    second = app.push("Second")
    app.healthy(second, ENVIRONMENT)
    two = app.running(ENVIRONMENT)
    difference = json.loads(site.towpath("diff", app.key, "-e", ENVIRONMENT, "-o", "json"))
    site.towpath("undo", app.key, "-e", ENVIRONMENT, "--wait", "--reason", "wrong button")
    after = app.running(ENVIRONMENT)
    site.towpath("mark", app.key, second[:12], "bad", "--reason", "loses invoices")
    history = json.loads(site.towpath("history", app.key, "-e", ENVIRONMENT, "-o", "json"))
    return Decided(app, (first, second), (one, two), difference, after, history)


def test_the_difference_is_that_of_what_ran_and_what_runs(decided: Decided) -> None:
    before, after = decided.difference["before"], decided.difference["after"]
    assert (before["commit"], after["commit"]) == decided.commits
    one, two = decided.digests
    changed = [line for line in decided.difference["manifests"].splitlines() if line[:1] in "-+"]
    assert any(one in line for line in changed if line.startswith("-"))
    assert any(two in line for line in changed if line.startswith("+"))


def test_undo_takes_the_last_change_back_and_says_by_whom_and_why(decided: Decided) -> None:
    assert decided.after_undo == decided.digests[0]
    last = decided.history[-1]
    assert (last["kind"], last["restored"], last["result"]) == ("rollback", 1, "healthy")
    assert (last["actor"]["kind"], last["reason"]) == ("person", "wrong button")


def test_a_release_that_is_marked_bad_is_brought_in_by_nobody(site: Site, decided: Decided) -> None:
    listed = json.loads(site.towpath("releases", decided.app.key, "-o", "json"))
    marks = {each["commit"]["id"]: (each["mark"] or {}).get("word") for each in listed}
    assert marks == {decided.commits[0]: None, decided.commits[1]: "bad"}
    second = decided.commits[1][:12]
    for words in (
        ("deploy", decided.app.key, "-e", ENVIRONMENT, "--release", second),
        ("promote", decided.app.key, "--release", second),
        ("rollback", decided.app.key, "-e", ENVIRONMENT, "--to-revision", "2"),
    ):
        with pytest.raises(RuntimeError, match="loses invoices"):
            site.towpath(*words)
    assert decided.app.running(ENVIRONMENT) == decided.digests[0]
