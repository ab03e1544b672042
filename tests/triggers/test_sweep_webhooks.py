"""When a webhook leads to a look at the repository itself, and not to what it says."""

from pathlib import Path

from model import ids
from model.push import Push
from model.sweep import SweepRequest
from tests.triggers.fakes import COMMIT, OLDER
from tests.triggers.serving import Parts, git_push, post_git, serving
from triggers.webhooks.receiver import REFS_LIMIT, gathered

MAIN = "refs/heads/main"
REPOSITORY = "git.example/team/hello-world"


def looks(parts: Parts) -> dict[str, SweepRequest]:
    return {name: event for name, event in parts.starter.events.items() if isinstance(event, SweepRequest)}


async def test_a_push_whose_commit_was_announced_before_leads_to_a_look_at_its_ref(tmp_path: Path) -> None:
    """A, B, then A again from a sender that does not say force: the id is that of the first."""
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        await post_git(client, git_push(), X_Towpath_Delivery="one")
        assert looks(parts) == {}
        back = await post_git(client, git_push(before="3" * 40), X_Towpath_Delivery="three")
    assert (back.status_code, back.json()["duplicate"]) == (202, True)
    [(name, look)] = looks(parts).items()
    assert name == ids.sweep(REPOSITORY, f"duplicate/{MAIN}/three")
    assert (look.refs, look.because, look.delivery, look.before) == ((MAIN,), "duplicate", "three", "3" * 40)
    assert len(parts.starter.started) == 1


async def test_when_the_look_cannot_be_stored_the_sender_is_told_to_come_again(tmp_path: Path) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        await post_git(client, git_push())
        parts.starter.down_for = SweepRequest
        refused = await post_git(client, git_push())
        parts.starter.down_for = None
        again = await post_git(client, git_push())
    assert (refused.status_code, again.status_code) == (503, 202)
    assert len(looks(parts)) == 1


def push(number: int) -> Push:
    return Push(
        provider="bitbucket",
        delivery="d",
        repository=REPOSITORY,
        url=f"https://{REPOSITORY}.git",
        ref=f"refs/heads/{number}",
        before=OLDER,
        after=COMMIT,
        sequence=number,
    )


def test_many_refs_in_one_delivery_become_one_look_at_all_of_them() -> None:
    few = [push(number) for number in range(REFS_LIMIT)]
    assert gathered(list(few)) == few
    [look] = gathered([*few, push(REFS_LIMIT)])
    assert isinstance(look, SweepRequest)
    assert (look.because, len(look.refs), look.delivery) == ("many", REFS_LIMIT + 1, "d")
    [all_of_them] = gathered([push(number) for number in range(5000)])
    assert isinstance(all_of_them, SweepRequest)
    assert all_of_them.refs == (), "too many to be named: the whole repository is looked at"
