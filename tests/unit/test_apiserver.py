"""ApiServer against a small HTTP server that speaks the API server's list and watch protocol."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml
from aiohttp import web

from activities import apiserver
from activities.apiserver import ApiServer, Change
from model.failure import Conflict, InfrastructureFailure, NotFound, UserFailure

WIDGETS = {
    "kind": "APIResourceList",
    "resources": [
        {"name": "widgets", "kind": "Widget", "namespaced": True},
        {"name": "widgets/status", "kind": "Widget", "namespaced": True},
    ],
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def widget(name: str, version: int, uid: str = "") -> dict[str, Any]:
    return {
        "apiVersion": "example.dev/v1",
        "kind": "Widget",
        "metadata": {"name": name, "namespace": "a", "uid": uid or f"uid-{name}", "resourceVersion": str(version)},
    }


def status(code: int, reason: str, **more: Any) -> web.Response:
    body = {"kind": "Status", "code": code, "reason": reason, "message": f"{reason}!", **more}
    return web.json_response(body, status=code)


class FakeServer:
    """Answers lists and watches from a script; the last entry repeats."""

    def __init__(self) -> None:
        self.lists: list[list[dict[str, Any]] | web.Response] = [[]]
        self.watches: list[list[dict[str, Any]] | str] = ["end"]
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.answer: Handler | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        self.requests.append((request.method, request.path, dict(request.query), json.loads(text or "null")))
        if request.path == "/apis/example.dev/v1":
            return web.json_response(WIDGETS)
        if self.answer is not None:
            return await self.answer(request)
        if "watch" in request.query:
            return await self._watch(request)
        script = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        if isinstance(script, web.Response):
            return script
        return web.json_response({"metadata": {"resourceVersion": "7"}, "items": script})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        script = self.watches.pop(0) if len(self.watches) > 1 else self.watches[0]
        response = web.StreamResponse()
        await response.prepare(request)
        if script == "silent":
            await asyncio.Event().wait()
        for event in script if isinstance(script, list) else []:
            await response.write(json.dumps(event).encode() + b"\n")
        return response


@pytest_asyncio.fixture(loop_scope="session")
async def fake(tmp_path: Path) -> AsyncIterator[tuple[FakeServer, ApiServer]]:
    server = FakeServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    client = await ApiServer.connect(str(kubeconfig))
    yield server, client
    await client.close()
    await runner.cleanup()


Fake = tuple[FakeServer, ApiServer]


async def first(client: ApiServer, count: int) -> list[tuple[str, str]]:
    seen: list[tuple[str, str]] = []
    async with aclosing(client.watch("example.dev/v1", "Widget")) as changes:
        async for change in changes:
            assert isinstance(change, Change)
            seen.append((change.type, change.object.get("metadata", {}).get("name", "")))
            if len(seen) == count:
                return seen
    raise AssertionError("a watch never ends")


@pytest.fixture
def quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apiserver, "_BACK_OFF_START", 0.001)
    monkeypatch.setattr(apiserver, "_BACK_OFF_LIMIT", 0.01)


async def test_a_watch_tells_the_list_then_synced_then_changes(fake: Fake) -> None:
    server, client = fake
    server.lists = [[widget("one", 1)]]
    server.watches = [
        [
            {"type": "ADDED", "object": widget("two", 2)},
            {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}},
            {"type": "DELETED", "object": widget("one", 3)},
        ],
        "silent",
    ]
    assert await first(client, 4) == [("ADDED", "one"), ("SYNCED", ""), ("ADDED", "two"), ("DELETED", "one")]


async def test_after_410_only_what_differs_is_told(fake: Fake) -> None:
    server, client = fake
    server.lists = [
        [widget("same", 1), widget("gone", 1), widget("new-body", 1), widget("remade", 1)],
        [widget("same", 1), widget("new-body", 5), widget("remade", 6, uid="other")],
    ]
    expired = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}
    server.watches = [[expired], "silent"]
    seen = await first(client, 10)
    assert seen[4] == ("SYNCED", "")
    assert seen[5:] == [
        ("DELETED", "gone"),
        ("DELETED", "remade"),
        ("MODIFIED", "new-body"),
        ("ADDED", "remade"),
        ("SYNCED", ""),
    ]


@pytest.mark.usefixtures("quick_pauses")
async def test_a_half_open_watch_is_given_up_and_listed_again(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    server, client = fake
    monkeypatch.setattr(apiserver, "_WATCHING", aiohttp.ClientTimeout(total=0.2))
    server.lists = [[], [widget("missed", 2)]]
    server.watches = ["silent"]
    assert await first(client, 3) == [("SYNCED", ""), ("ADDED", "missed"), ("SYNCED", "")]


@pytest.mark.usefixtures("quick_pauses")
async def test_a_watch_outlives_an_overloaded_server_but_not_a_refusal(fake: Fake) -> None:
    server, client = fake
    server.lists = [status(429, "TooManyRequests"), status(503, "ServiceUnavailable"), [widget("one", 1)]]
    assert await first(client, 2) == [("ADDED", "one"), ("SYNCED", "")]
    server.lists = [status(403, "Forbidden")]
    with pytest.raises(UserFailure) as caught:
        await first(client, 1)
    assert caught.value.reason == "Forbidden"


async def test_lists_come_in_pages_and_start_over_when_the_token_expired(fake: Fake) -> None:
    server, client = fake
    answers = [
        web.json_response({"metadata": {"continue": "next"}, "items": [widget("one", 1)]}),
        status(410, "Expired"),
        web.json_response({"metadata": {"continue": "next"}, "items": [widget("one", 1)]}),
        web.json_response({"metadata": {"resourceVersion": "3"}, "items": [widget("two", 1)]}),
    ]

    async def answer(request: web.Request) -> web.StreamResponse:
        return answers.pop(0)

    server.answer = answer
    names = [obj["metadata"]["name"] for obj in await client.list("example.dev/v1", "Widget", labels="a=b")]
    assert names == ["one", "two"]
    asked = [query for _, path, query, _ in server.requests if path.endswith("/widgets")]
    assert [query.get("continue") for query in asked] == [None, "next", None, "next"]
    assert all(query["labelSelector"] == "a=b" for query in asked)


@pytest.mark.parametrize(
    ("code", "reason", "kind", "expected"),
    [
        (409, "AlreadyExists", Conflict, "AlreadyExists"),
        (422, "Invalid", UserFailure, "Invalid"),
        (403, "Forbidden", UserFailure, "Forbidden"),
        (404, "NotFound", NotFound, "NotFound"),
        (429, "TooManyRequests", InfrastructureFailure, "ApiServerUnavailable"),
        (500, "InternalError", InfrastructureFailure, "ApiServerUnavailable"),
        (504, "Timeout", InfrastructureFailure, "ApiServerUnavailable"),
    ],
)
async def test_refusals_say_whose_fault_it_is(
    fake: Fake, code: int, reason: str, kind: type[Exception], expected: str
) -> None:
    server, client = fake

    async def answer(request: web.Request) -> web.StreamResponse:
        return status(code, reason)

    server.answer = answer
    with pytest.raises(kind) as caught:
        await client.create(widget("one", 1))
    assert getattr(caught.value, "reason", "") == expected


async def test_a_namespace_on_its_way_out_is_worth_another_try(fake: Fake) -> None:
    server, client = fake

    async def answer(request: web.Request) -> web.StreamResponse:
        return status(403, "Forbidden", details={"causes": [{"reason": "NamespaceTerminating"}]})

    server.answer = answer
    with pytest.raises(InfrastructureFailure) as caught:
        await client.create(widget("one", 1))
    assert caught.value.reason == "NamespaceTerminating"


async def test_apply_goes_to_the_subresource_with_its_manager(fake: Fake) -> None:
    server, client = fake

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.content_type == "application/apply-patch+yaml"
        assert request.headers["Authorization"] == "Bearer t"
        return web.json_response(widget("one", 2))

    server.answer = answer
    await client.apply(widget("one", 1), "towpath-build", subresource="status", dry_run=True)
    method, path, query, body = server.requests[-1]
    assert (method, path) == ("PATCH", "/apis/example.dev/v1/namespaces/a/widgets/one/status")
    assert query == {"fieldManager": "towpath-build", "force": "true", "dryRun": "All"}
    assert body["metadata"]["name"] == "one"


async def test_absent_objects_are_none_and_deleting_them_is_fine(fake: Fake) -> None:
    server, client = fake

    async def answer(request: web.Request) -> web.StreamResponse:
        return status(404, "NotFound")

    server.answer = answer
    assert await client.get("example.dev/v1", "Widget", "one", "a") is None
    assert await client.delete("example.dev/v1", "Widget", "one", "a") is False


async def test_deleting_by_uid_leaves_a_namesake_alone(fake: Fake) -> None:
    server, client = fake

    async def answer(request: web.Request) -> web.StreamResponse:
        return status(409, "Conflict")

    server.answer = answer
    assert await client.delete("example.dev/v1", "Widget", "one", "a", uid="old") is False
    assert server.requests[-1][3]["preconditions"] == {"uid": "old"}


async def test_kinds_that_are_not_installed_are_said_so(fake: Fake) -> None:
    _, client = fake
    assert await client.serves("example.dev/v1", "Widget")
    assert not await client.serves("example.dev/v1", "Gadget")
    with pytest.raises(InfrastructureFailure) as caught:
        await client.get("example.dev/v1", "Gadget", "one", "a")
    assert caught.value.reason == "KindNotServed"


@pytest.mark.parametrize("name", ["..", "a/b", "a?b", "", "%2e"])
async def test_names_cannot_leave_their_path(fake: Fake, name: str) -> None:
    _, client = fake
    if not name:
        with pytest.raises(UserFailure):
            await client.list("example.dev/v1", "Widget", "../secrets")
        return
    with pytest.raises(UserFailure) as caught:
        await client.get("example.dev/v1", "Widget", name, "a")
    assert caught.value.reason == "InvalidName"


async def test_a_dead_server_is_the_infrastructures_fault(fake: Fake, tmp_path: Path) -> None:
    kubeconfig = yaml.safe_load((tmp_path / "kubeconfig").read_text())
    kubeconfig["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:1"
    (tmp_path / "dead").write_text(yaml.safe_dump(kubeconfig))
    client = await ApiServer.connect(str(tmp_path / "dead"))
    with pytest.raises(InfrastructureFailure) as caught:
        await client.get("v1", "Pod", "one", "a")
    assert caught.value.reason == "ApiServerUnavailable"
    await client.close()


async def test_a_rotated_token_is_read_again(fake: Fake, tmp_path: Path) -> None:
    server, client = fake
    text = (tmp_path / "kubeconfig").read_text()
    (tmp_path / "kubeconfig").write_text(text.replace("token: t", "token: fresh"))

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers["Authorization"] != "Bearer fresh":
            return status(401, "Unauthorized")
        return web.json_response(widget("one", 2))

    server.answer = answer
    assert (await client.get("example.dev/v1", "Widget", "one", "a")) == widget("one", 2)


async def test_log_lines_stream_until_the_container_ends(fake: Fake) -> None:
    server, client = fake

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/api/v1":
            return web.json_response({"resources": [{"name": "pods", "kind": "Pod", "namespaced": True}]})
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\n")
        await response.write(b"two\n")
        return response

    server.answer = answer
    text = b"".join([piece async for piece in client.logs("a", "pod", "main")])
    assert text == b"one\ntwo\n"
    assert server.requests[-1][1] == "/api/v1/namespaces/a/pods/pod/log"


@pytest.mark.usefixtures("quick_pauses")
async def test_writers_that_meet_try_again_and_contradictions_do_not(fake: Fake) -> None:
    server, client = fake
    answers = [status(409, "Conflict"), status(409, "Conflict"), web.json_response(widget("one", 2))]

    async def answer(request: web.Request) -> web.StreamResponse:
        return answers.pop(0)

    server.answer = answer
    assert await client.merge("example.dev/v1", "Widget", "one", "a", {"spec": {}}) == widget("one", 2)
    answers[:] = [status(409, "Conflict") for _ in range(10)]
    with pytest.raises(InfrastructureFailure) as contended:
        await client.merge("example.dev/v1", "Widget", "one", "a", {"spec": {}})
    assert contended.value.reason == "WriteContended"
    answers[:] = [status(409, "Conflict")]
    with pytest.raises(Conflict):
        await client.apply(widget("one", 1), force=False)
