"""What a push is asked for, with what was handled before it, on real Git: nothing is lost and nothing done twice,
whatever becomes of the announcements."""

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from activities.source import Source
from model import ledger
from model.failure import NotFound
from model.ledger import Handled, Handling, LedgerState, Recording
from model.push import ZERO_ID
from model.source import Changes, ChangesRequest, touches
from tests.gitserver import Remote, Working, serving
from tests.unit.test_source import NoSecrets

MAIN = "refs/heads/main"
FOLDERS = ("a", "b", "c")
SEEDS = range(12)


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


@dataclass
class Engine:
    """What Delivery does with an announcement, without Temporal: look, start what is touched, put it down."""

    source: Source
    url: str
    state: LedgerState = field(default_factory=lambda: LedgerState(repository="git.test/app"))
    built: list[tuple[str, str]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)

    async def look(self, before: str, after: str, handled: Handled | None = None) -> Changes:
        request = ChangesRequest(
            url=self.url, ref=MAIN, before=before, after=after, leading=True,
            handled=handled or self.state.refs.get(MAIN),
        )  # fmt: skip
        return await self.source.changes(request)

    async def announced(self, before: str, after: str) -> Changes | None:
        try:
            changes = await self.look(before, after)
        except NotFound:
            return None
        if changes.known:
            return changes
        touched = [folder for folder in FOLDERS if touches(changes.paths, folder)]
        self.built += [
            (folder, changes.commit.id) for folder in touched if (folder, changes.commit.id) not in self.built
        ]
        self.put_down(changes)
        return changes

    def put_down(self, changes: Changes) -> None:
        since = self.state.refs[MAIN].number if MAIN in self.state.refs else 0
        handling = Handling(ref=MAIN, commit=changes.commit.id, base=changes.base, since=since)
        ledger.record(self.state, Recording(handlings=(handling,)), now=0)
        self.heads.append(changes.commit.id)

    def built_at(self, folder: str) -> str:
        return [commit for built, commit in self.built if built == folder][-1]


@pytest.fixture
def engine(source: Source, working: Working) -> Engine:
    return Engine(source, working.url)


async def test_what_a_lost_push_brought_is_built_with_the_next_one(engine: Engine, working: Working) -> None:
    first = working.commit({"a/x": "1", "b/x": "1"})
    await working.push()
    await engine.announced(ZERO_ID, first)
    lost = working.commit({"a/x": "2"})
    await working.push()
    last = working.commit({"b/x": "2"})
    await working.push()
    found = await engine.announced(lost, last)
    assert found is not None
    assert found.paths == ("a/x", "b/x")
    assert engine.built_at("a") == last


async def test_a_push_that_comes_late_builds_only_what_nobody_looked_at(engine: Engine, working: Working) -> None:
    """The first announcement that ever comes is of the second push: what the first brought is still to do."""
    base = working.commit({"a/x": "1", "b/x": "1", "c/x": "1"})
    first = working.commit({"a/x": "2"})
    second = working.commit({"b/x": "2"})
    await working.push()
    await engine.announced(first, second)
    assert engine.built == [("b", second)]
    late = await engine.announced(base, first)
    assert late is not None
    assert late.commit.id == second
    assert engine.built == [("b", second), ("a", second)]
    again = await engine.announced(base, first)
    assert again is not None
    assert again.known


async def test_a_creation_that_comes_late_builds_everything(engine: Engine, working: Working) -> None:
    first = working.commit({"a/x": "1"})
    second = working.commit({"b/x": "2"})
    await working.push()
    await engine.announced(first, second)
    late = await engine.announced(ZERO_ID, first)
    assert late is not None
    assert late.paths is None
    assert (await engine.look(ZERO_ID, second)).known


