"""What each provider is told and asked, over HTTP, in the words of its documentation."""

import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from activities.hosting import HookWish
from model.failure import Failure, InfrastructureFailure, NotFound, UserFailure
from model.hosting import HostedComment, HostedDeployment, HostedStatus, StatusState
from model.hosting_place import place
from tests.providers import TOKEN, Api, hosts, opened, repository, serving

COMMIT = "c" * 40
GITHUB = ("github", "https://github.example/team/web.git")
GITEA = ("gitea", "https://gitea.example/team/web.git")
GITLAB = ("gitlab", "https://gitlab.example/group/sub/web.git")
CLOUD = ("bitbucket", "https://bitbucket.org/team/web.git")
DATACENTER = ("bitbucket", "https://git.example/scm/PROJ/web.git")
AZURE = ("azure", "https://dev.azure.com/org/project/_git/web")
ROOT = "/repos/team/web"
PROJECT = "/projects/group%2Fsub%2Fweb"
AZURE_ROOT = "/org/project/_apis/git/repositories/web"
DC_ROOT = "/api/1.0/projects/PROJ/repos/web"
WISH = HookWish(url="https://towpath.example/webhooks/x", secret="a-hook-secret")
PROVIDERS = [
    (GITHUB, f"POST {ROOT}/statuses/{COMMIT}"),
    (GITEA, f"POST {ROOT}/statuses/{COMMIT}"),
    (GITLAB, f"POST {PROJECT}/statuses/{COMMIT}"),
    (CLOUD, f"POST /repositories/team/web/commit/{COMMIT}/statuses/build"),
    (DATACENTER, f"POST {DC_ROOT}/commits/{COMMIT}/builds"),
    (AZURE, f"POST {AZURE_ROOT}/commits/{COMMIT}/statuses"),
]
NAMES = ["github", "gitea", "gitlab", "cloud", "datacenter", "azure"]
ONE_EACH = pytest.mark.parametrize(("provider", "where"), PROVIDERS, ids=NAMES)


@pytest_asyncio.fixture
async def api() -> AsyncIterator[Api]:
    async with serving(Api()) as found:
        yield found


def status(state: StatusState = "success", **changed: Any) -> HostedStatus:
    said = {"commit": COMMIT, "context": "towpath/web/build", "state": state, "description": "Built.", **changed}
    return HostedStatus.model_validate({"link": "https://ui.example/run", **said})


@ONE_EACH
async def test_a_status_is_set_in_the_providers_words(api: Api, provider: tuple[str, str], where: str) -> None:
    api.routes[where] = (201, {"id": 5})
    async with opened(api, *provider) as hosting:
        for state in ("pending", "success", "failure", "error", "cancelled"):
            await hosting.status(status(state))
    told = [body["state"] for body in api.sent(where)]
    assert (
        told
        == {
            GITHUB: ["pending", "success", "failure", "error", "error"],
            GITEA: ["pending", "success", "failure", "error", "error"],
            GITLAB: ["running", "success", "failed", "failed", "canceled"],
            CLOUD: ["INPROGRESS", "SUCCESSFUL", "FAILED", "FAILED", "STOPPED"],
            DATACENTER: ["INPROGRESS", "SUCCESSFUL", "FAILED", "FAILED", "CANCELLED"],
            AZURE: ["pending", "succeeded", "failed", "error", "notApplicable"],
        }[provider]
    )
    assert TOKEN not in str(api.asked)


