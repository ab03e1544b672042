"""Only what a secret vouches for is taken, in every way in which senders vouch."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from tests.triggers.dialects import (
    Delivery,
    azure,
    bitbucket_cloud,
    bitbucket_datacenter,
    git,
    gitea,
    github,
    gitlab,
    vouched,
)
from tests.triggers.fakes import URL, FakeApiServer, FakeSecrets, component_object, repository_object
from tests.triggers.serving import Parts, serving
from triggers.problem import Problem
from triggers.server import PROVIDERS, ServerSettings
from triggers.webhooks import signature

SECRET, NEXT = "Geheimnis-ü-4711", "next-secret"
KEY, NEXT_KEY = (f"whsec_{base64.b64encode(text).decode()}" for text in (b"0" * 24, b"1" * 24))
NOW = 1_700_000_000.0
# How each vouches, and the header in which it does.
WAYS: dict[str, tuple[Delivery, str]] = {
    "GitHub": (github.push(), "X-Hub-Signature-256"),
    "plain Git": (git.push(), "X-Hub-Signature-256"),
    "GitLab's token": (gitlab.push(), "X-Gitlab-Token"),
    "GitLab's signature": (gitlab.push(signs="standard"), "webhook-signature"),
    "Bitbucket Cloud": (bitbucket_cloud.push(), "X-Hub-Signature"),
    "Bitbucket Data Center": (bitbucket_datacenter.push(), "X-Hub-Signature"),
    "Gitea": (gitea.push(), "X-Gitea-Signature"),
    "Forgejo": (gitea.push(member="Forgejo"), "X-Forgejo-Signature"),
    "Gogs": (gitea.push(member="Gogs"), "X-Gogs-Signature"),
    "Azure's Basic": (azure.push(), "Authorization"),
    "Azure's header": (azure.push(signs="header"), "X-Towpath-Token"),
}
every_way = pytest.mark.parametrize(("delivery", "header"), WAYS.values(), ids=WAYS.keys())


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """GitLab's signature holds for minutes only."""
    provider = next(each for each in PROVIDERS if each.name == "gitlab")
    monkeypatch.setattr(provider, "_clock", lambda: NOW)


def parts(*secrets: str) -> Parts:
    return Parts(settings=ServerSettings(webhook_secrets=secrets or (SECRET, NEXT, KEY, NEXT_KEY)))


def secret_of(delivery: Delivery, second: bool = False) -> str:
    if delivery.signs == "standard":
        return NEXT_KEY if second else KEY
    return NEXT if second else SECRET


@dataclass
class Site:
    """A running server and what it has been told to start."""

    given: Parts
    client: httpx.AsyncClient

    async def send(self, delivery: Delivery, headers: dict[str, str]) -> httpx.Response:
        return await send(self.client, delivery, headers)

    @property
    def events(self) -> dict[str, Any]:
        return self.given.starter.events


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """One server for what leaves nothing behind in it."""
    given = parts()
    async with serving(given, tmp_path_factory.mktemp("server")) as client:
        yield Site(given, client)


@pytest.fixture
def site(running: Site) -> Site:
    """It, with nothing started."""
    running.given.starter.events.clear()
    return running


async def send(client: httpx.AsyncClient, delivery: Delivery, headers: dict[str, str]) -> httpx.Response:
    sent = {name.encode(): text.encode("latin-1") for name, text in headers.items()}
    return await client.post(delivery.path, content=delivery.body, headers=list(sent.items()))


def assert_refused(response: httpx.Response, reason: str = "") -> None:
    assert response.status_code == 401, response.text
    assert response.json()["reason"] == reason if reason else response.json()["reason"].startswith("Signature")


@every_way
async def test_either_of_two_live_secrets_is_good(site: Site, delivery: Delivery, header: str) -> None:
    first = await site.send(delivery, vouched(delivery, secret_of(delivery), NOW))
    second = await site.send(delivery, vouched(delivery, secret_of(delivery, second=True), NOW))
    assert (first.status_code, second.status_code) == (202, 202), first.text
    assert len(site.given.starter.started) == 1


async def test_what_several_senders_tell_of_one_push_is_one_delivery(site: Site) -> None:
    """A mirror, a system hook beside a project's, a forge that speaks two dialects: all announce the same push."""
    answers = [
        (await site.send(delivery, vouched(delivery, secret_of(delivery), NOW))).json()
        for delivery, _ in WAYS.values()
    ]
    assert len({answer["workflow"] for answer in answers}) == 1
    assert [answer["duplicate"] for answer in answers] == [False, *[True] * (len(WAYS) - 1)]
    assert len(site.given.starter.started) == 1


