"""What is said to and asked of a provider's API, free of its dialect."""

from typing import Literal

from model.value import Value

Permission = Literal["none", "read", "write", "admin"]
StatusState = Literal["pending", "success", "failure", "error", "cancelled"]
HookEvent = Literal["push", "change", "comment"]
DeploymentState = Literal["pending", "running", "success", "failure", "cancelled", "inactive"]
DESCRIPTION_LIMIT = 140
"""GitHub's limit for a status' description, the narrowest that there is."""


class HostedStatus(Value):
    """One line on a commit. `context` tells it from others: a later one of the same context takes its place.

    `description` has at most 140 characters, `detail` is markdown that only checks show, `remote` is the
    provider's id of what was made before for this context, where it has one.
    """

    commit: str
    context: str
    state: StatusState
    description: str = ""
    link: str = ""
    title: str = ""
    detail: str = ""
    remote: str = ""


class HostedComment(Value):
    """A comment on a change request. `comment` is the id of the one to update; else one that begins with
    `marker` is updated; else a new one is written (always, when there is no marker)."""

    change: str
    body: str
    comment: str = ""
    marker: str = ""


class HostedChange(Value):
    """A change request as its provider knows it now. `head_url` is where its branch can be fetched, empty when
    the fork is gone; `merged_as` is the commit that it was taken in as, where that is known."""

    change: str
    title: str = ""
    state: Literal["open", "closed", "merged"] = "open"
    head: str
    branch: str = ""
    base: str = ""
    author: str = ""
    association: str = ""
    fork: bool = False
    head_url: str = ""
    merged_as: str = ""


class HostedHook(Value):
    """A webhook that a repository has. `events` are those of ours that it announces."""

    id: str
    url: str
    events: tuple[HookEvent, ...] = ()
    active: bool = True


class FailedDelivery(Value):
    """A delivery to a hook that was never answered with a 2xx. `delivery` is the id that its header carried,
    `at` seconds since the epoch (0: unknown), `status` the answer's, 0 when there was none."""

    id: str
    hook: str
    delivery: str = ""
    event: str = ""
    at: float = 0
    status: int = 0


class HostedDeployment(Value):
    """A deployment into an environment and how it is. `key` tells it from others of the same commit and
    environment; `remote` is the provider's id of it, where it is known."""

    environment: str
    commit: str
    ref: str = ""
    key: str
    state: DeploymentState
    description: str = ""
    link: str = ""
    production: bool = False
    remote: str = ""


def line(text: str, limit: int = DESCRIPTION_LIMIT) -> str:
    """Text as one line of at most `limit` characters, with nothing in it that cannot be printed."""
    shown = " ".join("".join(ch if ch.isprintable() else " " for ch in text).split())
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"