@ONE_EACH
@pytest.mark.parametrize(
    ("answer", "kind", "reason", "wait"),
    [
        ((401, {"message": f"bad {TOKEN}"}), UserFailure, "TokenRefused", None),
        ((403, {"message": "no"}), UserFailure, "ProviderRefused", None),
        ((404, {"message": "no"}), NotFound, "ProviderNotFound", None),
        ((422, {"message": "no such commit"}), UserFailure, "ProviderInvalid", None),
        ((429, {}, {"Retry-After": "30"}), InfrastructureFailure, "ProviderUnavailable", 30.0),
        ((403, {"message": "a secondary rate limit"}), InfrastructureFailure, "ProviderUnavailable", 60.0),
        ((502, {}), InfrastructureFailure, "ProviderUnavailable", None),
        ((302, None, {"Location": "http://127.0.0.1:1/"}), UserFailure, "ProviderRefused", None),
    ],
)
async def test_a_refusal_means_the_same_everywhere(
    api: Api,
    provider: tuple[str, str],
    where: str,
    answer: Any,
    kind: type[Failure],
    reason: str,
    wait: float | None,
) -> None:
    api.routes[where] = answer
    with pytest.raises(kind) as refused:
        async with opened(api, *provider) as hosting:
            await hosting.status(status())
    assert (type(refused.value), refused.value.reason) == (kind, reason)
    assert getattr(refused.value, "retry_after", None) == wait
    assert TOKEN not in str(refused.value)
    if kind is UserFailure and answer[0] in (401, 403):
        assert "Secret default/provider" in str(refused.value)


async def test_credentials_go_as_each_provider_wants_them(api: Api) -> None:
    for provider, where in PROVIDERS:
        api.routes[where] = (200, {})
        async with opened(api, *provider) as hosting:
            await hosting.status(status())
    schemes = [each.partition(" ")[0] for each in api.authorizations]
    assert schemes == ["Bearer", "token", "Bearer", "Bearer", "Bearer", "Basic"]
    async with opened(api, *DATACENTER, tokenSecretRef={"name": "x"}, username="bot") as hosting:
        await hosting.status(status())
    assert api.authorizations[-1].startswith("Basic ")


COMMENTS = [
    (GITHUB, f"{ROOT}/issues/7/comments", f"PATCH {ROOT}/issues/comments/3", lambda text: {"body": text}),
    (
        GITLAB,
        f"{PROJECT}/merge_requests/7/notes",
        f"PUT {PROJECT}/merge_requests/7/notes/3",
        lambda text: {"body": text},
    ),
    (
        CLOUD,
        "/repositories/team/web/pullrequests/7/comments",
        "PUT /repositories/team/web/pullrequests/7/comments/3",
        lambda text: {"content": {"raw": text}},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "many", "one", "shaped"), COMMENTS, ids=["github", "gitlab", "cloud"])
async def test_there_is_one_comment_and_it_is_found_again(
    api: Api, provider: tuple[str, str], many: str, one: str, shaped: Any
) -> None:
    kept = [{"id": 2, **shaped("talk")}, {"id": 3, **shaped("<!-- ours --> before")}]
    api.routes[f"POST {many}"] = (201, {"id": 3})
    api.routes[one] = (200, {"id": 3})
    said = HostedComment(change="7", body="<!-- ours --> now", marker="<!-- ours -->")
    async with opened(api, *provider) as hosting:
        api.routes[f"GET {many}"] = (200, {"values": []} if provider == CLOUD else [])
        assert await hosting.comment(said) == "3"
        api.routes[f"GET {many}"] = (200, {"values": kept} if provider == CLOUD else kept)
        assert await hosting.comment(said) == "3"
        assert await hosting.comment(said.model_copy(update={"comment": "3"})) == "3"
    assert len(api.sent(f"POST {many}")) == 1
    assert api.sent(one) == [shaped("<!-- ours --> now")] * 2


async def test_data_centers_comments_are_changed_on_their_version(api: Api) -> None:
    comment = {"id": 3, "text": "<!-- ours -->", "version": 4}
    request = f"{DC_ROOT}/pull-requests/7"
    activities = {"values": [{"action": "COMMENTED", "comment": comment}], "isLastPage": True}
    api.routes = {
        f"GET {request}/activities": (200, activities),
        f"GET {request}/comments/3": (200, comment),
        f"PUT {request}/comments/3": (200, comment),
    }
    async with opened(api, *DATACENTER) as hosting:
        await hosting.comment(HostedComment(change="7", body="<!-- ours --> new", marker="<!-- ours -->"))
    assert api.sent(f"PUT {request}/comments/3") == [{"text": "<!-- ours --> new", "version": 4}]


