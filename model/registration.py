"""A repository's webhook at its provider: what is wanted, what there is, and what is wrong with it."""

from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from model.actor import Actor
from model.hosting import FailedDelivery, HookEvent, HostedHook
from model.value import Value

RegistrationAction = Literal["register", "unregister", "check"]
GRACE_SECONDS = 86_400.0
GRACE_LIMIT_SECONDS = 30 * 86_400.0
_RECEIVERS = {
    "github": "github",
    "gitlab": "gitlab",
    "bitbucket": "bitbucket",
    "bitbucket-datacenter": "bitbucket",
    "gitea": "gitea",
    "forgejo": "gitea",
    "azure": "azure",
    "git": "git",
}


class RegistrationRequest(Value):
    """What a person wants of a Repository's webhook. `address` is the server's, as the provider reaches it."""

    namespace: str
    name: str
    action: RegistrationAction
    address: str
    actor: Actor


class RotationRequest(Value):
    """A person wants another webhook secret. The old one counts for `grace_seconds` more."""

    namespace: str
    name: str
    address: str
    actor: Actor
    grace_seconds: float = Field(default=GRACE_SECONDS, ge=0, le=GRACE_LIMIT_SECONDS)


class RotationStep(Value):
    """One step of a rotation. `until` is when the old secret stops to count, in seconds since the epoch."""

    request: RotationRequest
    until: float = 0


class Fault(Value):
    """Something that keeps deliveries from coming, and what to do about it."""

    reason: str
    message: str


class Registered(Value):
    """The webhook as it is now; `hook` is its id at the provider, empty when there is none."""

    namespace: str
    name: str
    provider: str = ""
    address: str = ""
    hook: str = ""
    events: tuple[HookEvent, ...] = ()
    message: str = ""
    faults: tuple[Fault, ...] = ()


class Rotated(Value):
    """How far a rotation is."""

    phase: Literal["preparing", "spreading", "installing", "live", "done", "failed"] = "preparing"
    message: str = ""
    until: float = 0


def hook_address(address: str, provider: str) -> str:
    """Where a provider's deliveries go.

    Args:
        address: the server's, as the provider reaches it.
        provider: as `Repository.spec.provider` has it.
    """
    return f"{address.rstrip('/')}/webhooks/{_RECEIVERS[provider]}"


def own(hooks: Sequence[HostedHook], address: str) -> tuple[HostedHook, ...]:
    """Those of a repository's webhooks that lead to this very address, the oldest first."""
    wanted = _folded(address)
    return tuple(sorted((hook for hook in hooks if _folded(hook.url) == wanted), key=lambda hook: _age(hook.id)))


def faults_of(
    hooks: Sequence[HostedHook], address: str, wanted: Sequence[HookEvent], failed: Sequence[FailedDelivery]
) -> tuple[Fault, ...]:
    """What is wrong with a webhook.

    Args:
        hooks: all that the repository has.
        address: where ours leads.
        wanted: the events that it has to announce.
        failed: deliveries that were not taken lately.
    """
    ours = own(hooks, address)
    if not ours:
        return (Fault(reason="HookMissing", message=f"No webhook leads to {address}; run register."),)
    found: list[Fault] = []
    if len(ours) > 1:
        message = f"{len(ours)} webhooks lead to {address}: each push comes {len(ours)} times; run register."
        found.append(Fault(reason="HooksDoubled", message=message))
    if not any(hook.active for hook in ours):
        found.append(Fault(reason="HookInactive", message="The webhook is switched off; run register."))
    announced = {event for hook in ours for event in hook.events}
    if missing := [event for event in wanted if event not in announced]:
        message = f"It does not announce: {', '.join(missing)}; run register."
        found.append(Fault(reason="EventsMissing", message=message))
    if failed:
        found.append(_failing(failed))
    return tuple(found)


def _failing(failed: Sequence[FailedDelivery]) -> Fault:
    last = max(failed, key=lambda each: each.at)
    if last.status == 401:
        message = (
            "The last delivery that failed was refused for its signature; run register, which sets the secret."
        )
        return Fault(reason="SecretMismatch", message=message)
    how = f"answered with {last.status}" if last.status else "not answered"
    message = f"{len(failed)} deliveries failed lately, the last one ({last.delivery or last.id}) was {how}."
    return Fault(reason="DeliveriesFailed", message=message)


def _folded(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _age(hook: str) -> tuple[int, int, str]:
    """Ids are numbers at most providers, and grow."""
    return (0, int(hook), "") if hook.isascii() and hook.isdigit() and len(hook) < 20 else (1, 0, hook)
