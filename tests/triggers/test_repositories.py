"""Repositories: their webhooks on request, their secrets while they change, and their other addresses."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from temporalio.common import TypedSearchAttributes
from typer.testing import CliRunner, Result

from model import ids
from model.push import Push
from model.registration import Fault, Registered, RegistrationRequest, Rotated, RotationRequest
from tests.triggers.fakes import URL, FakeApiServer, FakeRuns, FakeSecrets, component_object, repository_object
from tests.triggers.serving import VIEWING, Parts, authorized, git_push, post_git, serving
from triggers.commandline import app
from triggers.commandline.client import Api
from triggers.runs import Kind, Run
from triggers.server import ServerSettings
from triggers.views import Accepted, ConditionView, EventView, RepositoryView
from workflows.attributes import attributes

PATH = "/api/v1/repositories/default/mine"
MIRROR = "https://mirror.example/team/hello-world"
PUBLIC = "https://towpath.example"


class Answering(FakeRuns):
    """Runs that have ended as soon as they are started, with these answers."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__()
        self.faults = faults

    async def start(
        self,
        kind: Kind,
        argument: BaseModel,
        workflow: str,
        request: str,
        attributes: TypedSearchAttributes,
        summary: str,
        again: bool = False,
    ) -> bool:
        started = await super().start(kind, argument, workflow, request, attributes, summary, again)
        if started and isinstance(argument, RegistrationRequest):
            state: BaseModel = Registered(
                namespace=argument.namespace, name=argument.name, message="Done.", hook="7", faults=self.faults
            )
        else:
            state = Rotated(phase="live", message="The provider signs with the fresh secret.")
        if started:
            self.put(Run(workflow, "COMPLETED", started_at=9000, closed_at=9001, request=request), state=state)
        return started


def parts(runs: FakeRuns | None = None, **spec: Any) -> Parts:
    obj = repository_object(URL, "mine", name="mine")
    obj["spec"] = {**obj["spec"], **spec}
    obj["status"] = {"conditions": [{"type": "WebhookRegistered", "status": "True", "reason": "Registered"}]}
    return Parts(
        apiserver=FakeApiServer(component_object(), obj),
        runs=runs or Answering(),
        secrets=FakeSecrets(mine="own-secret"),
        settings=ServerSettings(webhook_secrets=("platform",), public_url=PUBLIC),
    )


async def test_repositories_are_listed_with_what_is_known_of_their_webhooks(tmp_path: Path) -> None:
    async with serving(parts(), tmp_path) as client:
        (found,) = (await client.get("/api/v1/repositories", headers=authorized())).json()
        missing = await client.get("/api/v1/repositories/default/other", headers=authorized())
    assert (found["name"], found["repository"], found["own_secrets"]) == (
        "mine",
        "git.example/team/hello-world",
        True,
    )
    assert found["conditions"][0]["type"] == "WebhookRegistered"
    assert missing.status_code == 404
    assert missing.json()["reason"] == "RepositoryNotFound"


async def test_a_repository_shows_what_was_announced_last(tmp_path: Path) -> None:
    runs = Answering()
    found_by = attributes(repository="git.example/team/hello-world", commit="1" * 40, stage="built")
    for number in (1, 2):
        runs.put(Run(f"push/{number}", "COMPLETED", started_at=number, type="Delivery", attributes=found_by))
    async with serving(parts(runs), tmp_path) as client:
        last = (await client.get(PATH, headers=authorized())).json()["last"]
    assert (last["workflow"], last["kind"], last["stage"]) == ("push/2", "push", "built")
    view = RepositoryView(namespace="default", name="mine", url=URL, last=EventView.model_validate(last))
    shown = on_the_command_line({"mine": view}, "show", "mine").output
    assert "last announced: push of 1111111" in shown


async def test_a_repository_that_cannot_be_understood_is_listed_with_its_problem(tmp_path: Path) -> None:
    async with serving(parts(provider="carrier-pigeon"), tmp_path) as client:
        (found,) = (await client.get("/api/v1/repositories", headers=authorized())).json()
    assert found["problem"]


