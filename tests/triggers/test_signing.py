"""Having a command signed instead of sent: the same people, the same refusals, and nothing happens."""

import json
import shlex
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from model import ids
from model.gate import Approval
from model.statement import Statement, against
from tests.triggers.fakes import FakeReleases, FakeRuns, release
from tests.triggers.serving import VIEWING, Parts
from tests.triggers.test_api import AT_GATE, KEY, put_lane, put_promotion
from tests.triggers.test_commandline import NAME, Shell, shell  # noqa: F401  (a fixture)
from triggers.signing import Signer, refuse_to_act

SERVER = Ed25519PrivateKey.generate()
APPROVE = ("sign", "approve", NAME, "-e", "production", "--reason", "looked at it")


class SigningRuns(FakeRuns):
    """Signs as the real one does, right before it sends."""

    async def update(self, workflow: str, name: str, argument: Any, update_id: str, result: Any) -> Any:
        said = Signer(SERVER).sign(workflow, name, update_id, argument)
        return await super().update(workflow, name, said, update_id, result)

    async def start(self, *arguments: Any, **options: Any) -> bool:
        refuse_to_act()
        return await super().start(*arguments, **options)


@pytest.fixture
def parts() -> Parts:
    parts = Parts(runs=SigningRuns(), releases=FakeReleases(release(1)))
    put_lane(parts, release(1))
    put_promotion(parts, release(1), AT_GATE)
    return parts


def test_the_signed_input_is_what_the_gate_will_be_told(shell: Shell) -> None:  # noqa: F811
    ran = shell.run(*APPROVE, "-o", "json")
    assert ran.exit_code == 0, ran.output
    said = Approval.model_validate(json.loads(ran.stdout))
    assert (said.environment, said.reason, said.actor.name) == ("production", "looked at it", "Ada")
    claims = jwt.decode(said.proof, SERVER.public_key(), algorithms=["EdDSA"])
    statement = Statement.model_validate(claims)
    workflow = ids.promotion(KEY, release(1).name)
    assert against(statement, workflow, "approve", said, statement.issued, statement.issued) is None
    assert shell.parts.runs.updates == {}


def test_people_are_shown_the_command_that_does_it(shell: Shell) -> None:  # noqa: F811
    ran = shell.run(*APPROVE)
    words = shlex.split(ran.stdout)
    assert words[:4] == ["temporal", "workflow", "update", "execute"]
    told = dict(zip(words[4::2], words[5::2], strict=True))
    assert told["--workflow-id"] == ids.promotion(KEY, release(1).name)
    assert told["--name"] == "approve"
    assert json.loads(told["--input"])["id"] == told["--update-id"]


def test_who_may_not_say_it_gets_no_signature(shell: Shell) -> None:  # noqa: F811
    ran = shell.run(*APPROVE, token=VIEWING)
    assert ran.exit_code == 1
    assert "RoleMissing" in ran.stderr
    assert "proof" not in ran.stdout


def test_what_the_api_refuses_is_not_signed(shell: Shell) -> None:  # noqa: F811
    ran = shell.run("sign", "approve", NAME, "-e", "production", "--digest", f"sha256:{'9' * 64}")
    assert ran.exit_code == 1
    assert "NotWaiting" in ran.stderr


@pytest.mark.parametrize("command", [("get",), ("promote", NAME), ("nonsense",)])
def test_what_is_no_update_cannot_be_signed(shell: Shell, command: tuple[str, ...]) -> None:  # noqa: F811
    ran = shell.run("sign", *command)
    assert ran.exit_code != 0
    assert "proof" not in ran.stdout
    assert shell.parts.runs.started == {}


def test_lifting_a_freeze_is_no_update_and_does_not_happen(shell: Shell) -> None:  # noqa: F811
    ran = shell.run("sign", "unfreeze", "freeze-x")
    assert ran.exit_code == 1
    assert "nothing to sign" in ran.stderr
