"""Writing releases to a real Git repository: once each, nothing else, and back again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from temporalio.testing import ActivityEnvironment

from activities.gitops import GitOpsRepositories
from model.failure import Conflict, NotFound, UserFailure
from model.gitops import Ancestry, MergeRequest, WriteRequest, Written
from model.gitops_policy import Controller, GitOps
from model.pipeline import EnvironmentStep
from model.policy import StepPolicy
from model.release import Release
from model.rollout import RolloutRequest, Target
from tests.gitserver import Remote, Working, serving
from tests.workflows.world import COMPONENT, release

ROLLOUT = "rollout/default/hello/production/1"
FILE = "apps/kustomization.yaml"
BEGIN = f"""\
# what runs
images:
  - name: hello
    newName: registry.test/default/default/hello
    digest: {release(1).digest} # now
resources: [deployment.yaml]
"""


class NoSecrets:
    async def basic(self, _namespace: str, _secret: str) -> tuple[str, str] | None:
        raise NotFound("SecretNotFound", "none")


class Site:
    """A GitOps repository, and somebody who works on it too."""

    def __init__(self, folder: Path, remote: Remote) -> None:
        self.remote = remote
        self.person: Working = remote.clone(folder / "person", "ops")
        self.activities = GitOpsRepositories(folder / "mirrors", NoSecrets())
        self.policy: dict[str, Any] = {
            "url": f"{remote.url}/ops.git", "path": FILE, "write": "kustomizeImage", "image": "hello",
            "controller": Controller(name="apps", namespace="flux-system"),
        }  # fmt: skip

    def request(self, to: Release, last_good: Release | None = None, **policy: Any) -> RolloutRequest:
        rules = StepPolicy(gitops=GitOps.model_validate({**self.policy, **policy}))
        step = EnvironmentStep(environment="production", policy=rules)
        target = Target(component=COMPONENT, step=step, namespace="dp")
        return RolloutRequest(target=target, release=to, revision=1, last_good=last_good)

    async def write(self, to: Release, rollout: str = ROLLOUT, reverts: str = "", **more: Any) -> Written:
        request = WriteRequest(rollout=rollout, request=self.request(to, **more), reverts=reverts)
        return await ActivityEnvironment().run(self.activities.write, request)

    def git(self, *arguments: str) -> str:
        """Ask the server's own repository."""
        return self.person.git(f"--git-dir={self.remote.root / 'ops.git'}", *arguments)

    def file(self, revision: str = "main") -> str:
        return self.git("show", f"{revision}:{FILE}") + "\n"

    def commits(self) -> list[str]:
        return self.git("log", "--format=%H", "main").splitlines()

    async def fetch(self, branch: str) -> None:
        """Without blocking the server, which is in this process."""
        await asyncio.to_thread(self.person.git, "fetch", "--quiet", self.person.url, branch)

    async def pushed(self, files: dict[str, str], message: str = "by a person") -> str:
        """Somebody else's commit on top of what is there."""
        await self.fetch("main")
        self.person.git("reset", "--quiet", "--hard", "FETCH_HEAD")
        commit = self.person.commit(files, message)
        await self.person.push()
        return commit


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with serving(tmp_path / "server") as remote:
        site = Site(tmp_path, remote)
        site.person.commit({FILE: BEGIN, "README.md": "ours"}, "begin")
        await site.person.push()
        yield site


async def test_a_release_is_one_commit_that_changes_the_digest_alone(site: Site) -> None:
    written = await site.write(release(2))
    assert site.file() == BEGIN.replace(release(1).digest, release(2).digest)
    assert site.commits()[0] == written.commit
    assert site.git("diff", "--name-only", "main^", "main") == FILE
    body = site.git("log", "-1", "--format=%cn%n%B", "main")
    assert body.startswith("Towpath\n")
    assert f"Towpath-Release: {release(2).name}\nTowpath-Rollout: {ROLLOUT}" in body


async def test_a_worker_that_died_after_its_push_makes_no_second_commit(site: Site) -> None:
    first = await site.write(release(2))
    await site.pushed({"README.md": "more"})
    again = await site.write(release(2))
    assert again == first
    assert len(site.commits()) == 3


async def test_a_file_that_says_so_already_is_left_alone_and_is_not_ours(site: Site) -> None:
    written = await site.write(release(1))
    assert written == Written(commit=site.commits()[0], own=False)
    assert len(site.commits()) == 1


async def test_pushes_that_race_are_all_kept(site: Site) -> None:
    others = [site.write(release(number), f"rollout/{number}") for number in range(2, 6)]
    written, _ = await asyncio.gather(asyncio.gather(*others), _person_pushes(site))
    assert all(made.own for made in written)
    assert len(site.commits()) == 1 + 4 + 1
    assert "by a person" in site.git("log", "--format=%s", "main")


async def _person_pushes(site: Site) -> None:
    for _ in range(20):
        try:
            await site.pushed({"NOTES.md": "a note"})
            return
        except Exception:  # noqa: S112  (git refused: somebody was quicker)
            continue
    raise AssertionError("a person never got through")


async def test_going_back_reverts_our_commit_and_keeps_what_others_wrote_since(site: Site) -> None:
    written = await site.write(release(2))
    await site.pushed({FILE: site.file().replace("# what runs", "# what really runs"), "README.md": "new"})
    back = await site.write(release(1), reverts=written.commit, last_good=release(1))
    assert back.own
    assert site.file() == BEGIN.replace("# what runs", "# what really runs")
    assert site.git("show", "main:README.md") == "new"
    assert await site.write(release(1), reverts=written.commit, last_good=release(1)) == back
    assert len(site.commits()) == 4


