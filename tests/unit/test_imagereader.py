"""Reading registries that ask for credentials and keep blobs elsewhere, over real HTTP."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from activities.imagereader import OCI_MANIFEST, Credentials, ImageReader
from activities.outbound import Outbound
from model.destination import Reach
from model.failure import InfrastructureFailure, NotFound, UserFailure

PASSWORD = "canary-password-4711"
BLOB = json.dumps({"os": "linux", "architecture": "amd64"}).encode()
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST}).encode()
Answer = tuple[int, dict[str, str], bytes]
Serve = Callable[[str, dict[str, str]], Answer]


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Host:
    """An HTTP server; `serve` answers a path and headers."""

    def __init__(self) -> None:
        self.serve: Serve = lambda _path, _headers: (404, {}, b"")
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.name = ""

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                headers: dict[str, str] = {}
                while (header := (await reader.readline()).strip()) != b"":
                    name, _, text = header.decode().partition(": ")
                    headers[name.lower()] = text
                path = line.decode().split()[1]
                self.asked.append((path, headers))
                status, told, body = self.serve(path, headers)
                told = {**told, "Content-Length": str(len(body))}
                lines = [f"HTTP/1.1 {status} x", *(f"{name}: {text}" for name, text in told.items()), "", ""]
                writer.write("\r\n".join(lines).encode() + body)
                await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Host]:
    host = Host()
    server = await asyncio.start_server(host.take, "127.0.0.1", 0)
    host.name = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield host
    finally:
        server.close()


Hosts = Callable[[], Awaitable[Host]]


@pytest_asyncio.fixture
async def hosts() -> AsyncIterator[Hosts]:
    async with AsyncExitStack() as stack:
        yield lambda: stack.enter_async_context(listening())


def reader(*hosts: Host, credentials: Path | None = None) -> ImageReader:
    names = [host.name for host in hosts]
    return ImageReader(Outbound(Reach(hosts=tuple(names))), Credentials(credentials), frozenset(names))


def guarded(registry: Host, wanted: str) -> Serve:
    """A registry with token authentication that knows one user."""

    def serve(path: str, headers: dict[str, str]) -> Answer:
        if path.startswith("/token"):
            if headers.get("authorization", "") != wanted:
                return 401, {}, b""
            assert "scope=repository%3Ateam%2Fapp%3Apull" in path
            return 200, {}, b'{"token": "granted"}'
        if headers.get("authorization") != "Bearer granted":
            challenge = f'Bearer realm="http://{registry.name}/token",service="r"'
            return 401, {"WWW-Authenticate": challenge}, b""
        return 200, {"Content-Type": OCI_MANIFEST}, MANIFEST

    return serve


def kept(folder: Path, place: str) -> Path:
    path = folder / "config.json"
    encoded = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
    path.write_text(json.dumps({"auths": {place: {"auth": encoded}, "other.example": {"auth": "eA=="}}}))
    return path


async def test_a_public_image_is_read_with_the_token_that_anybody_gets(hosts: Hosts) -> None:
    registry = await hosts()
    registry.serve = guarded(registry, "")
    served = await reader(registry).manifest(f"{registry.name}/team/app", "v1")
    assert (served.digest, served.media_type) == (digest(MANIFEST), OCI_MANIFEST)


async def test_a_private_image_is_read_with_the_credentials_of_its_registry(hosts: Hosts, tmp_path: Path) -> None:
    registry = await hosts()
    registry.serve = guarded(registry, f"Basic {base64.b64encode(f'ada:{PASSWORD}'.encode()).decode()}")
    name = f"{registry.name}/team/app"
    for place in (registry.name, f"http://{registry.name}/v2/", f"{registry.name}/team"):
        found = await reader(registry, credentials=kept(tmp_path, place)).manifest(name, "v1")
        assert found.digest == digest(MANIFEST)


async def test_without_the_right_credentials_it_is_refused_and_they_are_not_told(
    hosts: Hosts, tmp_path: Path
) -> None:
    registry = await hosts()
    registry.serve = guarded(registry, "Basic somebody-else")
    for credentials in (None, kept(tmp_path, registry.name)):
        with pytest.raises(UserFailure) as refused:
            await reader(registry, credentials=credentials).manifest(f"{registry.name}/team/app", "v1")
        assert refused.value.reason == "RegistryRefused"
        assert PASSWORD not in refused.value.message


async def test_a_blob_that_lies_elsewhere_is_read_there_without_credentials(hosts: Hosts, tmp_path: Path) -> None:
    registry, storage = await hosts(), await hosts()
    inner = guarded(registry, f"Basic {base64.b64encode(f'ada:{PASSWORD}'.encode()).decode()}")

    def serve(path: str, headers: dict[str, str]) -> Answer:
        answer = inner(path, headers)
        return (
            (307, {"Location": f"http://{storage.name}/b?sig=1"}, b"")
            if "/blobs/" in path and answer[0] == 200
            else answer
        )

    registry.serve = serve
    storage.serve = lambda _path, _headers: (200, {}, BLOB)
    found = await reader(registry, storage, credentials=kept(tmp_path, registry.name)).configuration(
        f"{registry.name}/team/app", digest(BLOB)
    )
    assert found["os"] == "linux"
    assert [path for path, _ in storage.asked] == ["/b?sig=1"]
    assert "authorization" not in storage.asked[0][1]


async def test_a_registry_cannot_send_us_to_where_clouds_keep_credentials(hosts: Hosts) -> None:
    registry = await hosts()
    registry.serve = lambda _path, _headers: (307, {"Location": "http://169.254.169.254/latest/"}, b"")
    with pytest.raises(UserFailure) as refused:
        await reader(registry).configuration(f"{registry.name}/team/app", digest(BLOB))
    assert refused.value.reason == "AddressRefused"


async def test_what_does_not_have_the_digest_that_was_asked_for_is_not_taken(hosts: Hosts) -> None:
    registry = await hosts()
    registry.serve = lambda _path, _headers: (200, {}, MANIFEST)
    for asked in (
        reader(registry).manifest(f"{registry.name}/a", digest(b"another")),
        reader(registry).configuration(f"{registry.name}/a", digest(b"another")),
    ):
        with pytest.raises(InfrastructureFailure):
            await asked


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (404, b"", NotFound),
        (403, b"", UserFailure),
        (429, b"", InfrastructureFailure),
        (503, b"", InfrastructureFailure),
        (200, b"[" * 100_000, UserFailure),
        (200, b"[]", UserFailure),
    ],
)
async def test_answers_of_registries_are_told_apart(
    hosts: Hosts, status: int, body: bytes, failure: type[Exception]
) -> None:
    registry = await hosts()
    registry.serve = lambda _path, _headers: (status, {}, body)
    with pytest.raises(failure) as raised:
        await reader(registry).manifest(f"{registry.name}/a", "v1")
    assert type(raised.value) is failure


@pytest.mark.parametrize("text", ["", "{", "[]", '{"auths": []}', '{"auths": {"r.example": {"auth": "%"}}}'])
def test_a_file_of_credentials_that_cannot_be_read_is_said_and_not_quoted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(InfrastructureFailure) as raised:
        Credentials(path).of("r.example/app")
    assert raised.value.reason == "CredentialsUnreadable"


async def test_tags_are_read_page_by_page_and_not_for_ever(hosts: Hosts) -> None:
    registry = await hosts()
    pages = {"": ["1.0.0", "1.1.0"], "1.1.0": ["1.2.0"]}

    def serve(path: str, _headers: dict[str, str]) -> Answer:
        last = path.partition("&last=")[2]
        link = {"Link": f'<{path}>; rel="next"'}
        # Beyond its last page it goes on and on with the same one.
        return 200, link, json.dumps({"tags": pages.get(last, ["1.2.0"])}).encode()

    registry.serve = serve
    found = [page async for page in reader(registry).tags(f"{registry.name}/team/app")]
    assert found == [("1.0.0", "1.1.0"), ("1.2.0",), ("1.2.0",)]