async def test_registering_asks_for_a_webhook_at_the_servers_public_address(tmp_path: Path) -> None:
    runs = Answering()
    async with serving(parts(runs), tmp_path) as client:
        answer = await client.post(f"{PATH}/register", json={}, headers=authorized())
        other = await client.post(f"{PATH}/check", json={"address": "https://else.example"}, headers=authorized())
    assert (answer.status_code, answer.json()["hook"]) == (200, "7")
    assert other.status_code == 200
    asked = runs.started[ids.registration("default", "mine")]
    assert isinstance(asked, RegistrationRequest)
    assert (asked.action, asked.address, asked.actor.name) == ("check", "https://else.example", "Ada")


async def test_nothing_is_registered_while_something_is_being_done_about_the_same_webhook(tmp_path: Path) -> None:
    runs = Answering()
    runs.put(Run(ids.registration("default", "mine"), "RUNNING", started_at=1, request="another"))
    async with serving(parts(runs), tmp_path) as client:
        answer = await client.post(f"{PATH}/register", json={}, headers=authorized())
    assert (answer.status_code, answer.json()["reason"]) == (409, "UnderWay")


async def test_who_may_only_look_registers_and_rotates_nothing(tmp_path: Path) -> None:
    runs = Answering()
    async with serving(parts(runs), tmp_path) as client:
        for what in ("register", "unregister", "check", "rotate"):
            answer = await client.post(f"{PATH}/{what}", json={}, headers=authorized(VIEWING))
            assert answer.status_code == 403
    assert runs.started == {}


async def test_rotating_twice_under_one_key_is_one_rotation(tmp_path: Path) -> None:
    runs = Answering()
    headers = {**authorized(), "Idempotency-Key": "again"}
    async with serving(parts(runs), tmp_path) as client:
        first, second = [
            (await client.post(f"{PATH}/rotate", json={"grace_seconds": 60}, headers=headers)).json()
            for _ in range(2)
        ]
        state = (await client.get(f"{PATH}/rotations/again", headers=authorized())).json()
    assert (first["duplicate"], second["duplicate"], state["phase"]) == (False, True, "live")
    asked = runs.started[ids.rotation("default", "mine", "again")]
    assert isinstance(asked, RotationRequest)
    assert asked.grace_seconds == 60


@pytest.mark.parametrize("address", ["ftp://x/", "https://user:canary@x/", "x", "https://x/#a"])
async def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    async with serving(parts(), tmp_path) as client:
        answer = await client.post(f"{PATH}/register", json={"address": address}, headers=authorized())
    assert answer.status_code == 422
    assert "canary" not in answer.text


def pushes(served: Parts) -> list[Push]:
    """What senders announced, without what was started because it was applied."""
    return [push for push in served.starter.started.values() if push.cause == "push"]


class Changing(FakeSecrets):
    """A secret that is being replaced."""

    async def live(self, namespace: str, name: str, key: str) -> tuple[str, ...]:
        return ("old-secret", "fresh-secret") if name == "mine" else ()


async def test_while_a_secret_is_replaced_both_count_and_no_other(tmp_path: Path) -> None:
    changing = parts()
    changing.secrets = Changing()
    async with serving(changing, tmp_path) as client:
        answers = [
            (await post_git(client, git_push(), secret)).status_code
            for secret in ("old-secret", "fresh-secret", "platform", "other")
        ]
    assert answers == [202, 202, 401, 401]


async def test_a_push_that_a_mirror_announces_too_is_one(tmp_path: Path) -> None:
    mirrored = parts(mirrors=[MIRROR])
    async with serving(mirrored, tmp_path) as client:
        first = await post_git(client, git_push(), "own-secret")
        second = await post_git(client, git_push(repository={"url": f"{MIRROR}.git"}), "own-secret")
    assert (first.json()["duplicate"], second.json()["duplicate"]) == (False, True)
    (push,) = pushes(mirrored)
    assert push.url == URL


