"""A build fetches from the declared host only, and so do its credentials."""

import asyncio
from pathlib import Path

import pytest

from deploy.builder import checkout
from deploy.builder.plan import Plan
from deploy.builder.refusal import BuildRefused
from tests.githost import MAIN, PASSWORD, USER, host


@pytest.fixture(autouse=True)
def _credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "username").write_text(USER)
    (folder / "password").write_text(PASSWORD)
    monkeypatch.setattr(checkout, "CREDENTIALS", folder)


async def checked_out(folder: Path, url: str, commit: str) -> Path:
    plan = Plan(url=url, commit=commit, ref=MAIN, kind="dockerfile", image="registry.example/app:1")
    return await asyncio.to_thread(checkout.check_out, plan, folder / "source")


async def test_a_redirect_within_the_host_is_followed(tmp_path: Path) -> None:
    async with host(tmp_path / "server") as (there, url):
        there.moved["/old/app"] = "/team/app.git"
        folder = await checked_out(tmp_path, f"{url}/old/app", there.head)
    assert (folder / "a").read_text() == "1"


async def test_a_redirect_to_another_host_fails_the_build_and_takes_no_credentials_along(tmp_path: Path) -> None:
    async with host(tmp_path / "one") as (here, url), host(tmp_path / "two") as (other, elsewhere):
        other.public = True
        here.moved["/team/app.git"] = f"{elsewhere}/team/app.git"
        with pytest.raises(BuildRefused) as caught:
            await checked_out(tmp_path, f"{url}/team/app.git", here.head)
    assert caught.value.reason == "GitRedirected"
    assert other.seen == []