async def test_azures_comments_are_threads_that_hold_up_nothing(api: Api) -> None:
    threads = f"{AZURE_ROOT}/pullRequests/7/threads"
    api.routes = {f"GET {threads}": (200, {"value": []}), f"POST {threads}": (200, {"id": 9})}
    async with opened(api, *AZURE) as hosting:
        assert await hosting.comment(HostedComment(change="7", body="hello", marker="<!-- ours -->")) == "9"
    assert api.sent(f"POST {threads}")[0]["status"] == "closed"
    assert api.asked[-1][2] == {"api-version": "7.1"}


async def test_permissions_are_read_and_strangers_have_none(api: Api) -> None:
    people = f"GET {ROOT}/collaborators"
    api.routes = {
        f"{people}/ann/permission": (200, {"permission": "admin"}),
        f"{people}/bob/permission": (200, {"permission": "write"}),
        f"{people}/own/permission": (200, {"permission": "owner"}),
        f"{people}/eve/permission": (200, {"permission": "something new"}),
        f"GET {PROJECT}/members/all": (
            200,
            [
                {"username": "ann2", "access_level": 50, "state": "active"},
                {"username": "ann", "access_level": 30, "state": "active"},
                {"username": "bob", "access_level": 40, "state": "blocked"},
            ],
        ),
        f"GET {DC_ROOT}/permissions/users": (
            200,
            {"values": [{"user": {"name": "ann"}, "permission": "REPO_WRITE"}], "isLastPage": True},
        ),
        "GET /workspaces/team/permissions/repositories/web": (
            200,
            {"values": [{"user": {"account_id": "7:ann"}, "permission": "write"}]},
        ),
    }
    async with opened(api, *GITHUB) as hosting:
        found = [await hosting.permission(login) for login in ("ann", "bob", "own", "eve", "nobody", "../../x")]
        assert found == ["admin", "write", "admin", "none", "none", "none"]
    async with opened(api, *GITLAB) as hosting:
        assert [await hosting.permission(login) for login in ("ann", "bob", "an")] == ["write", "none", "none"]
    async with opened(api, *CLOUD) as hosting:
        assert [await hosting.permission(login) for login in ("7:ann", "ann")] == ["write", "none"]
    api.routes["GET /api/1.0/projects/PROJ/permissions/users"] = (200, {"values": [], "isLastPage": True})
    async with opened(api, *DATACENTER) as hosting:
        assert [await hosting.permission(login) for login in ("ann", "bob")] == ["write", "none"]


async def test_a_change_tells_whether_it_comes_from_a_fork(api: Api) -> None:
    def pull(head: Any) -> dict[str, Any]:
        base = {"ref": "main", "repo": {"full_name": "team/web"}}
        return {"state": "open", "head": head, "base": base, "user": {"login": "ann"}, "title": "x"}

    own = {"ref": "topic", "sha": COMMIT, "repo": {"full_name": "Team/Web", "clone_url": "https://g/team/web.git"}}
    fork = {**own, "repo": {"full_name": "eve/web", "clone_url": "https://g/eve/web.git"}}
    api.routes = {
        f"GET {ROOT}/pulls/1": (200, pull(own)),
        f"GET {ROOT}/pulls/2": (200, pull(fork)),
        f"GET {ROOT}/pulls/3": (200, pull({**own, "repo": None})),
        f"GET {PROJECT}/merge_requests/1": (200, {"state": "opened", "sha": COMMIT, "source_project_id": 1,
                                                  "target_project_id": 2, "author": {"username": "eve"}}),
        "GET /projects/1": (200, {"http_url_to_repo": "https://g/eve/web.git"}),
    }  # fmt: skip
    async with opened(api, *GITHUB) as hosting:
        found = [await hosting.change(number) for number in ("1", "2", "3")]
        with pytest.raises(UserFailure, match="numbers"):
            await hosting.change("../issues")
    assert [(each.fork, each.head_url) for each in found] == [
        (False, "https://g/team/web.git"),
        (True, "https://g/eve/web.git"),
        (True, ""),
    ]
    async with opened(api, *GITLAB) as hosting:
        change = await hosting.change("1")
    assert (change.fork, change.head, change.head_url) == (True, COMMIT, "https://g/eve/web.git")