@every_way
async def test_missing_empty_and_wrong_is_refused(site: Site, delivery: Delivery, header: str) -> None:
    right = vouched(delivery, secret_of(delivery), NOW)
    assert right[header]
    without = {name: text for name, text in right.items() if name != header}
    assert_refused(await site.send(delivery, without), "SignatureMissing")
    assert_refused(await site.send(delivery, {**right, header: ""}), "SignatureMissing")
    for wrong in (
        "x",
        "sha256=",
        "sha1=" + "0" * 40,
        "v1,",
        "Basic ",
        "Basic Og==",
        "\xfc\xdf",
        right[header][:-2],
    ):
        assert_refused(await site.send(delivery, {**right, header: wrong}))
    guessed = vouched(delivery, KEY[:-4] + "AAAA" if delivery.signs == "standard" else "guessed", NOW)
    assert_refused(await site.send(delivery, guessed), "SignatureWrong")
    assert not site.events


@every_way
async def test_which_of_the_secrets_fits_does_not_show_in_what_is_compared(
    site: Site, delivery: Delivery, header: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every secret is compared whichever fits, by a comparison that takes as long for any guess."""
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    seen = []
    for secret in (secret_of(delivery), secret_of(delivery, second=True), NEXT_KEY[:-4] + "AAAA"):
        compared.clear()
        await site.send(delivery, vouched(delivery, secret, NOW))
        seen.append(list(compared))
    assert seen[0] == seen[1] == seen[2]
    # Never texts of different lengths: how long a comparison takes must not tell how long a secret is.
    assert seen[0]
    assert all(one == other for one, other in seen[0])


async def test_without_a_secret_nobody_is_let_in(tmp_path: Path) -> None:
    """Gitea signs with nothing when it has no secret; so may anybody."""
    given = parts("", "\n", "\r\n", "whsec_")
    async with serving(given, tmp_path) as client:
        for delivery, _ in WAYS.values():
            for empty in ("", "\n") if delivery.signs != "standard" else ("", "whsec_"):
                assert_refused(await send(client, delivery, vouched(delivery, empty, NOW)))
    assert not given.starter.events


SIGNED = {name: way for name, way in WAYS.items() if way[0].signs not in ("token", "basic", "header")}


@pytest.mark.parametrize(("delivery", "header"), SIGNED.values(), ids=SIGNED.keys())
async def test_a_changed_body_is_refused(site: Site, delivery: Delivery, header: str) -> None:
    headers = vouched(delivery, secret_of(delivery), NOW)
    for changed in (delivery.body + b"\n", delivery.body + b" ", delivery.body.replace(b"main", b"mine")):
        assert_refused(await site.send(replace(delivery, raw=changed), headers), "SignatureWrong")
    assert not site.events


@pytest.mark.parametrize(
    ("mine", "theirs", "deliveries"),
    [
        ("own-secret", "their-secret", [each for each, _ in WAYS.values() if each.signs != "standard"]),
        (NEXT_KEY, KEY, [gitlab.push(signs="standard")]),
    ],
)
async def test_another_repositorys_secret_vouches_for_nothing_here(
    tmp_path: Path, mine: str, theirs: str, deliveries: list[Delivery]
) -> None:
    apiserver = FakeApiServer(
        component_object(observedGeneration=1),
        repository_object(URL, "mine"),
        repository_object("https://git.example/team/other.git", "theirs", name="other"),
    )
    given = replace(parts(), apiserver=apiserver, secrets=FakeSecrets(mine=mine, theirs=theirs))
    async with serving(given, tmp_path) as client:
        for delivery in deliveries:
            assert_refused(await send(client, delivery, vouched(delivery, theirs, NOW)), "SignatureWrong")
            platforms = vouched(delivery, NEXT_KEY[:-4] + "BBBB" if mine == NEXT_KEY else SECRET, NOW)
            assert_refused(await send(client, delivery, platforms), "SignatureWrong")
            assert not given.starter.events
            assert (await send(client, delivery, vouched(delivery, mine, NOW))).status_code == 202
            given.starter.events.clear()


async def test_a_line_end_in_the_kubernetes_secret_is_no_part_of_it(tmp_path: Path) -> None:
    given = parts("secret-of-echo\n", "secret-of-windows\r\n")
    async with serving(given, tmp_path) as client:
        for delivery, _ in WAYS.values():
            if delivery.signs == "standard":
                continue
            for secret in ("secret-of-echo", "secret-of-windows"):
                assert (await send(client, delivery, vouched(delivery, secret))).status_code == 202
        assert_refused(await send(client, github.push(), vouched(github.push(), "secret-of-echo ")))


async def test_a_signature_of_another_time_cannot_be_sent_again(site: Site) -> None:
    delivery = gitlab.push(signs="standard")
    for moment in (NOW - 301, NOW + 301, 0):
        assert_refused(await site.send(delivery, vouched(delivery, KEY, moment)), "SignatureStale")
    moved = {**vouched(delivery, KEY, NOW - 9999), "webhook-timestamp": str(int(NOW))}
    assert_refused(await site.send(delivery, moved), "SignatureWrong")
    assert not site.events
    assert (await site.send(delivery, vouched(delivery, KEY, NOW - 299))).status_code == 202


@pytest.mark.parametrize("timestamp", ["", "-1", "1e9", "٣", "9" * 5000, "NaN", "1700000000.5"])
def test_an_odd_timestamp_is_refused(timestamp: str) -> None:
    digest = hmac.new(b"0" * 24, f"i.{timestamp}.".encode("latin-1", "replace") + b"b", hashlib.sha256).digest()
    header = f"v1,{base64.b64encode(digest).decode()}"
    with pytest.raises(Problem) as refused:
        signature.check_standard(header, "i", timestamp, b"b", (KEY,), lambda: NOW)
    assert refused.value.status == 401


async def test_one_good_signature_among_several_is_enough(site: Site) -> None:
    """During rotation Standard Webhooks sends one a key, and may send other versions."""
    delivery = gitlab.push(signs="standard")
    headers = vouched(delivery, KEY, NOW)
    both = f"v1a,unknown v1,{base64.b64encode(b'x' * 32).decode()} {headers['webhook-signature']}"
    assert (await site.send(delivery, {**headers, "webhook-signature": both})).status_code == 202
    many = "v1,AAAA " * 5000 + headers["webhook-signature"]
    assert_refused(await site.send(delivery, {**headers, "webhook-signature": many}))


async def test_a_ping_that_names_no_repository_is_good_by_any_repositorys_own_secret(tmp_path: Path) -> None:
    apiserver = FakeApiServer(component_object(observedGeneration=1), repository_object(URL, "mine"))
    given = replace(parts(), apiserver=apiserver, secrets=FakeSecrets(mine="own-secret"))
    ping = bitbucket_datacenter.ping()
    async with serving(given, tmp_path) as client:
        assert (await send(client, ping, vouched(ping, "own-secret"))).json() == {"pong": True}
        assert (await send(client, ping, vouched(ping, SECRET))).json() == {"pong": True}
        assert_refused(await send(client, ping, vouched(ping, "guessed")), "SignatureWrong")


async def test_a_repositorys_own_secret_announces_no_images(tmp_path: Path) -> None:
    """Images belong to no repository that is declared: only the platform's secret may announce them."""
    apiserver = FakeApiServer(component_object(observedGeneration=1), repository_object(URL, "mine"))
    given = replace(parts(), apiserver=apiserver, secrets=FakeSecrets(mine="own-secret"))
    pushed = {
        "id": "e1",
        "action": "push",
        "target": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": "sha256:" + "1" * 64,
            "repository": "team/app",
            "tag": "v1",
            "url": "http://registry.example/v2/team/app/manifests/v1",
        },
        "request": {"host": "registry.example"},
    }
    async with serving(given, tmp_path) as client:
        answers = [
            await client.post(
                "/webhooks/registry/distribution",
                json={"events": [pushed]},
                headers={"Authorization": f"Bearer {secret}"},
            )
            for secret in ("own-secret", "guessed")
        ]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert not given.starter.events


