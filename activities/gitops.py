"""GitOps repositories: which release runs is written there, taken back there, and proposed there."""

import asyncio
import functools
from pathlib import Path
from typing import Protocol

from temporalio import activity

from activities.git import Git
from activities.gitfile import Content, GitFile, Mark
from activities.heartbeat import beating
from activities.mirror import Mirror
from activities.source import Credentials
from model import gitops, yaml_slot
from model.failure import Conflict, InfrastructureFailure, UserFailure
from model.gitops import Ancestry, MergeRequest, WriteRequest, Written
from model.gitops_policy import GitOps
from model.repository import check_address, check_commit
from model.rollout import RolloutRequest

TRIES = 8
MERGE_LOOK_SECONDS = 5.0


class Proposals(Protocol):
    """Where a branch is proposed to people: a provider's pull or merge requests."""

    async def propose(self, namespace: str, policy: GitOps, branch: str, title: str, body: str) -> str:
        """The address of the request for this branch, opened once however often this is called."""
        ...


class GitOpsRepositories:
    """Writes through the `git` program and the same mirrors as `activities.source`.

    Args:
        cache: folder for the mirrors.
        credentials: looks secrets up.
        program: runs git.
        proposals: opens requests; None where no provider is known, then people open them themselves.
    """

    def __init__(
        self, cache: Path, credentials: Credentials, program: Git | None = None, proposals: Proposals | None = None
    ) -> None:
        self._cache = cache
        self._credentials = credentials
        self._program = program or Git()
        self._proposals = proposals

    @activity.defn(name="gitops.write")
    async def write(self, request: WriteRequest) -> Written:
        """Have the file say the release, in a commit of our own or because it says so already.

        With `reverts` what that commit changed is taken back instead, and where that does not come to the
        release (somebody had written another one before), the release is written with it. Done twice, by
        whichever worker, it is one commit.

        Raises:
            UserFailure: `GitOpsFileUnreadable`, `GitPushRefused`, `GitAuthFailed`.
            NotFound: `RefNotFound`, `RepositoryNotFound`.
            Conflict: `GitOpsRevertConflict`, `GitOpsOverwritten`.
            InfrastructureFailure: `GitUnreachable`, `GitPushContended`, `MirrorBroken`.
        """
        policy = _policy(request.request)
        async with beating():
            mirror = await self._mirror(request.request)
            async with mirror.locked():
                if policy.mode == "pullRequest":
                    written = await self._propose(mirror, request, policy)
                else:
                    written = await self._commit(mirror, request, policy)
            if written.proposal and self._proposals is not None:
                url = await self._propose_to_people(request, policy, written)
                written = written.model_copy(update={"url": url})
            return written

    @activity.defn(name="gitops.merged")
    async def merged(self, asked: MergeRequest) -> Written:
        """Wait until a proposal is on the branch, by whichever way people merge; what Git says then.

        Raises:
            Conflict: `ProposalDeclined`, its branch is gone and it was not merged.
            InfrastructureFailure: `GitUnreachable` and the like; a later try goes on.
        """
        policy = _policy(asked.request)
        mirror = await self._mirror(asked.request)
        async with beating():
            while True:
                async with mirror.locked():
                    found = await self._look_for_merge(mirror, asked, policy)
                if found is not None:
                    return found
                await asyncio.sleep(MERGE_LOOK_SECONDS)

    @activity.defn(name="gitops.withdraw")
    async def withdraw(self, asked: MergeRequest) -> None:
        """Remove a proposal's branch, so that nobody merges what is not wanted any more."""
        policy = _policy(asked.request)
        mirror = await self._mirror(asked.request)
        async with mirror.locked():
            file = GitFile(mirror, policy.branch, policy.path)
            await file.remove(f"refs/heads/{asked.written.proposal}")

    @activity.defn(name="gitops.holds")
    async def holds(self, asked: Ancestry) -> bool:
        """Whether a revision that a controller names holds our commit. Unknown revisions do not.

        Raises:
            InfrastructureFailure: `GitUnreachable`, `MirrorBroken`.
        """
        if asked.commit == asked.revision:
            return True
        policy = _policy(asked.request)
        revision = check_commit(asked.revision)
        mirror = await self._mirror(asked.request)
        async with mirror.locked():
            if not await mirror.has(revision):
                await GitFile(mirror, policy.branch, policy.path).head()
            return await mirror.has(revision) and await mirror.is_ancestor(asked.commit, revision)

    async def _commit(self, mirror: Mirror, request: WriteRequest, policy: GitOps) -> Written:
        file = GitFile(mirror, policy.branch, policy.path)
        for _ in range(TRIES):
            head = await file.head()
            marks = await file.marks(head)
            now = await file.read(head)
            own = await self._own(file, marks, request)
            if own and await self._says(now, request, policy):
                return Written(commit=own, own=True)
            if own:
                raise Conflict(
                    "GitOpsOverwritten",
                    f"{policy.path} of {policy.url} was changed by somebody else after {own[:12]}; "
                    "deploy again to write it once more.",
                )
            text = await self._wanted(file, head, now, request, policy)
            if text == now.text:
                return Written(commit=marks[0].commit if marks else head)
            made = await file.commit(head, now.mode, text, gitops.message(request))
            if await file.push(made):
                return Written(commit=made, own=True)
        raise _contended(policy)

    async def _propose(self, mirror: Mirror, request: WriteRequest, policy: GitOps) -> Written:
        """The same on a branch of its own, which a try before this one may have pushed already."""
        file = GitFile(mirror, policy.branch, policy.path)
        branch = gitops.proposal_branch(request.rollout, request.reverts)
        head = await file.head()
        now = await file.read(head)
        marks = await file.marks(head)
        own = await self._own(file, marks, request)
        if own:
            return Written(commit=own, own=True)
        text = await self._wanted(file, head, now, request, policy)
        if text == now.text:
            return Written(commit=marks[0].commit if marks else head)
        proposal = GitFile(mirror, branch, policy.path)
        if await mirror.offered([proposal.ref]):
            proposed = await proposal.head()
            if await self._own(proposal, await proposal.marks(proposed), request):
                return Written(commit=proposed, own=True, proposal=branch)
            # Ours by its name, and of no use any more: its base has moved.
            await file.remove(proposal.ref)
        made = await file.commit(head, now.mode, text, gitops.message(request))
        if not await file.push(made, proposal.ref):
            raise _contended(policy)
        return Written(commit=made, own=True, proposal=branch)

    async def _look_for_merge(self, mirror: Mirror, asked: MergeRequest, policy: GitOps) -> Written | None:
        file = GitFile(mirror, policy.branch, policy.path)
        head = await file.head()
        if await mirror.is_ancestor(asked.written.commit, head):
            return asked.written.model_copy(update={"proposal": ""})
        request = WriteRequest(rollout=asked.rollout, request=asked.request)
        if await self._says(await file.read(head), request, policy):
            # Squashed or rebased: another commit says the same.
            marks = await file.marks(head)
            return Written(commit=marks[0].commit if marks else head, own=True)
        if not await mirror.offered([f"refs/heads/{asked.written.proposal}"]):
            raise Conflict(
                "ProposalDeclined",
                f"Branch {asked.written.proposal} of {policy.url} is gone without having been merged.",
            )
        return None

    async def _own(self, file: GitFile, marks: list[Mark], request: WriteRequest) -> str:
        """The commit that an earlier try of this very step made; a trailer alone does not make it ours."""
        release = request.request.release.name
        for mark in marks:
            if (mark.rollout, mark.release, mark.reverts) == (request.rollout, release, request.reverts):
                return mark.commit if await file.alone(mark.commit) else ""
        return ""

    async def _wanted(self, file: GitFile, head: str, now: Content, request: WriteRequest, policy: GitOps) -> str:
        text = now.text
        if request.reverts:
            text = await file.without(request.reverts, head)
            if request.request.last_good is None:
                return text
        return await self._edited(text, request, policy)

    @staticmethod
    async def _edited(text: str, request: WriteRequest, policy: GitOps) -> str:
        release, environment = request.request.release, request.request.target.step.environment
        edit = functools.partial(yaml_slot.edited, text, policy, release, environment)
        return await asyncio.to_thread(edit)

    async def _says(self, now: Content, request: WriteRequest, policy: GitOps) -> bool:
        if request.reverts and request.request.last_good is None:
            return True
        release, environment = request.request.release, request.request.target.step.environment
        said = await asyncio.to_thread(yaml_slot.current, now.text, policy, release, environment)
        return said == yaml_slot.wanted(policy, release)

    async def _propose_to_people(self, request: WriteRequest, policy: GitOps, written: Written) -> str:
        assert self._proposals is not None  # noqa: S101  (the caller has looked)
        title, _, body = gitops.message(request).partition("\n\n")
        namespace = request.request.target.component.key.namespace
        return await self._proposals.propose(namespace, policy, written.proposal, title, body)

    async def _mirror(self, request: RolloutRequest) -> Mirror:
        policy = _policy(request)
        url = check_address(policy.url)
        namespace = request.target.component.key.namespace
        if not policy.secret:
            return Mirror(self._program, self._cache, url, "", None)
        basic = await self._credentials.basic(namespace, policy.secret)
        return Mirror(self._program, self._cache, url, f"{namespace}/{policy.secret}", basic)


def _policy(request: RolloutRequest) -> GitOps:
    policy = request.target.step.policy.gitops
    if policy is None:
        raise UserFailure("NotGitOps", "This environment is not owned by GitOps.")
    return policy


def _contended(policy: GitOps) -> InfrastructureFailure:
    return InfrastructureFailure(
        "GitPushContended", f"Others push to {policy.branch} of {policy.url} all the time; it is tried again."
    )
