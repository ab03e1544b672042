"""How strangers' commits are fetched, with real Git over real HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from activities.source import Source
from model.failure import NotFound, UserFailure
from model.source import ChangesRequest
from tests.gitserver import Remote, Working, serving

REQUEST = "refs/pull/7/head"


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
    return Source(tmp_path / "cache", OneSecret())


def asked(working: Working, before: str, after: str, **changed: object) -> ChangesRequest:
    return ChangesRequest.model_validate(
        {"url": working.url, "ref": REQUEST, "before": before, "after": after, "apart": True, **changed}
    )


async def _requested(working: Working) -> tuple[str, str]:
    """A base that has gone on since the request was made: their commits."""
    working.commit({"web/a": "1", "api/b": "1"})
    await working.push()
    working.git("checkout", "--quiet", "-b", "idea")
    theirs = working.commit({"web/a": "theirs"})
    await working.push(f"HEAD:{REQUEST}")
    working.git("checkout", "--quiet", "main")
    base = working.commit({"docs/c": "1"})
    await working.push()
    return base, theirs


async def test_a_request_s_head_is_fetched_from_the_repository_itself(source: Source, working: Working) -> None:
    base, theirs = await _requested(working)
    found = await source.changes(asked(working, base, theirs, beside="refs/heads/main"))
    assert (found.commit.id, found.superseded) == (theirs, False)
    assert found.paths is not None
    assert "web/a" in found.paths
    assert "api/b" not in found.paths


async def test_no_push_finds_a_stranger_s_commit_among_the_repository_s_own(
    source: Source, working: Working
) -> None:
    """Somebody who can forge an announcement, but not push, gets nothing built on a branch's name."""
    base, theirs = await _requested(working)
    await source.changes(asked(working, base, theirs))
    with pytest.raises(NotFound, match="does not hold"):
        await source.changes(asked(working, base, theirs, ref="refs/heads/main", apart=False))
    kept = await source.changes(asked(working, "", base, ref="refs/heads/main", apart=False))
    assert kept.head == base


@pytest.mark.parametrize("ref", ["refs/pull/7/merge", "refs/changes/7", "refs/pull/7/../../heads/main"])
async def test_no_other_ref_is_asked_for(source: Source, working: Working, ref: str) -> None:
    with pytest.raises(UserFailure, match="ref"):
        await source.changes(asked(working, "", "a" * 40, ref=ref))
