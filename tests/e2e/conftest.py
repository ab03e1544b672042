"""The stack, up; a namespace of this session's own; and the stories that are told in it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from deploy.local.settings import Settings
from deploy.local.stack import Stack
from tests.e2e.application import Application
from tests.e2e.chapters import (
    Arrival,
    Begun,
    Clinic,
    Crash,
    Hello,
    Production,
    Race,
    Redelivered,
    Rollback,
    Sickness,
)
from tests.e2e.site import Site
from tests.e2e.telling import Telling

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder runs on the stack, and is the whole story."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.stack)
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The stack, brought up unless every part of it runs, and what is needed to look at it."""
    stack = Stack(Settings.from_environment())
    if any(service.state != "running" for service in stack.status()):
        stack.up()
    with Site.stand(stack) as site:
        yield site


@pytest.fixture(scope="module")
def application(site: Site) -> Iterator[Callable[..., Application]]:
    """Makes applications that go when the file is through: the node has two cores to promise to pods."""
    made: list[Application] = []
    with ExitStack() as opened:

        def make(form: Callable[..., Application], *arguments: str) -> Application:
            made.append(opened.enter_context(closing(form(site, *arguments))))
            return made[-1]

        yield make
    for app in made:
        app.remove()


@pytest.fixture(scope="session")
def lasting(site: Site) -> Iterator[Callable[..., Application]]:
    """Makes applications whose working copies go at the end; their components go with the site."""
    with ExitStack() as opened:

        def make(form: Callable[..., Application], *arguments: str) -> Application:
            return opened.enter_context(closing(form(site, *arguments)))

        yield make


@pytest.fixture(scope="session")
def begun(lasting: Callable[..., Application]) -> dict[str, Begun]:
    """The first pushes of all applications, side by side: each is waited for by whom it concerns."""
    apps = (
        lasting(Application.hello, "hello-world"),
        lasting(Application.hello, "clinic"),
        lasting(Application.greeting),
    )
    return {app.name: Begun(app, app.begin()) for app in apps}


@pytest.fixture(scope="session")
def story(begun: dict[str, Begun]) -> Iterator[Telling]:
    """The main job, and beside it the story of the clinic."""
    hello, clinic = Hello(begun["hello-world"]), Clinic(begun["clinic"])
    with (
        Telling.begin(sickness=clinic.sickness, redelivered=clinic.redelivered) as aside,
        Telling.begin(
            arrival=hello.arrival,
            production=hello.production,
            crash=hello.crash,
            race=hello.race,
            rollback=hello.rollback,
            sickness=lambda: aside.chapter("sickness"),
            redelivered=lambda: aside.chapter("redelivered"),
        ) as story,
    ):
        yield story


@pytest.fixture(scope="session")
def greeting(begun: dict[str, Begun]) -> Begun:
    """greeting-service with its first commit in development."""
    found = begun["greeting-service"]
    found.app.healthy(found.first, "development")
    return found


@pytest.fixture(scope="session")
def hello(story: Telling) -> Arrival:
    """hello-world, whose first commit has come as far as it comes by itself."""
    arrival: Arrival = story.chapter("arrival")
    return arrival


@pytest.fixture(scope="session")
def production(story: Telling) -> Production:
    """hello-world's first commit approved for production."""
    production: Production = story.chapter("production")
    return production


@pytest.fixture(scope="session")
def crash(story: Telling) -> Crash:
    """A push of hello-world that crash-loops."""
    crash: Crash = story.chapter("crash")
    return crash


@pytest.fixture(scope="session")
def race(story: Telling) -> Race:
    """Two pushes of hello-world seconds apart; the newer one is in production."""
    race: Race = story.chapter("race")
    return race


@pytest.fixture(scope="session")
def rollback(story: Telling) -> Rollback:
    """Production goes back by hand, and a newer push is approved. The story of hello-world ends here."""
    rollback: Rollback = story.chapter("rollback")
    return rollback


@pytest.fixture(scope="session")
def sickness(story: Telling) -> Sickness:
    """A push that starts and is ready, and whose health endpoint answers 500."""
    sickness: Sickness = story.chapter("sickness")
    return sickness


@pytest.fixture(scope="session")
def redelivered(story: Telling) -> Redelivered:
    """A push whose webhook came several times at once, and is healthy in development."""
    redelivered: Redelivered = story.chapter("redelivered")
    return redelivered
