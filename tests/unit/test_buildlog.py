"""Kept logs, with a registry in memory that speaks the distribution specification."""

import hashlib
import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from activities import buildlog
from activities.buildlog import BuildLog
from activities.registry import Registry
from model.failure import InfrastructureFailure, NotFound

REPOSITORY = "registry:5000/default/default/app"


class Memory:
    """A registry, and the statuses it shall answer with before it does what is asked."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.failing: list[int] = []
        self.requests = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if self.failing:
            return httpx.Response(self.failing.pop(0))
        path = request.url.path
        if path.endswith("/blobs/uploads/"):
            return httpx.Response(202, headers={"Location": f"{path}1?state=x"})
        if request.method == "PUT" and "/blobs/uploads/" in path:
            digest = request.url.params["digest"]
            assert digest == f"sha256:{hashlib.sha256(request.content).hexdigest()}"
            assert request.url.params["state"] == "x"
            self.blobs[digest] = request.content
            return httpx.Response(201)
        name = path.rpartition("/")[2]
        if "/blobs/" in path:
            found = self.blobs.get(name)
            return httpx.Response(404) if found is None else httpx.Response(200, content=found)
        if request.method == "PUT":
            named = re.findall(r"sha256:[0-9a-f]{64}", request.content.decode())
            if not set(named) <= set(self.blobs):
                return httpx.Response(404)
            self.manifests[name] = request.content
            return httpx.Response(201)
        if name not in self.manifests:
            return httpx.Response(404)
        content = self.manifests[name]
        headers = {"Docker-Content-Digest": f"sha256:{hashlib.sha256(content).hexdigest()}"}
        return httpx.Response(200, content=content, headers=headers)


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest_asyncio.fixture
async def registry(memory: Memory) -> AsyncIterator[Registry]:
    async with Registry("registry:5000", insecure=True, tries=3, transport=httpx.MockTransport(memory)) as made:
        yield made


@pytest.fixture
def log(registry: Registry) -> BuildLog:
    return BuildLog(registry, REPOSITORY, "log-x")


async def test_log_can_be_read_while_it_grows(registry: Registry, log: BuildLog) -> None:
    log.add(b"one\n")
    await log.store()
    assert await registry.read_log(log.reference) == b"one\n"
    log.add(b"two\n")
    await log.store()
    assert await registry.read_log(log.reference) == b"one\ntwo\n"
    assert await registry.read_log(log.reference, 2) == b"e\ntwo\n"
    assert await registry.read_log(log.reference, 8) == b""


async def test_finished_log_is_one_piece_with_the_same_words(registry: Registry, log: BuildLog) -> None:
    for number in range(5):
        log.add(f"{number}\n".encode())
        await log.store()
    await log.finish()
    assert len(await registry.layers_of(REPOSITORY, "log-x") or ()) == 1
    assert await registry.read_log(log.reference) == b"0\n1\n2\n3\n4\n"


async def test_keeping_begun_anew_repeats_nothing(registry: Registry, log: BuildLog) -> None:
    log.follow().read(b"one\ntw")
    await log.store()
    again = BuildLog(registry, REPOSITORY, "log-x")
    await again.resume()
    follower = again.follow()
    for piece in (b"on", b"e\n", b"two\n", b"three\n"):
        follower.read(piece)
    again.follow().read(b"one\ntwo\nthree\nfour\n")
    await again.finish()
    assert await registry.read_log(log.reference) == b"one\ntwo\nthree\nfour\n"


async def test_endless_log_is_cut_with_a_note(
    registry: Registry, log: BuildLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buildlog, "LIMIT", 10)
    for _ in range(3):
        log.add(b"12345678")
        await log.store()
    kept = await registry.read_log(log.reference)
    assert kept.startswith(b"1234567812\n==> The log is longer")
    assert kept.count(b"==>") == 1


async def test_registry_that_stumbles_is_asked_again(registry: Registry, memory: Memory, log: BuildLog) -> None:
    memory.failing = [503, 502]
    log.add(b"one\n")
    await log.store()
    assert await registry.read_log(log.reference) == b"one\n"


async def test_registry_that_stays_away_loses_nothing(registry: Registry, memory: Memory, log: BuildLog) -> None:
    memory.failing = [503] * 3
    log.add(b"one\n")
    with pytest.raises(InfrastructureFailure) as caught:
        await log.store()
    assert caught.value.reason == "RegistryUnavailable"
    await log.store()
    assert await registry.read_log(log.reference) == b"one\n"


async def test_refused_credentials_fail_at_once(registry: Registry, memory: Memory) -> None:
    memory.failing = [401, 401]
    with pytest.raises(InfrastructureFailure) as caught:
        await registry.digest_of(REPOSITORY, "latest")
    assert caught.value.reason == "RegistryRefused"
    assert memory.requests == 1


@pytest.mark.parametrize("reference", ["registry:5000/a/b:none", "elsewhere/a:b", "registry:5000/../a:b", "x", ""])
async def test_absent_or_strange_log_is_not_found(registry: Registry, reference: str) -> None:
    with pytest.raises(NotFound):
        await registry.read_log(reference)


async def test_the_end_of_a_log_is_at_hand_also_for_who_comes_later(registry: Registry) -> None:
    first = BuildLog(registry, REPOSITORY, "tail")
    await first.resume()
    first.follow().read(b"early\n" * 5000 + b"npm ERR! 404\n")
    await first.finish()
    assert first.tail.endswith(b"npm ERR! 404\n")
    assert len(first.tail) <= 16 * 1024
    # Another try of the same activity, after the first one's worker has died.
    second = BuildLog(registry, REPOSITORY, "tail")
    await second.resume()
    assert second.tail == first.tail
    second.follow().read(b"early\n" * 5000 + b"npm ERR! 404\nthe end\n")
    assert second.tail.endswith(b"npm ERR! 404\nthe end\n")


async def test_why_it_failed_is_known_beyond_what_is_kept(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buildlog, "LIMIT", 100)
    log = BuildLog(registry, REPOSITORY, "tail")
    await log.resume()
    follower = log.follow()
    follower.read(b"x" * 200)
    follower.read(b"why\n")
    assert log.tail.endswith(b"why\n")