HOOKS = [(GITHUB, f"{ROOT}/hooks"), (GITEA, f"{ROOT}/hooks"), (GITLAB, f"{PROJECT}/hooks"),
         (CLOUD, "/repositories/team/web/hooks"), (DATACENTER, f"{DC_ROOT}/webhooks")]  # fmt: skip


@pytest.mark.parametrize(("provider", "where"), HOOKS, ids=["github", "gitea", "gitlab", "cloud", "datacenter"])
async def test_a_hook_is_made_with_a_secret_and_read_back_with_what_it_announces(
    api: Api, provider: tuple[str, str], where: str
) -> None:
    def made(body: Any, _query: dict[str, str]) -> tuple[int, Any]:
        # Gitea tells another name than it was given.
        events = ["pull_request" if each == "pull_request_only" else each for each in body.get("events", [])]
        return 201, {"id": 4, "uuid": "4", "active": True, **body, **({"events": events} if events else {})}

    api.routes = {f"POST {where}": made, f"DELETE {where}/4": (204, None)}
    async with opened(api, *provider) as hosting:
        hook = await hosting.create_hook(WISH)
        await hosting.delete_hook("4")
        await hosting.delete_hook("5")
    assert (hook.id, hook.url, hook.events, hook.active) == ("4", WISH.url, ("push", "change", "comment"), True)
    assert "a-hook-secret" in str(api.sent(f"POST {where}"))
    assert "a-hook-secret" not in repr(WISH)
    assert "a-hook-secret" not in hook.model_dump_json()


async def test_azures_hook_is_a_subscription_for_each_kind_of_event(api: Api) -> None:
    subscriptions = "/org/_apis/hooks/subscriptions"
    numbers = iter(range(1, 20))
    api.routes = {
        f"GET {AZURE_ROOT}": (200, {"id": "r1", "project": {"id": "p1"}}),
        f"POST {subscriptions}": lambda body, _: (200, {**body, "id": f"s{next(numbers)}", "status": "enabled"}),
    }
    async with opened(api, *AZURE) as hosting:
        hook = await hosting.create_hook(WISH)
    assert hook.id == "s1,s2,s3,s4,s5"
    inputs = api.sent(f"POST {subscriptions}")[0]["publisherInputs"]
    assert inputs == {"projectId": "p1", "repository": "r1"}


async def test_githubs_failed_deliveries_are_those_that_no_attempt_brought_home(api: Api) -> None:
    hook = {"id": 4, "active": True, "events": ["push"], "config": {"url": WISH.url}}
    other = {**hook, "id": 5, "config": {"url": "https://somebody.example/"}}

    def entry(number: int, guid: str, code: int, minute: int) -> dict[str, Any]:
        return {"id": number, "guid": guid, "status_code": code, "event": "push",
                "delivered_at": f"2026-11-21T10:{minute:02}:00Z"}  # fmt: skip

    told = [(5, "a", 200, 9), (4, "b", 502, 8), (3, "a", 503, 7), (2, "b", 0, 6), (1, "c", 500, 1)]
    log = [entry(*each) for each in told]
    attempts = f"POST {ROOT}/hooks/4/deliveries/2/attempts"
    api.routes = {
        f"GET {ROOT}/hooks": (200, [hook, other]),
        f"GET {ROOT}/hooks/4/deliveries": lambda _, query: (
            (200, log[3:]) if "cursor" in query
            else (200, log[:3], {"Link": f'<{api.address}{ROOT}/hooks/4/deliveries?cursor=x>; rel="next"'})
        ),
        attempts: (202, None),
    }  # fmt: skip
    since = 1795255500.0  # 10:05
    async with opened(api, *GITHUB) as hosting:
        failed = await hosting.failed_deliveries(WISH.url, since)
        await hosting.redeliver(failed[0])
    assert [(each.id, each.delivery) for each in failed] == [("2", "b")]
    assert len(api.sent(attempts)) == 1