async def test_a_revert_that_meets_somebody_elses_change_of_the_same_line_stops_and_says_so(site: Site) -> None:
    written = await site.write(release(2))
    await site.pushed({FILE: site.file().replace(release(2).digest, release(3).digest)})
    with pytest.raises(Conflict) as refused:
        await site.write(release(1), reverts=written.commit, last_good=release(1))
    assert refused.value.reason == "GitOpsRevertConflict"
    assert release(3).digest in site.file()


async def test_going_back_means_to_the_last_good_release_whatever_git_said_before(site: Site) -> None:
    await site.pushed({FILE: BEGIN.replace(release(1).digest, release(9).digest)})
    written = await site.write(release(2))
    await site.write(release(1), reverts=written.commit, last_good=release(1))
    assert site.file() == BEGIN


async def test_a_first_release_that_fails_is_taken_back_as_well(site: Site) -> None:
    written = await site.write(release(2))
    await site.write(release(2), reverts=written.commit)
    assert site.file() == BEGIN


async def test_a_release_that_somebody_overwrote_is_not_fought_over(site: Site) -> None:
    await site.write(release(2))
    await site.pushed({FILE: BEGIN})
    with pytest.raises(Conflict) as refused:
        await site.write(release(2))
    assert refused.value.reason == "GitOpsOverwritten"


async def test_forged_trailers_do_not_make_a_commit_ours(site: Site) -> None:
    forged = BEGIN.replace(release(1).digest, release(2).digest)
    trailers = f"x\n\nTowpath-Release: {release(2).name}\nTowpath-Rollout: {ROLLOUT}"
    await site.pushed({FILE: forged, "deploy.sh": "curl evil"}, trailers)
    assert not (await site.write(release(2))).own


async def test_only_plain_small_files_of_the_repository_are_touched(site: Site) -> None:
    (site.person.folder / "link.yaml").symlink_to("apps/kustomization.yaml")
    (site.person.folder / "folder").symlink_to("apps")
    await site.pushed({"large.yaml": "a: " + "x" * 300_000})
    before = site.commits()
    reasons: dict[str, str] = {}
    outside = ("../up.yaml", "a/../../b", "-x", "a b", ".git/config", "a/.git/config", "/etc/passwd")
    inside = ("absent.yaml", "apps", "link.yaml", "folder/kustomization.yaml", "large.yaml")
    for path in (*outside, *inside):
        with pytest.raises(UserFailure) as refused:
            await site.write(release(2), path=path)
        reasons[path] = refused.value.reason
    assert {reasons[path] for path in outside} == {"InvalidManifest"}
    assert {reasons[path] for path in inside} == {"GitOpsFileUnreadable"}
    assert site.commits() == before


async def test_a_branch_that_takes_no_commits_is_said(site: Site) -> None:
    hook = site.remote.root.parent / "hooks" / "update"
    hook.write_text("#!/bin/sh\necho no >&2; exit 1\n")
    hook.chmod(0o755)
    with pytest.raises(UserFailure, match="pullRequest") as refused:
        await site.write(release(2))
    assert refused.value.reason == "GitPushRefused"


@pytest.mark.parametrize("way", ["merge", "squash", "fast-forward"])
async def test_a_proposal_waits_for_a_person_however_it_is_merged(site: Site, way: str) -> None:
    written = await site.write(release(2), mode="pullRequest")
    assert await site.write(release(2), mode="pullRequest") == written
    assert site.file() == BEGIN
    request = site.request(release(2), mode="pullRequest")
    asked = MergeRequest(rollout=ROLLOUT, request=request, written=written)
    waiting = asyncio.create_task(ActivityEnvironment().run(site.activities.merged, asked))
    await site.pushed({"README.md": "meanwhile"} if way != "fast-forward" else {})
    await site.fetch(written.proposal)
    if way == "squash":
        site.person.git("merge", "--quiet", "--squash", "FETCH_HEAD")
        site.person.git("commit", "--quiet", "-m", "squashed")
    else:
        site.person.git("merge", "--quiet", "--no-edit", "FETCH_HEAD")
    await site.person.push()
    merged = await waiting
    assert merged.own
    assert not merged.proposal
    asked_holds = Ancestry(request=request, commit=merged.commit, revision=site.commits()[0])
    assert await ActivityEnvironment().run(site.activities.holds, asked_holds)


async def test_a_declined_proposal_is_told_and_a_withdrawn_one_is_gone(site: Site) -> None:
    written = await site.write(release(2), mode="pullRequest")
    asked = MergeRequest(rollout=ROLLOUT, request=site.request(release(2), mode="pullRequest"), written=written)
    await ActivityEnvironment().run(site.activities.withdraw, asked)
    await ActivityEnvironment().run(site.activities.withdraw, asked)
    assert site.git("branch", "--format=%(refname:short)").split() == ["main"]
    with pytest.raises(Conflict) as declined:
        await ActivityEnvironment().run(site.activities.merged, asked)
    assert declined.value.reason == "ProposalDeclined"


async def test_a_revision_that_does_not_hold_our_commit_is_told_from_one_that_does(site: Site) -> None:
    before = site.commits()[0]
    written = await site.write(release(2))
    later = await site.pushed({"README.md": "later"})
    request = site.request(release(2))
    for revision, holds in ((before, False), (written.commit, True), (later, True), ("0" * 39 + "1", False)):
        asked = Ancestry(request=request, commit=written.commit, revision=revision)
        assert await ActivityEnvironment().run(site.activities.holds, asked) is holds


def test_the_files_here_are_yaml() -> None:
    assert yaml.safe_load(BEGIN)["images"]
