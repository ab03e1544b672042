"""A statement: the server's word that somebody may tell one workflow one thing, for some minutes.

Updates are what people steer workflows by, and Temporal lets whoever reaches it send one. So each carries a
proof, a signed statement; here is what a statement says and what makes it hold, without any cryptography.
"""

import hashlib
import json

from pydantic import BaseModel

from model.actor import Actor
from model.value import Value

LIFETIME_SECONDS = 300
SKEW_SECONDS = 30
PROOF = "proof"
"""The field of every update's input that holds the proof."""

Against = tuple[str, str]
MISSING: Against = (
    "ProofMissing",
    "This carries no proof of who asks; send it by the API, or sign it first: `towpath sign --help`.",
)


class Statement(Value):
    """What is signed: this update of this workflow, with this content, wanted by this person.

    `digest` is `digest_of` the update's input. Times are seconds since the epoch.
    """

    workflow: str
    update: str
    digest: str
    actor: Actor
    issued: float
    expires: float


class Sealed(Value):
    """Base of what our own control workers tell a workflow by an update: no person says it, so that it carries no
    proof but, as signals do, a seal among its headers."""


class Signed(Value):
    """An update ready to be sent by whatever speaks to Temporal: `input` is its one argument, proof included."""

    workflow: str
    update: str
    id: str
    input: dict[str, object]
    expires: float


def digest_of(said: BaseModel) -> str:
    """SHA-256 (hex) of an update's input without its proof.

    Fields at their defaults are left out, so that a worker that does not know a new field yet agrees unless
    it is used, and then rightly refuses what it would only half understand.
    """
    plain = said.model_dump(mode="json", exclude={PROOF}, exclude_defaults=True)
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def stated(workflow: str, update: str, said: BaseModel, actor: Actor, now: float) -> Statement:
    """The statement for an update."""
    return Statement(
        workflow=workflow,
        update=update,
        digest=digest_of(said),
        actor=actor,
        issued=now,
        expires=now + LIFETIME_SECONDS,
    )


def against(
    statement: Statement, workflow: str, update: str, said: BaseModel, now: float, began: float
) -> Against | None:
    """Why a statement, whose signature is good, does not allow this update; None when it does.

    Args:
        statement: what was signed.
        workflow: the id of the workflow that is asked.
        update: its update's name.
        said: the update's input.
        now: seconds since the epoch.
        began: when this workflow began; what was said to an earlier one of the same id is void.
    """
    if (statement.workflow, statement.update) != (workflow, update):
        return _invalid(f"It is for {statement.update} of {statement.workflow}.")
    if statement.digest != digest_of(said) or statement.actor != getattr(said, "actor", None):
        return _invalid("It is for something else than what was sent with it.")
    if statement.issued > now + SKEW_SECONDS:
        return _invalid("It was issued in the future; are the clocks right?")
    if now >= statement.expires:
        return ("ProofExpired", f"A proof holds for {LIFETIME_SECONDS} s, and this one is older; ask again.")
    if statement.issued < began - SKEW_SECONDS:
        return _invalid("It was issued before this workflow began.")
    if not statement.issued <= statement.expires <= statement.issued + LIFETIME_SECONDS:
        return _invalid(f"It claims to hold for longer than {LIFETIME_SECONDS} s.")
    return None


def _invalid(why: str) -> Against:
    return ("ProofInvalid", f"The proof does not allow this. {why}")


INVALID: Against = _invalid("It was not signed with a key that is trusted here.")