async def test_what_a_provider_does_not_have_is_said_plainly(api: Api) -> None:
    async with opened(api, *GITEA) as hosting:
        with pytest.raises(UserFailure) as refused:
            await hosting.failed_deliveries(WISH.url, 0)
    assert refused.value.reason == "NotOffered"


async def test_a_deployment_told_twice_is_one(api: Api) -> None:
    place_of = f"{ROOT}/deployments"
    kept: list[Any] = []

    def make(body: Any, _query: dict[str, str]) -> tuple[int, Any]:
        kept.append({"id": 8, **body})
        return 201, {"id": 8}

    api.routes = {
        f"GET {place_of}": lambda *_: (200, kept),
        f"POST {place_of}": make,
        f"POST {place_of}/8/statuses": (201, {}),
    }
    said = HostedDeployment(environment="web/staging", commit=COMMIT, key="rollout/1", state="running")
    async with opened(api, *GITHUB) as hosting:
        for state in ("running", "success"):
            assert await hosting.deployment(said.model_copy(update={"state": state})) == "8"
    assert [body["state"] for body in api.sent(f"POST {place_of}/8/statuses")] == ["in_progress", "success"]
    assert (len(kept), kept[0]["required_contexts"], kept[0]["auto_merge"]) == (1, [], False)


@pytest.fixture(scope="module")
def key() -> str:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    plain = serialization.NoEncryption()
    return made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


def app_api(api: Api) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    api.routes |= {
        f"GET {ROOT}/installation": (200, {"id": 77}),
        "POST /app/installations/77/access_tokens": (201, {"token": "ghs_installation", "expires_at": stamp}),
        f"GET {ROOT}/commits/{COMMIT}/check-runs": (200, {"check_runs": []}),
        f"POST {ROOT}/check-runs": (201, {"id": 12}),
        f"PATCH {ROOT}/check-runs/12": (200, {"id": 12}),
    }


async def test_an_app_shows_checks_with_details_as_its_installation(api: Api, key: str) -> None:
    app_api(api)
    app = {"id": "4711", "privateKeySecretRef": {"name": "app"}}
    everywhere = hosts(key)
    declared = repository(api, *GITHUB, app=app)
    remote = ""
    for state in ("pending", "failure"):
        async with everywhere.open(declared) as hosting:
            remote = await hosting.status(status(state, detail="npm ERR!", remote=remote))
    assert len(api.sent("POST /app/installations/77/access_tokens")) == 1, "a token lasts an hour"
    statement = jwt.decode(api.authorizations[0].partition(" ")[2], options={"verify_signature": False})
    assert statement["iss"] == "4711"
    assert statement["exp"] - statement["iat"] <= 600
    assert api.authorizations[-1] == "Bearer ghs_installation"
    (made,), (changed,) = api.sent(f"POST {ROOT}/check-runs"), api.sent(f"PATCH {ROOT}/check-runs/12")
    assert (made["name"], made["head_sha"], made["status"]) == ("towpath/web/build", COMMIT, "in_progress")
    assert (changed["conclusion"], changed["output"]["summary"]) == ("failure", "npm ERR!")


