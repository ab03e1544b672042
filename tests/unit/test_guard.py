"""What a proof and a seal are worth, and that nothing goes round the guard."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from temporalio import workflow
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from model.actor import Actor
from model.failure import Failure, UserFailure
from model.gate import Approval
from model.proofkey import key_id
from model.statement import Statement, against, digest_of, stated
from tests.replay.test_histories import HISTORIES, history, load
from triggers.signing import NotSent, Signer, only_signing
from worker.guard import Guard, checked, require_guarded
from worker.keys import SealKeys, proof_keys, seal_keys, signing_key
from worker.planes import WORKFLOWS, control_worker
from worker.seals import broken, seal
from worker.settings import Settings

NOW = 1_700_000_000.0
ADA = Actor(kind="person", name="ada", roles=("release",))
SAID = Approval(id="1", environment="production", digest="sha256:1", actor=ADA)
KEYS = SealKeys(active="a", secrets={"a": b"a" * 32, "b": b"b" * 32})


def statement(**changed: Any) -> Statement:
    return stated("w", "approve", SAID, ADA, NOW).model_copy(update=changed)


@pytest.mark.parametrize(
    ("made", "said", "reason"),
    [
        (statement(), SAID, None),
        (statement(workflow="v"), SAID, "ProofInvalid"),
        (statement(update="order"), SAID, "ProofInvalid"),
        (statement(digest="0" * 64), SAID, "ProofInvalid"),
        (statement(), SAID.model_copy(update={"approve": False}), "ProofInvalid"),
        (statement(actor=ADA.model_copy(update={"roles": ("admin",)})), SAID, "ProofInvalid"),
        (statement(issued=NOW + 31, expires=NOW + 60), SAID, "ProofInvalid"),
        (statement(issued=NOW + 29, expires=NOW + 60), SAID, None),
        (statement(expires=NOW + 301), SAID, "ProofInvalid"),
        (statement(issued=NOW - 300, expires=NOW), SAID, "ProofExpired"),
        (statement(issued=NOW - 131, expires=NOW + 1), SAID, "ProofInvalid"),
        (statement(issued=NOW - 129, expires=NOW + 1), SAID, None),
    ],
)
def test_a_statement_allows_what_it_says_and_nothing_else(
    made: Statement, said: Approval, reason: str | None
) -> None:
    refused = against(made, "w", "approve", said, NOW, began=NOW - 100)
    assert (refused and refused[0]) == reason


def test_a_field_that_an_older_worker_does_not_know_matters_only_when_it_is_used() -> None:
    class Newer(Approval):
        added: str = ""

    assert digest_of(Newer(**SAID.model_dump())) == digest_of(SAID)
    assert digest_of(Newer(**SAID.model_dump(), added="x")) != digest_of(SAID)
    assert digest_of(SAID.model_copy(update={"proof": "p"})) == digest_of(SAID)


def test_only_signatures_of_trusted_keys_count() -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    keys = {key_id(key.public_key().public_bytes_raw()): key.public_key()}
    good = Signer(key, clock=lambda: NOW).sign("w", "approve", "1", SAID)
    assert checked(keys, good, "w", "approve", NOW, NOW) is None
    stranger = Signer(other, clock=lambda: NOW).sign("w", "approve", "1", SAID)
    claims = statement().model_dump(mode="json")
    [name] = keys
    lying = jwt.encode(claims, other, algorithm="EdDSA", headers={"kid": name})
    weak = jwt.encode(claims, key.public_key().public_bytes_raw(), algorithm="HS256", headers={"kid": name})
    no_key: Any = None
    none = jwt.encode(claims, no_key, algorithm="none", headers={"kid": name})
    for proof in (stranger.proof, lying, weak, none, "", "x", good.proof[:-4]):
        forged = SAID.model_copy(update={"proof": proof})
        assert checked(keys, forged, "w", "approve", NOW, NOW) is not None, proof
    assert checked({}, good, "w", "approve", NOW, NOW) is not None


def test_a_signature_can_be_had_without_sending_anything() -> None:
    signer = Signer(Ed25519PrivateKey.generate(), clock=lambda: NOW)
    with only_signing(), pytest.raises(NotSent) as instead:
        signer.sign("w", "approve", "1", SAID)
    assert instead.value.signed.input["proof"]
    assert instead.value.signed.expires == NOW + 300


def test_a_seal_is_for_one_signal_with_one_content() -> None:
    text = seal(KEYS, "w", "request", [SAID, "x"], NOW)
    assert broken(KEYS, text, "w", "request", [SAID, "x"], NOW) is None
    for workflow_id, name, args in (
        ("v", "request", [SAID, "x"]),
        ("w", "retire", [SAID, "x"]),
        ("w", "request", [SAID, "y"]),
        ("w", "request", [SAID]),
        ("w", "request", [SAID.model_copy(update={"digest": "sha256:2"}), "x"]),
    ):
        assert broken(KEYS, text, workflow_id, name, args, NOW)
    assert broken(KEYS, text, "w", "request", [SAID, "x"], began=NOW + 31)
    assert broken(KEYS, "", "w", "request", [SAID, "x"], NOW) == "it has no seal"
    assert broken(KEYS, text[:-3] + "abc", "w", "request", [SAID, "x"], NOW)


def test_a_seal_of_a_newer_version_fits_what_an_older_one_understands() -> None:
    class Newer(Approval):
        added: str = ""

    text = seal(KEYS, "w", "request", [Newer(**SAID.model_dump(), added="x")], NOW)
    assert broken(KEYS, text, "w", "request", [SAID], NOW) is None


def test_seals_of_every_key_in_the_ring_count_while_it_turns() -> None:
    before = seal(SealKeys("b", KEYS.secrets), "w", "retire", [], NOW)
    assert broken(KEYS, before, "w", "retire", [], NOW) is None
    assert broken(SealKeys("a", {"a": b"a" * 32}), before, "w", "retire", [], NOW)


def test_keys_are_read_from_files_and_told_what_is_wrong_with_them(tmp_path: Path) -> None:
    keys = [Ed25519PrivateKey.generate() for _ in range(2)]
    private, public, ring = (tmp_path / name for name in ("key.pem", "keys.pem", "seals.json"))
    private.write_bytes(keys[0].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    pems = [key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in keys]
    public.write_bytes(b"".join(pems))
    secret = base64.b64encode(b"s" * 32).decode()
    ring.write_text(json.dumps([{"id": "2", "secret": secret}, {"id": "1", "secret": secret}]))
    assert key_id(signing_key(private).public_key().public_bytes_raw()) in proof_keys(public)
    assert len(proof_keys(public)) == 2
    assert seal_keys(ring).active == "2"
    for read, path in ((signing_key, public), (proof_keys, private), (seal_keys, private), (seal_keys, None)):
        with pytest.raises(UserFailure):
            read(path)
    ring.write_text(json.dumps([{"id": "2", "secret": "c2hvcnQ="}]))
    with pytest.raises(UserFailure, match="32 bytes"):
        seal_keys(ring)
    assert secret not in repr(seal_keys)


def test_a_control_worker_without_keys_does_not_start() -> None:
    unset: Any = None
    with pytest.raises(UserFailure, match="TOWPATH_PROOF_KEYS"):
        control_worker(unset, Settings(), unset)


def test_no_update_goes_round_the_guard() -> None:
    require_guarded(WORKFLOWS)


@workflow.defn
class Careless:
    @workflow.run
    async def run(self) -> None:
        await asyncio.sleep(0)

    @workflow.update
    def approve(self, given: Approval) -> None:
        return None


def test_an_update_without_a_validator_stops_the_worker() -> None:
    with pytest.raises(UserFailure, match=r"Careless\.approve"):
        require_guarded([Careless])


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_histories_from_before_there_were_seals_replay_behind_the_guard(path: Path) -> None:
    replayer = Replayer(
        workflows=WORKFLOWS,
        data_converter=pydantic_data_converter,
        workflow_failure_exception_types=[Failure],
        interceptors=[Guard({}, KEYS)],
    )
    await replayer.replay_workflow(history(load(path)))
