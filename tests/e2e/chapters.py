"""The stories of two applications, chapter by chapter: what was done, and what was seen at that moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.e2e.application import ENVIRONMENTS, Application

DELIVERIES = 4
SECONDS_TO_FAIL = 30


@dataclass(frozen=True)
class Begun:
    """An application and its first commit, which is on its way."""

    app: Application
    first: str


@dataclass(frozen=True)
class Seen:
    """What an environment ran and answered at one moment."""

    images: set[str]
    answer: str


@dataclass(frozen=True)
class Arrival:
    """The first commit before production's gate: the step there, and what there was in each environment."""

    app: Application
    first: str
    gate: dict[str, Any]
    running: dict[str, str]
    deployments: dict[str, int]


@dataclass(frozen=True)
class Production:
    """The first commit in production."""

    digest: str
    seen: dict[str, Seen]


@dataclass(frozen=True)
class Crash:
    """A push that crash-loops: its revision, and what was seen before and after."""

    commit: str
    revision: dict[str, Any]
    before: dict[str, Seen]
    after: dict[str, Seen]


@dataclass(frozen=True)
class Race:
    """Two pushes, the second as soon as the first one's build was there."""

    older: str
    newer: str
    digest: str


@dataclass(frozen=True)
class Rollback:
    """Production went back by hand to revision 1, and a newer push came to its gate and was approved."""

    newest: str
    held: dict[str, Any]


@dataclass(frozen=True)
class Sickness:
    """What became of a push whose health endpoint answers 500, and what ran before it."""

    app: Application
    good: dict[str, Any]
    sick: dict[str, Any]


@dataclass(frozen=True)
class Redelivered:
    """One push, announced several times at once."""

    app: Application
    commit: str
    answers: list[dict[str, Any]]


class Hello:
    """hello-world: to production, back by itself, superseded, and back by hand. To be told in this order."""

    def __init__(self, begun: Begun) -> None:
        self._app, self._first = begun.app, begun.first
        self._original = ""

    def arrival(self) -> Arrival:
        """The first commit, as far as it comes by itself."""
        app = self._app
        for environment in ("development", "staging"):
            app.healthy(self._first, environment)
        gate = app.at_gate(self._first)
        return Arrival(
            app,
            self._first,
            gate,
            {environment: app.running(environment) for environment in ENVIRONMENTS},
            {environment: len(app.objects_in(environment, "deployment")) for environment in ENVIRONMENTS},
        )

    def production(self) -> Production:
        """A person approves."""
        self._app.to_production(self._first)
        self._original = self._app.running("production")
        return Production(self._original, self._look())

    def crash(self) -> Crash:
        """A push that crash-loops."""
        app, before = self._app, self._look()
        commit = app.push("Break the start", crash=True)
        revision = app.settled(commit)
        app.site.see.until(
            "one pod again", SECONDS_TO_FAIL, lambda: app.image_ids("development") == {self._original}
        )
        return Crash(commit, revision, before, self._look())

    def race(self) -> Race:
        """Two pushes seconds apart."""
        app = self._app
        older = app.push("A change")
        app.building(older)
        newer = app.push("A better change")
        app.healthy(newer, "development")
        app.healthy(newer, "staging")
        app.to_production(newer)
        return Race(older, newer, app.running("staging"))

    def rollback(self) -> Rollback:
        """Back to revision 1, while a newer push is on its way."""
        app, site = self._app, self._app.site
        site.towpath("rollback", app.key, "-e", "production", "--to-revision", "1")
        newest = app.push("The best change")
        app.healthy(newest, "staging")
        app.at_gate(newest)
        site.see.until("revision 1", SECONDS_TO_FAIL, lambda: app.running("production") == self._original)
        site.towpath("approve", app.key, "-e", "production")

        def held() -> dict[str, Any]:
            step = site.see.phase(app.name, newest, "production")
            return step if step.get("phase") == "held" else {}

        return Rollback(newest, dict(site.see.until("production is held", SECONDS_TO_FAIL, held)))

    def _look(self) -> dict[str, Seen]:
        app = self._app
        return {each: Seen(app.image_ids(each), app.curl(each)) for each in ENVIRONMENTS}


class Clinic:
    """An application that falls sick, and recovers by a push that is announced several times at once."""

    def __init__(self, begun: Begun) -> None:
        self._app, self._first = begun.app, begun.first

    def sickness(self) -> Sickness:
        """A push that starts and is ready, and whose health endpoint answers 500."""
        app = self._app
        good = app.healthy(self._first, "development")
        return Sickness(app, good, app.settled(app.push("Forget the migration", healthy=False)))

    def redelivered(self) -> Redelivered:
        """The same webhook several times at once."""
        app = self._app
        before, commit = app.push_unannounced("Recover")
        body = app.site.sender.push(app.url, commit, before)
        with ThreadPoolExecutor(max_workers=DELIVERIES) as senders:
            answers = list(senders.map(app.site.sender.send, [body] * DELIVERIES))
        assert {answer.status_code for answer in answers} == {202}, [answer.text for answer in answers]
        app.healthy(commit, "development")
        return Redelivered(app, commit, [answer.json() for answer in answers])