async def test_a_check_whose_answer_was_lost_is_found_again(api: Api, key: str) -> None:
    app_api(api)
    runs = {"check_runs": [{"id": 12, "external_id": "towpath/web/build"}]}
    api.routes[f"GET {ROOT}/commits/{COMMIT}/check-runs"] = (200, runs)
    app = {"id": "4711", "privateKeySecretRef": {"name": "app"}}
    async with hosts(key).open(repository(api, *GITHUB, app=app)) as hosting:
        assert await hosting.status(status()) == "12"
    assert api.sent(f"POST {ROOT}/check-runs") == []


async def test_an_installation_token_that_was_taken_back_is_fetched_anew(api: Api, key: str) -> None:
    app_api(api)
    answers: list[Any] = [(201, {"id": 12}), (401, {"message": "Bad credentials"}), (201, {"id": 13})]
    api.routes[f"POST {ROOT}/check-runs"] = lambda *_: answers.pop(0)
    everywhere, declared = (
        hosts(key),
        repository(api, *GITHUB, app={"id": "1", "privateKeySecretRef": {"name": "a"}}),
    )
    for wanted in ("12", "13"):
        async with everywhere.open(declared) as hosting:
            assert await hosting.status(status()) == wanted
    assert len(api.sent("POST /app/installations/77/access_tokens")) == 2


async def test_a_key_that_is_none_is_not_quoted(api: Api) -> None:
    app = {"id": "1", "privateKeySecretRef": {"name": "a"}}
    with pytest.raises(UserFailure) as refused:
        async with hosts("no key at all").open(repository(api, *GITHUB, app=app)) as hosting:
            await hosting.status(status())
    assert refused.value.reason == "PrivateKeyUnusable"
    assert "no key at all" not in str(refused.value)


async def test_what_gitlab_calls_no_transition_is_so_already(api: Api) -> None:
    said = {
        "message": "Cannot transition status via :run from :running (Reason(s): Status cannot transition via run)"
    }
    api.routes[f"POST {PROJECT}/statuses/{COMMIT}"] = (400, said)
    async with opened(api, *GITLAB) as hosting:
        assert await hosting.status(status("pending")) == ""


@pytest.mark.parametrize(
    ("provider", "address", "base", "path"),
    [
        ("github", "github.com/team/web", "https://api.github.com", ("team", "web")),
        ("github", "git.example/team/web", "https://git.example/api/v3", ("team", "web")),
        ("gitea", "git.example:3000/team/web", "https://git.example:3000/api/v1", ("team", "web")),
        ("forgejo", "example/forge/team/web", "https://example/forge/api/v1", ("team", "web")),
        ("gitlab", "gitlab.com/a/b/c", "https://gitlab.com/api/v4", ("a", "b", "c")),
        ("bitbucket", "bitbucket.org/team/web", "https://api.bitbucket.org/2.0", ("team", "web")),
        ("bitbucket", "git.example/scm/PROJ/web", "https://git.example/rest", ("PROJ", "web")),
        ("bitbucket-datacenter", "git.example:7999/proj/web", "https://git.example/rest", ("proj", "web")),
        ("azure", "dev.azure.com/org/project/_git/web", "https://dev.azure.com", ("org", "project", "web")),
        ("azure", "dev.azure.com/org/_git/web", "https://dev.azure.com", ("org", "web", "web")),
        ("azure", "ssh.dev.azure.com/v3/org/project/web", "https://dev.azure.com", ("org", "project", "web")),
        ("azure", "org.visualstudio.com/project/_git/web", "https://dev.azure.com", ("org", "project", "web")),
    ],
)
def test_where_a_repository_is_spoken_of(provider: str, address: str, base: str, path: tuple[str, ...]) -> None:
    found = place(provider, address)
    assert found is not None
    assert (found.base, found.path) == (base, path)


@pytest.mark.parametrize(
    ("provider", "address"), [("github", "github.com/web"), ("azure", "dev.azure.com/org/web")]
)
def test_an_address_of_another_provider_is_refused(provider: str, address: str) -> None:
    with pytest.raises(UserFailure, match=r"is not .*, as"):
        place(provider, address)
