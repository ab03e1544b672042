"""What is wrong with a webhook is said so that people know what to do."""

import pytest

from model.hosting import FailedDelivery, HookEvent, HostedHook
from model.registration import faults_of, hook_address, own

ADDRESS = "https://towpath.example/webhooks/gitea"
WANTED: tuple[HookEvent, ...] = ("push", "change", "comment")


def hook(number: str = "7", url: str = ADDRESS, **changed: object) -> HostedHook:
    return HostedHook.model_validate({"id": number, "url": url, "events": WANTED, **changed})


@pytest.mark.parametrize(
    ("provider", "path"),
    [("github", "github"), ("forgejo", "gitea"), ("bitbucket-datacenter", "bitbucket"), ("azure", "azure")],
)
def test_every_provider_has_its_address(provider: str, path: str) -> None:
    assert hook_address("https://towpath.example/", provider) == f"https://towpath.example/webhooks/{path}"


def test_own_webhooks_are_known_by_their_address_alone_and_the_oldest_is_kept() -> None:
    others = [hook("1", "https://ci.example/webhooks/gitea"), hook("2", f"{ADDRESS}/more")]
    doubled = [hook("10"), hook("9", "HTTPS://Towpath.example/webhooks/gitea/")]
    assert [each.id for each in own([*others, *doubled], ADDRESS)] == ["9", "10"]


@pytest.mark.parametrize(
    ("hooks", "failed", "reasons"),
    [
        ([hook()], [], []),
        ([], [], ["HookMissing"]),
        ([hook("1", "https://ci.example/x")], [], ["HookMissing"]),
        ([hook("1"), hook("2")], [], ["HooksDoubled"]),
        ([hook(active=False)], [], ["HookInactive"]),
        ([hook(events=("push",))], [], ["EventsMissing"]),
        ([hook()], [FailedDelivery(id="1", hook="7", status=401)], ["SecretMismatch"]),
        ([hook()], [FailedDelivery(id="1", hook="7", status=503, at=1)], ["DeliveriesFailed"]),
        ([hook()], [FailedDelivery(id="1", hook="7")], ["DeliveriesFailed"]),
    ],
)
def test_faults(hooks: list[HostedHook], failed: list[FailedDelivery], reasons: list[str]) -> None:
    found = faults_of(hooks, ADDRESS, WANTED, failed)
    assert [fault.reason for fault in found] == reasons
    assert all(fault.message.endswith(".") for fault in found)