@every_way
async def test_neither_secrets_nor_signatures_are_logged(site: Site, delivery: Delivery, header: str) -> None:
    headers = vouched(delivery, secret_of(delivery), NOW)
    with structlog.testing.capture_logs() as logged:
        for sent in (
            headers,
            {**headers, header: "wrong-secret", "X-Extra": "extra-secret"},
            {**headers, header: ""},
        ):
            await site.send(delivery, sent)
    text = json.dumps(logged, default=str, ensure_ascii=False)
    assert "Accepted" in text
    for secret in (SECRET, NEXT, KEY, "wrong-secret", "extra-secret", headers[header]):
        raw = secret.encode("latin-1", "replace")
        for form in (secret, base64.b64encode(raw).decode(), secret.encode().decode("latin-1")):
            assert form not in text


WRONG_ADDRESSES: list[tuple[Delivery, str, str]] = [
    (gitlab.push(), "github", "gitlab"),
    (gitea.push(), "github", "gitea"),
    (gitea.push(member="Forgejo"), "github", "gitea"),
    (gitea.push(), "git", "gitea"),
    (bitbucket_cloud.push(), "gitea", "bitbucket"),
    (github.push(), "gitlab", "github"),
    (azure.push(), "github", "azure"),
    (git.push(), "azure", "git"),
]


@pytest.mark.parametrize(("delivery", "sent_to", "right"), WRONG_ADDRESSES)
async def test_a_wrong_address_is_answered_with_the_right_one(
    site: Site, delivery: Delivery, sent_to: str, right: str
) -> None:
    response = await site.send(replace(delivery, provider=sent_to), vouched(delivery, SECRET))
    document: dict[str, Any] = response.json()
    assert (response.status_code, document["reason"]) == (400, "WrongAddress")
    assert f"/webhooks/{right}" in document["detail"]
    assert not site.events