async def test_nobody_makes_a_mirror_of_an_address_that_others_have_declared(tmp_path: Path) -> None:
    """Else their pushes would be signed with another's secret, and start another's builds."""
    thief = repository_object("https://git.example/thief/app", "thiefs", name="thief")
    thief["spec"]["mirrors"] = [URL]
    stolen = parts()
    stolen.apiserver.objects.append(thief)
    stolen.secrets = FakeSecrets(mine="own-secret", thiefs="thiefs-secret")
    async with serving(stolen, tmp_path) as client:
        refused = await post_git(client, git_push(), "thiefs-secret")
        taken = await post_git(client, git_push(), "own-secret")
    assert (refused.status_code, taken.status_code) == (401, 202)
    (push,) = pushes(stolen)
    assert push.url == URL


def on_the_command_line(answers: dict[str, BaseModel | list[BaseModel]], *arguments: str) -> Result:
    """Run `towpath repository …` against a server that answers so, by the end of the path."""

    def answer(request: httpx.Request) -> httpx.Response:
        found = answers[request.url.path.rpartition("/")[2]]
        content = [each.model_dump() for each in found] if isinstance(found, list) else found.model_dump()
        return httpx.Response(200, json=content)

    with httpx.Client(transport=httpx.MockTransport(answer), base_url="http://towpath") as http:
        return CliRunner().invoke(app, ["repository", *arguments], obj=Api(http, pause=lambda _: None))


def test_a_check_that_finds_something_ends_with_1_and_says_what() -> None:
    fault = Fault(reason="HookMissing", message="No webhook leads here; run register.")
    found = Registered(namespace="default", name="mine", message=fault.message, faults=(fault,))
    result = on_the_command_line({"check": found}, "check", "mine")
    assert result.exit_code == 1
    assert "HookMissing: No webhook leads here; run register." in result.output
    well = found.model_copy(update={"faults": (), "message": "It is there."})
    assert on_the_command_line({"check": well}, "check", "mine").exit_code == 0


def test_a_rotation_is_waited_for_and_one_that_fails_ends_with_1() -> None:
    accepted = Accepted(reason="Rotating", message="It is under way.", workflow="rotation/default/mine/1")

    def rotated(phase: str) -> Result:
        state = Rotated.model_validate({"phase": phase, "message": "TokenRefused: it has ended."})
        answers: dict[str, BaseModel | list[BaseModel]] = {"rotate": accepted}
        # The path ends with an id of the command line's own.
        return on_the_command_line(Anything(answers, state), "rotate", "mine", "--grace", "0s")

    assert rotated("live").exit_code == 0
    failed = rotated("failed")
    assert failed.exit_code == 1
    assert "TokenRefused" in failed.output
    assert on_the_command_line({"rotate": accepted}, "rotate", "mine", "--no-wait").exit_code == 0
    assert on_the_command_line({}, "rotate", "mine", "--grace", "soon").exit_code == 2


class Anything(dict[str, "BaseModel | list[BaseModel]"]):
    """Answers the same to whatever is asked besides."""

    def __init__(self, known: dict[str, "BaseModel | list[BaseModel]"], other: BaseModel) -> None:
        super().__init__(known)
        self._other = other

    def __missing__(self, _key: str) -> BaseModel:
        return self._other


def test_the_list_shows_whether_each_webhook_is_registered() -> None:
    registered = ConditionView(type="WebhookRegistered", status="True", reason="Registered")
    missing = ConditionView(type="WebhookRegistered", status="False", reason="HookMissing")
    views: list[BaseModel] = [
        RepositoryView(namespace="default", name="one", url=URL, provider="gitea", conditions=(registered,)),
        RepositoryView(namespace="default", name="two", url=URL, provider="git", conditions=(missing,)),
    ]
    result = on_the_command_line({"repositories": views}, "list")
    _, one, two = result.output.strip().splitlines()
    assert "True" in one.split()
    assert "HookMissing" in two.split()
