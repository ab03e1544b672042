"""Almost real deliveries, rightly signed, at the real server: only 2xx and 4xx, and nothing set aside."""

import asyncio
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.exercise import exercise
from tests.fuzz.mutation import ODD, Path_, changed, places, seeds
from tests.triggers.dialects import (
    NEWER,
    OLDER,
    Delivery,
    azure,
    bitbucket_cloud,
    bitbucket_datacenter,
    github,
    gitlab,
    vouched,
)
from tests.triggers.serving import Parts, serving
from triggers.server import PROVIDERS, REGISTRIES, UNSIGNED, ServerSettings

SECRET = "secret-4711"
FORM = "application/x-www-form-urlencoded"
KEY = "whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw"
BY_SENDER: dict[str, list[Delivery]] = {}
for _seed in seeds():
    BY_SENDER.setdefault(_seed.provider, []).append(_seed)
PROVIDERS_BY_NAME = {provider.name: provider for provider in (*PROVIDERS, *REGISTRIES, *UNSIGNED)}
GIT_SENDERS = [sender for sender in BY_SENDER if sender in {provider.name for provider in PROVIDERS}]


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Parts, httpx.AsyncClient]]:
    parts = Parts(settings=ServerSettings(webhook_secrets=(SECRET, KEY)))
    async with serving(parts, tmp_path_factory.mktemp("server")) as client:
        yield parts, client


texts = st.text(max_size=40) | st.text("refs/hads-.~", max_size=60)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.sampled_from(ODD) | st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def almost(delivery: Delivery) -> st.SearchStrategy[tuple[Delivery, list[tuple[Path_, Any]]]]:
    edits = st.lists(st.tuples(st.sampled_from(places(delivery.content)), values), min_size=1, max_size=4)
    return st.tuples(st.just(delivery), edits)


# What HTTP lets through in a header's value.
header_texts = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=200
)


@pytest.mark.parametrize("sender", GIT_SENDERS)
async def test_almost_real_deliveries_are_answered_or_refused(
    server: tuple[Parts, httpx.AsyncClient], sender: str
) -> None:
    parts, client = server
    seen: set[int] = set()

    @given(
        made=st.one_of([almost(each) for each in BY_SENDER[sender] if each.content]),
        odd=st.none() | st.tuples(st.integers(0, 20), header_texts),
    )
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    def tried(made: tuple[Delivery, list[tuple[Path_, Any]]], odd: tuple[int, str] | None) -> None:
        delivery, edits = made
        sent = replace(delivery, content=changed(delivery.content, edits))
        headers = vouched(sent, KEY if sent.signs == "standard" else SECRET, time.time())
        if odd is not None:
            names = sorted(headers)
            headers[names[odd[0] % len(names)]] = odd[1]
        raw = [(name.encode(), text.encode("latin-1")) for name, text in headers.items()]
        done = asyncio.run_coroutine_threadsafe(client.post(sent.path, content=sent.body, headers=raw), loop)
        response = done.result()
        seen.add(response.status_code)
        assert 200 <= response.status_code < 300 or 400 <= response.status_code < 500, response.text
        assert response.json().get("reason") != "PoisonEvent", response.text

    loop = asyncio.get_running_loop()
    await asyncio.to_thread(tried)
    parts.starter.events.clear()
    assert {202, 400} <= seen, "nothing almost real was tried"


@pytest.mark.parametrize("sender", BY_SENDER)
def test_no_field_that_is_odd_or_missing_breaks_anything(sender: str) -> None:
    """Every field of what we make ourselves, by each odd thing: what chance might leave out."""
    provider = PROVIDERS_BY_NAME[sender]
    for delivery in BY_SENDER[sender]:
        spots = places(delivery.content)
        if len(spots) > PLACES_LIMIT:
            continue
        headers = {name.lower(): text for name, text in delivery.headers.items()}
        for path in spots:
            for odd in ODD:
                exercise(provider, headers, json.dumps(changed(delivery.content, [(path, odd)])).encode())


# Those that GitHub recorded have hundreds of fields, of which hardly any is read.
PLACES_LIMIT = 90
# A ref takes many letters.
REF_SIZE = 8
Grown = Callable[[int], tuple[Delivery, bytes]]


