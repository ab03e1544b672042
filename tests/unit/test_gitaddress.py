"""Git goes to the declared host only, and so do the credentials for it."""

from pathlib import Path

import pytest

from activities.git import Git
from activities.gitaddress import GitAddress
from activities.mirror import Mirror
from activities.outbound import Outbound
from model.destination import Reach
from model.failure import Failure, UserFailure
from tests.githost import MAIN, PASSWORD, USER, host


def mirror(folder: Path, url: str, program: Git | None = None) -> Mirror:
    (folder / "mirrors").mkdir(parents=True, exist_ok=True)
    return Mirror(program or Git(), folder / "mirrors", url, "default/git", (USER, PASSWORD))


async def test_a_redirect_within_the_host_is_followed_and_remembered(tmp_path: Path) -> None:
    async with host(tmp_path) as (there, url):
        there.moved["/old/app"] = "/team/app.git"
        read = mirror(tmp_path, f"{url}/old/app")
        await read.fetch(MAIN)
        assert await read.head(MAIN)
        there.seen.clear()
        assert await read.offered([MAIN]) == {MAIN}
    assert {path.partition(".git")[0] for path, _ in there.seen} == {"/team/app"}


async def test_a_redirect_to_another_host_is_refused_and_takes_no_credentials_along(tmp_path: Path) -> None:
    async with host(tmp_path / "one") as (here, url), host(tmp_path / "two") as (other, elsewhere):
        # One that asks for nothing is told everything: Git sends its headers with whatever comes after.
        other.public = True
        here.moved["/team/app.git"] = f"{elsewhere}/team/app.git"
        with pytest.raises(UserFailure) as caught:
            await mirror(tmp_path, f"{url}/team/app.git").fetch(MAIN)
    assert caught.value.reason == "GitRedirected"
    assert other.seen == []
    assert PASSWORD not in str(caught.value)


async def test_a_redirect_in_the_middle_of_a_fetch_leads_nowhere(tmp_path: Path) -> None:
    async with host(tmp_path / "one") as (here, url), host(tmp_path / "two") as (other, elsewhere):
        here.moved["/team/app.git/git-upload-pack"] = f"{elsewhere}/team/app.git/git-upload-pack"
        with pytest.raises(Failure):
            await mirror(tmp_path, f"{url}/team/app.git").fetch(MAIN)
    assert other.seen == []


async def test_git_connects_to_the_address_that_was_judged(tmp_path: Path) -> None:
    async def leads(_host: str, _port: int) -> tuple[str, ...]:
        return ("127.0.0.1",)

    async with host(tmp_path) as (there, url):
        port = url.rpartition(":")[2]
        reach = Reach(hosts=("git.invalid",))
        program = Git(reachable=GitAddress(Outbound(reach, leads)))
        # A name that no resolver knows: only what was judged can have led there.
        read = mirror(tmp_path, f"http://git.invalid:{port}/team/app.git", program)
        await read.fetch(MAIN)
    assert there.seen


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://localhost/team/app",
        "ssh://git@127.0.0.1/team/app",
        "git@localhost:team/app",
        "http://[::1]/team/app",
        "http://metadata.google.internal/team/app",
    ],
)
async def test_nothing_is_cloned_from_the_own_machine_or_its_cloud(tmp_path: Path, url: str) -> None:
    program = Git(reachable=GitAddress(Outbound()))
    with pytest.raises(UserFailure) as caught:
        await mirror(tmp_path, url, program).fetch(MAIN)
    assert caught.value.reason in ("AddressRefused", "NameUnknown")


@pytest.mark.parametrize("protocol", ["file", "ext", "git"])
async def test_git_speaks_no_other_protocols(tmp_path: Path, protocol: str) -> None:
    ran = tmp_path / "ran"
    url = f"ext::sh -c touch% {ran}" if protocol == "ext" else f"{protocol}://{tmp_path}"
    output = await Git().run(tmp_path, ("ls-remote", "--", url), url=f"https://127.0.0.1/{protocol}")
    assert output.code != 0
    assert "not allowed" in output.error
    assert not ran.exists()
