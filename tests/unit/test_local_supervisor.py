"""Services are daemons that are known again, restarted when changed, and stopped for sure."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.errors import ServiceFailed
from deploy.local.process import ProcessIdentity
from deploy.local.progress import Quiet
from deploy.local.service import Service
from deploy.local.settings import Settings
from deploy.local.supervisor import Supervisor


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    state = tmp_path / "state"
    state.mkdir()
    return Settings(cache=tmp_path / "cache", state=state)


@pytest.fixture
def supervisor(settings: Settings) -> Iterator[Supervisor]:
    supervisor = Supervisor(settings, Quiet())
    yield supervisor
    for name in supervisor.started():
        supervisor.stop(name)


def service(name: str = "one", code: str = "import time; time.sleep(60)", **fields: object) -> Service:
    defaults: dict[str, object] = {"ready": lambda: None, "timeout": 5.0}
    return Service(name=name, argv=(sys.executable, "-c", code), **{**defaults, **fields})  # type: ignore[arg-type]


def test_a_running_service_is_left_alone_by_a_later_process(supervisor: Supervisor, settings: Settings) -> None:
    supervisor.start(service())
    pid = supervisor.pid("one")
    Supervisor(settings, Quiet()).start(service())
    assert pid is not None
    assert supervisor.pid("one") == pid


def test_a_changed_configuration_restarts_it(supervisor: Supervisor, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("a")
    supervisor.start(service(config=(config,)))
    before = supervisor.pid("one")
    config.write_text("b")
    supervisor.start(service(config=(config,)))
    assert supervisor.pid("one") not in (None, before)


def test_a_service_that_ends_tells_the_end_of_its_log(supervisor: Supervisor) -> None:
    broken = service(code="import sys; sys.exit('no such disk')", ready=lambda: "not yet")
    with pytest.raises(ServiceFailed, match="no such disk") as failure:
        supervisor.start(broken)
    assert failure.value.reason == "NotReady"


def test_a_service_that_never_answers_says_what_it_lacks(supervisor: Supervisor) -> None:
    with pytest.raises(ServiceFailed, match="the moon"):
        supervisor.start(service(ready=lambda: "the moon", timeout=0.5))


def test_a_killed_service_is_known_dead_and_can_be_started_again(supervisor: Supervisor) -> None:
    supervisor.start(service())
    supervisor.kill("one")
    assert supervisor.pid("one") is None
    supervisor.restart(service())
    assert supervisor.pid("one") is not None


def test_a_service_that_ignores_sigterm_is_killed(supervisor: Supervisor) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    )
    log = supervisor.log("one")
    stubborn = service(
        code=code,
        stop_timeout=0.3,
        ready=lambda: None if log.exists() and log.read_text().endswith("1\n") else "quiet",
    )
    supervisor.start(stubborn)
    assert supervisor.stop("one")
    assert supervisor.pid("one") is None


def test_services_start_after_those_that_they_need(supervisor: Supervisor) -> None:
    order: list[str] = []
    supervisor.start_all(
        [
            service("last", after=("middle",), then=lambda: order.append("last")),
            service("middle", after=("first", "elsewhere"), then=lambda: order.append("middle")),
            service("first", then=lambda: order.append("first")),
        ]
    )
    assert order == ["first", "middle", "last"]


def test_a_service_is_restarted_with_the_one_that_it_follows(supervisor: Supervisor) -> None:
    leader, follower = service("leader"), service("follower", after=("leader",), follows=("leader",))
    supervisor.start_all([follower, leader])
    before = supervisor.pid("follower")
    supervisor.start_all([follower, leader])
    assert supervisor.pid("follower") == before
    supervisor.kill("leader")
    supervisor.start_all([follower, leader])
    assert supervisor.pid("follower") not in (None, before)


def test_services_that_wait_for_one_another_are_refused(supervisor: Supervisor) -> None:
    with pytest.raises(ServiceFailed, match="OrderImpossible"):
        supervisor.start_all([service("a", after=("b",)), service("b", after=("a",))])


def test_another_process_with_the_same_pid_is_not_ours() -> None:
    here = ProcessIdentity.of(os.getpid())
    assert here is not None
    stranger = ProcessIdentity(pid=here.pid, started=here.started - 1, boot=here.boot)
    assert here.is_alive()
    assert not stranger.is_alive()
    assert not stranger.send(signal.SIGKILL)