def _refs(make: Callable[..., Delivery], moved: Callable[..., Any]) -> Grown:
    def grown(size: int) -> tuple[Delivery, bytes]:
        delivery = make(*[moved("refs/heads/main", OLDER, NEWER)] * (size // REF_SIZE))
        return delivery, delivery.body

    return grown


def _field(delivery: Delivery, path: Path_, text: str) -> Grown:
    def grown(size: int) -> tuple[Delivery, bytes]:
        made = replace(delivery, content=changed(delivery.content, [(path, text * size)]))
        return made, made.body

    return grown


def _body(delivery: Delivery, make: Callable[[int], bytes]) -> Grown:
    return lambda size: (delivery, make(size))


def _ref(ref: str, before: str, after: str) -> tuple[str, str, str]:
    return ref, before, after


# Each makes a delivery that is twice as large for twice the number.
GROWING: dict[str, Grown] = {
    "refs of Bitbucket Cloud": _refs(bitbucket_cloud.pushes, bitbucket_cloud.moved),
    "refs of Bitbucket Data Center": _refs(bitbucket_datacenter.pushes, bitbucket_datacenter.moved),
    "refs of GitLab": _refs(gitlab.repository_update, _ref),
    "refs of Azure": _refs(azure.pushes, azure.moved),
    "a ref's name": _field(github.push(), ("ref",), "refs/heads/"),
    "a ref of dots": _field(github.push(), ("ref",), "./"),
    "an address": _field(github.push(), ("repository", "clone_url"), "https://a@"),
    "an address of colons": _field(github.push(), ("repository", "clone_url"), "a:"),
    "Azure's address": _field(azure.push(), ("resource", "repository", "remoteUrl"), "https://dev.azure.com/"),
    "Data Center's page": _field(bitbucket_datacenter.push(), ("repository", "links"), "https://a/projects/"),
    "a comment": _field(github.comment(), ("comment", "body"), "/test \n\x00"),
    "a thread": _field(azure.comment(), ("resource", "comment", "_links", "self", "href"), "/threads/1"),
    "a time": _field(gitlab.change(), ("object_attributes", "updated_at"), "2026 UTC"),
    "depth": _body(github.push(), lambda size: b'{"a":' * size + b"1" + b"}" * size),
    "brackets": _body(github.push(), lambda size: b"[" * size),
    "digits": _body(github.push(), lambda size: b'{"ref":' + b"9" * size + b"}"),
    "one name again and again": _body(github.push(), lambda size: b"{" + b'"a":1,' * size + b'"a":1}'),
    "many names": _body(
        github.push(), lambda size: json.dumps({f"name-{number}": number for number in range(size)}).encode()
    ),
    "escapes": _body(github.push(), lambda size: b'{"ref":"' + b"\\u00fc" * size + b'"}'),
    "fields of a form": _body(
        replace(github.push(), headers={**github.push().headers, "Content-Type": FORM}),
        lambda size: b"&".join([b"payload=%7B%7D"] * size),
    ),
}
SMALL, TIMES = 4_000, 16


@pytest.mark.parametrize("grown", GROWING.values(), ids=GROWING.keys())
def test_sixteen_times_the_delivery_takes_no_more_than_about_sixteen_times_as_long(grown: Grown) -> None:
    """A slow path shows by growing faster than its input: quadratic would be 256 times."""
    small, large = min(_spent(grown, SMALL) for _ in range(3)), min(_spent(grown, SMALL * TIMES) for _ in range(3))
    # Below a millisecond the clock and what runs beside count more than the parser.
    assert large < max(small, 0.001) * TIMES * 5


def _spent(grown: Grown, size: int) -> float:
    """Seconds of this thread's own work, which a loaded machine does not lengthen much."""
    delivery, body = grown(size)
    headers = {name.lower(): text for name, text in delivery.headers.items()}
    begun = time.thread_time()
    exercise(PROVIDERS_BY_NAME[delivery.provider], headers, body)
    return time.thread_time() - begun


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this Python or this machine"
)
def test_a_search_guided_by_coverage_breaks_nothing() -> None:
    """A few seconds of what `python -m tests.fuzz <sender> --seconds 600` does at length."""
    command = [sys.executable, "-m", "tests.fuzz", "all", "--runs", "15000", "--seed", "4711"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "Done 15000 runs" in ended.stderr