async def test_led_back_by_force_it_is_looked_at_again_and_replays_of_what_was_in_between_are_not(
    engine: Engine, working: Working, tmp_path: Path
) -> None:
    first = working.commit({"a/x": "1", "b/x": "1"})
    await working.push()
    await engine.announced(ZERO_ID, first)
    second = working.commit({"a/x": "2"})
    await working.push()
    await engine.announced(first, second)
    await working.push(f"{first}:{MAIN}", "--force")
    back = await engine.announced(second, first)
    assert back is not None
    assert (back.commit.id, back.paths, back.anew, back.known) == (first, ("a/x",), False, False)
    replayed = await engine.announced(first, second)
    assert replayed is not None
    assert replayed.known
    # Another worker's mirror still holds the ref as it was: it asks the server before it believes an old body.
    stale = Source(tmp_path / "other", NoSecrets())
    await working.push(f"{second}:{MAIN}", "--force")
    await stale.changes(ChangesRequest(url=working.url, ref=MAIN, after=second))
    await working.push(f"{first}:{MAIN}", "--force")
    engine.source = stale
    assert (await engine.look(first, second)).known


async def test_what_was_replaced_by_force_never_comes_in_front_again(engine: Engine, working: Working) -> None:
    base = working.commit({"a/x": "1"})
    await working.push()
    await engine.announced(ZERO_ID, base)
    replaced = working.commit({"a/x": "2"})
    await working.push()
    await engine.announced(base, replaced)
    working.git("reset", "--quiet", "--hard", base)
    instead = working.commit({"b/x": "3"})
    await working.push("HEAD:refs/heads/main", "--force")
    await engine.announced(replaced, instead)
    late = await engine.announced(base, replaced)
    assert late is not None
    assert late.known
    assert engine.heads == [base, replaced, instead]


async def test_a_handled_head_that_is_nowhere_any_more_means_everything(engine: Engine, working: Working) -> None:
    first = working.commit({"a/x": "1"})
    second = working.commit({"b/x": "1"})
    await working.push()
    found = await engine.look(first, second, Handled(commit="d" * 40, base="e" * 40))
    assert (found.paths, found.base, found.known, found.anew) == (None, "", False, False)


async def test_what_is_on_its_way_between_a_servers_machines_is_said_and_not_taken_as_handled(
    engine: Engine, working: Working
) -> None:
    first = working.commit({"a/x": "1"})
    await working.push()
    await engine.announced(ZERO_ID, first)
    with pytest.raises(NotFound) as refused:
        await engine.look(first, "f" * 40)
    assert refused.value.reason == "CommitNotFound"


@pytest.mark.parametrize("seed", SEEDS)
async def test_dropped_doubled_and_shuffled_announcements_end_as_if_all_had_come_in_order(
    seed: int, engine: Engine, working: Working
) -> None:
    dice = random.Random(seed)
    before = working.commit({f"{folder}/x": "0" for folder in FOLDERS})
    await working.push()
    await engine.announced(ZERO_ID, before)
    waiting: list[tuple[str, str]] = []
    last_change = dict.fromkeys(FOLDERS, before)
    order = [before]
    for number in range(6):
        forced = number and dice.random() < 0.2
        if forced:
            working.git("reset", "--quiet", "--hard", "HEAD~1")
        folder = dice.choice(FOLDERS)
        after = working.commit({f"{folder}/x": f"{number}"})
        await working.push("HEAD:refs/heads/main", *(["--force"] if forced else []))
        order.append(after)
        waiting += [(before, after)] * dice.choice((0, 1, 1, 2))
        before = after
        dice.shuffle(waiting)
        while waiting and dice.random() < 0.6:
            await engine.announced(*waiting.pop())
    for announcement in waiting:
        await engine.announced(*announcement)
    known = engine.state.refs[MAIN]
    await engine.announced(known.commit, before)  # The sweep has the last word.
    assert engine.state.refs[MAIN].commit == before, f"seed {seed}"
    for folder in last_change:
        tree = f"{engine.built_at(folder)}:{folder}"
        assert working.git("rev-parse", tree) == working.git("rev-parse", f"HEAD:{folder}"), (
            f"seed {seed}: {folder}"
        )
    assert len(engine.built) == len(set(engine.built)), f"seed {seed}"
    places = [order.index(head) for head in engine.heads]
    assert places == sorted(places), f"seed {seed}: an older head came in front"
    for announcement in [(order[0], order[1]), (order[-2], order[-1])]:
        again = await engine.announced(*announcement)
        assert again is None or again.known, f"seed {seed}"
