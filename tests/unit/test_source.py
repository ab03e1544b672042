"""What Source says of a push, with real Git over real HTTP."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from activities.git import Git, Output
from activities.source import Source
from model.failure import InfrastructureFailure, NotFound, UserFailure
from model.push import ZERO_ID
from model.source import Changes, ChangesRequest
from tests.gitserver import AUTHOR, Remote, Working, serving

MAIN = "refs/heads/main"


class NoSecrets:
    async def basic(self, namespace: str, secret: str) -> tuple[str, str] | None:
        raise NotFound("SecretNotFound", f"no {namespace}/{secret}")


class OneSecret:
    async def basic(self, namespace: str, secret: str) -> tuple[str, str] | None:
        return "ann", "hunter2"


@pytest_asyncio.fixture
async def remote(tmp_path: Path) -> AsyncIterator[Remote]:
    async with serving(tmp_path / "server") as found:
        yield found


@pytest.fixture
def working(remote: Remote, tmp_path: Path) -> Working:
    return remote.clone(tmp_path / "working", "team/app")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "cache", NoSecrets())


async def ask(source: Source, working: Working, before: str = "", after: str = "", ref: str = MAIN) -> Changes:
    return await source.changes(ChangesRequest(url=working.url, ref=ref, before=before, after=after))


async def test_push_tells_author_subject_and_changed_paths(source: Source, working: Working) -> None:
    first = working.commit({"a/one.txt": "1", "b/two.txt": "2"})
    second = working.commit({"b/two.txt": "3", "c/drei ü.txt": "4"}, "second change\n\nwith a body")
    await working.push()
    found = await ask(source, working, first, second)
    assert found.commit.id == second
    assert (found.commit.author, found.commit.author_email) == AUTHOR
    assert found.commit.subject == "second change"
    assert found.head == second
    assert not found.superseded
    assert found.paths == ("b/two.txt", "c/drei ü.txt")


async def test_new_branch_has_unknown_paths(source: Source, working: Working) -> None:
    only = working.commit({"a": "1"})
    await working.push()
    assert (await ask(source, working, ZERO_ID, only)).paths is None
    assert (await ask(source, working, "", "")).commit.id == only


async def test_unknown_before_has_unknown_paths(source: Source, working: Working) -> None:
    only = working.commit({"a": "1"})
    await working.push()
    assert (await ask(source, working, "b" * 40, only)).paths is None


async def test_older_commit_is_superseded_by_the_newer_head(source: Source, working: Working) -> None:
    older = working.commit({"a": "1"})
    newer = working.commit({"a": "2"})
    await working.push()
    found = await ask(source, working, ZERO_ID, older)
    assert found.superseded
    assert found.head == newer


async def test_commit_pushed_again_by_force_is_not_superseded(source: Source, working: Working) -> None:
    older = working.commit({"a": "1"})
    newer = working.commit({"a": "2"})
    await working.push()
    assert not (await ask(source, working, older, newer)).superseded
    await working.push(f"{older}:{MAIN}", "--force")
    found = await ask(source, working, newer, older)
    assert found.head == older
    assert not found.superseded
    assert found.paths == ("a",)


async def test_commit_replaced_by_force_is_not_found(source: Source, working: Working) -> None:
    working.commit({"a": "1"})
    await working.push()
    with pytest.raises(NotFound) as caught:
        await ask(source, working, ZERO_ID, "c" * 40)
    assert caught.value.reason == "CommitNotFound"


async def test_deleted_branch_is_not_found(source: Source, working: Working) -> None:
    only = working.commit({"a": "1"})
    await working.push("HEAD:refs/heads/side")
    await working.push("HEAD:refs/heads/main")
    await working.push(":refs/heads/side")
    with pytest.raises(NotFound) as caught:
        await ask(source, working, ZERO_ID, only, ref="refs/heads/side")
    assert caught.value.reason == "RefNotFound"


async def test_absent_repository_is_not_found(source: Source, remote: Remote) -> None:
    with pytest.raises(NotFound) as caught:
        await source.changes(ChangesRequest(url=f"{remote.url}/no/such.git", ref=MAIN))
    assert caught.value.reason == "RepositoryNotFound"


async def test_unreachable_host_is_the_infrastructures_failure(source: Source) -> None:
    with pytest.raises(InfrastructureFailure) as caught:
        await source.changes(ChangesRequest(url="http://127.0.0.1:1/a/b.git", ref=MAIN))
    assert caught.value.reason == "GitUnreachable"


async def test_slow_server_ends_in_time_and_leaves_no_process(tmp_path: Path) -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    source = Source(tmp_path / "cache", NoSecrets(), Git(seconds=0.5))
    with pytest.raises(InfrastructureFailure) as caught:
        await source.changes(ChangesRequest(url=f"http://127.0.0.1:{port}/a/b.git", ref=MAIN))
    assert caught.value.reason == "GitTimeout"
    # It waits for its connections, which the killed helper held.
    server.close()
    await asyncio.wait_for(server.wait_closed(), 5)


@pytest.mark.parametrize(
    "url",
    [
        "--upload-pack=touch pwned",
        "-oProxyCommand=touch pwned",
        "ext::sh -c touch% pwned",
        "file:///etc",
        "/etc/passwd",
        "../up",
        "fd::17/foo",
        "ssh://-oProxyCommand=x/a",
        "https://user:secret@host/a",
        "git://host/a",
        "http://host/a\n",
    ],
)
async def test_addresses_that_are_none_never_reach_git(tmp_path: Path, url: str) -> None:
    with pytest.raises(UserFailure) as caught:
        await Source(tmp_path, NoSecrets()).changes(ChangesRequest(url=url, ref=MAIN))
    assert caught.value.reason == "BadRepositoryAddress"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ref", ["--upload-pack=x", "refs/heads/-x", "refs/heads/a..b", "HEAD", "refs/heads/a b"])
async def test_refs_that_are_none_never_reach_git(tmp_path: Path, ref: str) -> None:
    with pytest.raises(UserFailure) as caught:
        await Source(tmp_path, NoSecrets()).changes(ChangesRequest(url="https://host/a", ref=ref))
    assert caught.value.reason == "BadRef"


async def test_shell_characters_in_messages_and_branches_are_text(
    source: Source, working: Working, tmp_path: Path
) -> None:
    message = "$(touch pwned) `touch pwned`; touch pwned | tee & \" ' \\ {{workflow.name}}"
    branch = "refs/heads/a;touch$IFS'pwned'&`x`"
    only = working.commit({"a": "1"}, message)
    await working.push(f"HEAD:{branch}")
    found = await ask(source, working, ZERO_ID, only, ref=branch)
    assert found.commit.subject == message
    assert "pwned" not in {name for _, folders, files in os.walk(tmp_path) for name in (*folders, *files)}


async def test_long_subject_is_cut(source: Source, working: Working) -> None:
    only = working.commit({"a": "1"}, "x" * 5000)
    await working.push()
    assert len((await ask(source, working, ZERO_ID, only)).commit.subject) == 200


async def test_thousands_of_paths_count_as_unknown(source: Source, working: Working) -> None:
    first = working.commit({"a": "1"})
    second = working.commit({f"many/{number}": "" for number in range(5001)})
    await working.push()
    assert (await ask(source, working, first, second)).paths is None


async def test_pushes_of_one_moment_share_a_mirror(source: Source, working: Working) -> None:
    ids = [working.commit({"a": str(number)}) for number in range(4)]
    await working.push()
    found = await asyncio.gather(*(ask(source, working, ZERO_ID, commit) for commit in ids))
    assert [each.superseded for each in found] == [True, True, True, False]


async def test_what_a_secret_opened_is_not_shown_without_it(working: Working, tmp_path: Path) -> None:
    only = working.commit({"a": "1"})
    await working.push()
    private = Source(tmp_path / "cache", OneSecret())
    asked = ChangesRequest(url=working.url, ref=MAIN, after=only)
    await private.changes(asked.model_copy(update={"secret": "git"}))
    assert len(list((tmp_path / "cache").glob("*.git"))) == 1
    await private.changes(asked)
    assert len(list((tmp_path / "cache").glob("*.git"))) == 2


async def test_credentials_reach_the_server_and_no_command_line(tmp_path: Path) -> None:
    seen: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        seen.append(b"".join(_command_lines()))
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a/b.git"
    with pytest.raises(UserFailure) as caught:
        await Source(tmp_path, OneSecret()).changes(ChangesRequest(url=url, ref=MAIN, secret="git"))
    server.close()
    await server.wait_closed()
    assert caught.value.reason == "GitAuthFailed"
    assert "hunter2" not in caught.value.message
    assert b"Authorization: Basic YW5uOmh1bnRlcjI=" in seen[0]
    assert b"git-remote-http" in seen[1]
    assert b"hunter2" not in seen[1]
    assert b"YW5uOmh1bnRlcjI" not in seen[1]


def _command_lines() -> list[bytes]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue
    return found


class Counting(Git):
    """Counts what is asked of the server."""

    def __init__(self) -> None:
        super().__init__()
        self.fetches = 0

    async def run(self, folder: Path, arguments: Sequence[str], *more: Any, **options: Any) -> Output:
        self.fetches += arguments[0] == "fetch"
        return await super().run(folder, arguments, *more, **options)


async def test_pushes_of_many_branches_at_once_share_fetches(working: Working, tmp_path: Path) -> None:
    program = Counting()
    source = Source(tmp_path / "cache", NoSecrets(), program)
    first = working.commit({"a": "1"})
    await working.push()
    heads = {}
    for number in range(10):
        heads[f"refs/heads/b{number}"] = working.commit({"a": f"at {number}"})
        await working.push(f"HEAD:refs/heads/b{number}")
    asked = [ask(source, working, first, head, ref) for ref, head in heads.items()]
    gone = ask(source, working, ref="refs/heads/gone")
    *found, missing = await asyncio.gather(*asked, gone, return_exceptions=True)
    assert [changes.head for changes in found if isinstance(changes, Changes)] == list(heads.values())
    assert isinstance(missing, NotFound)
    assert missing.reason == "RefNotFound"
    assert program.fetches <= 3


ROLLOUT = "rollout/default/hello/development/3"
OURS = f"web: development runs web-1\n\nBecause.\n\nTowpath-Release: web-1\nTowpath-Rollout: {ROLLOUT}"


async def test_commits_that_claim_to_be_ours_are_told_with_the_rollout_they_name(
    source: Source, working: Working
) -> None:
    first = working.commit({"deploy/k.yaml": "1", "app.js": "1"})
    second = working.commit({"deploy/k.yaml": "2"}, OURS)
    third = working.commit({"deploy/k.yaml": "3"}, OURS)
    await working.push()
    assert (await ask(source, working, first, third)).written == {second: ROLLOUT, third: ROLLOUT}


CLAIMS = ("a change", f"x\n\nTowpath-Rollout: {'y' * 600}", "x\n\nTowpath-Rollout: -a;b")


@pytest.mark.parametrize("message", CLAIMS)
async def test_one_commit_of_somebody_else_makes_a_push_somebody_elses(
    source: Source, working: Working, message: str
) -> None:
    first = working.commit({"deploy/k.yaml": "1"})
    working.commit({"app.js": "evil"}, message)
    last = working.commit({"deploy/k.yaml": "2"}, OURS)
    await working.push()
    assert (await ask(source, working, first, last)).written == {}


async def test_a_merge_of_our_commit_is_ours_unless_something_else_comes_with_it(
    source: Source, working: Working
) -> None:
    first = working.commit({"deploy/k.yaml": "1", "app.js": "1"})
    working.git("switch", "--quiet", "--create", "proposal")
    ours = working.commit({"deploy/k.yaml": "2"}, OURS)
    working.git("switch", "--quiet", "main")
    working.git("merge", "--quiet", "--no-ff", "--no-edit", "proposal")
    await working.push()
    merged = working.git("rev-parse", "HEAD")
    assert (await ask(source, working, first, merged)).written == {ours: ROLLOUT}
    for files in ({"app.js": "evil"}, {"deploy/k.yaml": "evil"}):
        working.git("reset", "--quiet", "--hard", first)
        working.git("merge", "--quiet", "--no-ff", "--no-commit", "proposal")
        evil = working.commit(files, "Merge branch 'proposal'")
        await working.push("+HEAD:refs/heads/main")
        assert (await ask(source, working, first, evil)).written == {}


async def test_a_forced_push_that_drops_a_change_is_not_ours_although_its_commit_is(
    source: Source, working: Working
) -> None:
    first = working.commit({"deploy/k.yaml": "1", "app.js": "1"})
    dropped = working.commit({"app.js": "2"})
    await working.push()
    working.git("reset", "--quiet", "--hard", first)
    ours = working.commit({"deploy/k.yaml": "2"}, OURS)
    assert (await ask(source, working, "", dropped)).written == {}
    await working.push("+HEAD:refs/heads/main")
    assert (await ask(source, working, dropped, ours)).written == {}
    assert (await ask(source, working, first, ours)).written == {ours: ROLLOUT}
