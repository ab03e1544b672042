"""A bare copy of one repository, kept between pushes so that each fetch is small."""

import asyncio
import fcntl
import hashlib
import os
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from activities import git
from activities.git import Git
from model.change_ref import check_fetched
from model.failure import InfrastructureFailure, UserFailure
from model.gitops import ROLLOUT_TRAILER, trailer_value
from model.repository import check_commit, check_ref, normalise

_SCHEMES = ("http", "https", "ssh")
_LOCK_POLL_SECONDS = 0.02
_ROLLOUT = f"%(trailers:key={ROLLOUT_TRAILER},valueonly,separator=%x2C)"
WRITTEN_LIMIT = 20


class Described(NamedTuple):
    """A commit's author, first line and whole message. `claimed`: it may be our own write to a GitOps
    repository."""

    author: str
    email: str
    subject: str
    merge: bool
    claimed: bool
    message: str


class Mirror:
    """One repository as one set of credentials sees it.

    Args:
        program: runs git.
        cache: folder with all mirrors; several processes may share it.
        url: a checked address.
        owner: whose credentials are used, empty for none. Mirrors are told apart by it: what a secret
            opened is not shown to those who do not hold the secret.
        basic: user and password.
        contents: whether what is in the files is wanted as well. Where it is not, servers that can (all that
            matter) leave it out, which makes the first fetch of a big repository small.
    """

    def __init__(
        self,
        program: Git,
        cache: Path,
        url: str,
        owner: str,
        basic: tuple[str, str] | None,
        contents: bool = True,
    ) -> None:
        self._program = program
        self._url = url
        self._basic = basic
        self._options = () if contents else ("--filter=blob:none",)
        kind = "" if contents else "\0trees"
        name = hashlib.sha256(f"{normalise(url)}\0{owner}{kind}".encode()).hexdigest()[:32]
        self.folder = cache / f"{name}.git"

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Hold the mirror alone, so that pushes of one moment share one fetch."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    # A blocking call could not be cancelled.
                    await asyncio.sleep(_LOCK_POLL_SECONDS)
            yield
        finally:
            os.close(descriptor)

    async def offered(self, refs: Collection[str]) -> set[str]:
        """Which of the refs the server has.

        Raises:
            NotFound: `RepositoryNotFound`.
            UserFailure: `GitAuthFailed`.
            InfrastructureFailure: `GitUnreachable`.
        """
        if not (self.folder / "HEAD").exists():
            await self._create()
        wanted = sorted(check_fetched(ref) for ref in refs)
        output = await self._program.run(
            self.folder, ("ls-remote", "--quiet", "--", self._url, *wanted), self._basic, self._url
        )
        if output.code != 0:
            raise git.failure(output, self._url, wanted[0])
        # Patterns also match the ends of longer names.
        return {line.partition("\t")[2] for line in output.text.decode().splitlines()} & set(wanted)

    async def heads(self, limit: int) -> dict[str, str]:
        """The server's branches and tags with the commits that they lead to. Names that Git accepts and we do not
        are left out.

        Raises:
            NotFound: `RepositoryNotFound`.
            UserFailure: `GitAuthFailed`, or `TooManyRefs`.
            InfrastructureFailure: `GitUnreachable`.
        """
        if not (self.folder / "HEAD").exists():
            await self._create()
        arguments = ("ls-remote", "--quiet", "--heads", "--tags", "--", self._url)
        output = await self._program.run(self.folder, arguments, self._basic, self._url)
        if output.code != 0:
            raise git.failure(output, self._url, "its refs")
        found: dict[str, str] = {}
        for line in output.text.decode(errors="replace").splitlines():
            commit, _, name = line.partition("\t")
            # An annotated tag comes twice, the second time with what it stands for.
            with suppress(UserFailure):
                found[check_ref(name.removesuffix("^{}"))] = check_commit(commit)
        if output.cut or len(found) > limit:
            raise UserFailure(
                "TooManyRefs", f"{self._url} has more than {limit} branches and tags; delete those nobody needs."
            )
        return found

    async def fetch(self, *refs: str) -> None:
        """Bring refs and their history here. Hold the lock.

        Raises:
            NotFound: `RefNotFound`, `RepositoryNotFound`.
            UserFailure: `GitAuthFailed`.
            InfrastructureFailure: `GitUnreachable`.
        """
        wanted = [check_fetched(ref) for ref in refs]
        if not (self.folder / "HEAD").exists():
            await self._create()
        output = await self._program.run(
            self.folder,
            (
                *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"),
                *self._options,
                *("--", self._url, *(f"+{ref}:{ref}" for ref in wanted)),
            ),
            self._basic,
            self._url,
        )
        if output.code != 0:
            raise git.failure(output, self._url, wanted[0])

    async def tidy(self) -> None:
        """Pack what fetches have piled up, if it is much. Hold the lock."""
        await self._call("maintenance", "run", "--auto", "--quiet")

    async def head(self, ref: str) -> str:
        """The commit that the ref pointed to when it was fetched last; empty when it never was."""
        check_fetched(ref)
        if not (self.folder / "HEAD").exists():
            return ""
        with suppress(OSError, UserFailure):
            # What a fetch has just written: reading the file spares a process.
            if ref.startswith("refs/heads/"):
                return check_commit((self.folder / ref).read_text().strip())
        # A tag may be an object of its own: the commit is what it stands for.
        output = await self._call("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        return output.text.decode().strip() if output.code == 0 else ""

    async def peel(self, name: str) -> str:
        """The commit that an annotated tag's own id stands for; any other id itself."""
        check_commit(name)
        output = await self._call("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        return output.text.decode().strip() if output.code == 0 else name

    async def has(self, commit: str) -> bool:
        """Whether the commit is here, with its tree."""
        check_commit(commit)
        return (await self._call("cat-file", "-e", f"{commit}^{{tree}}")).code == 0

    async def came(self, commit: str) -> bool:
        """Whether the commit came here with a ref. The server is not asked: it may hand out commits that no ref of
        the repository leads to, such as those of forks."""
        offline = (part for scheme in _SCHEMES for part in ("-c", f"protocol.{scheme}.allow=never"))
        return (await self._call(*offline, "cat-file", "-e", f"{check_commit(commit)}^{{commit}}")).code == 0

    async def describe(self, commit: str) -> Described:
        """Who wrote a commit and what they say of it, as it was written.

        Raises:
            InfrastructureFailure: `MirrorBroken`.
        """
        check_commit(commit)
        form = f"--format=%aN%x00%aE%x00%s%x00%P%x00{_ROLLOUT}%x00%B"
        output = await self._call("log", "-1", "--no-show-signature", form, commit, "--")
        fields = output.text.decode(errors="replace").rstrip("\n").split("\0")
        if output.code != 0 or len(fields) != 6:
            raise self._broken(output)
        merge = " " in fields[3]
        return Described(fields[0], fields[1], fields[2], merge, merge or bool(fields[4].strip()), fields[5])

    async def written(self, before: str, after: str, paths: tuple[str, ...]) -> dict[str, str]:
        """The commits since `before` with the rollouts that their trailers name, when all of them name one and
        nothing else came along; else none.

        A merge may bring them in. Of `paths` (all that differs) each must have been changed by one of them, and be
        as it left it: so nothing else came along, and nothing was dropped by force. Whether the rollouts really
        made them is for these to say: a trailer is only a claim.

        Raises:
            InfrastructureFailure: `MirrorBroken`.
        """
        output = await self._call(
            *("log", "--no-merges", f"--max-count={WRITTEN_LIMIT + 1}", f"--format=%H%x00{_ROLLOUT}%x00"),
            *(f"{check_commit(before)}..{check_commit(after)}", "--"),
        )
        if output.code != 0:
            raise self._broken(output)
        fields = [field.strip("\n") for field in output.text.decode(errors="replace").split("\0")]
        found = {
            commit: trailer_value(rollout) for commit, rollout in zip(fields[:-1:2], fields[1::2], strict=True)
        }
        if not found or len(found) > WRITTEN_LIMIT or not all(found.values()):
            return {}
        accounted: set[str] = set()
        for commit in found:
            own = await self._call("diff-tree", "-r", "-z", "--no-commit-id", "--name-only", commit, "--")
            since = await self._call("diff-tree", "-r", "-z", "--name-only", commit, after, "--")
            if own.code != 0 or since.code != 0 or own.cut or since.cut:
                return {}
            accounted |= _names(own) - _names(since)
        return found if set(paths) <= accounted else {}

    async def is_ancestor(self, commit: str, head: str) -> bool:
        """Whether `head` holds `commit` in its history.

        Raises:
            InfrastructureFailure: `MirrorBroken`.
        """
        output = await self._call("merge-base", "--is-ancestor", check_commit(commit), check_commit(head))
        if output.code not in (0, 1):
            raise self._broken(output)
        return output.code == 0

    async def changed(self, before: str, after: str, limit: int) -> tuple[str, ...] | None:
        """The paths in which two trees differ; None when there are more than `limit`, or `before` is not here.

        Trees are compared and not commits, so it is right after a forced push as well.

        Raises:
            InfrastructureFailure: `MirrorBroken`.
        """
        output, known = await asyncio.gather(
            self._call(
                *("diff-tree", "-r", "-z", "--name-only", "--no-renames"),
                *(check_commit(before), check_commit(after), "--"),
            ),
            self.has(before),
        )
        if not known:
            return None
        if output.code != 0:
            raise self._broken(output)
        paths = tuple(path.decode(errors="replace") for path in output.text.split(b"\0") if path)
        return None if output.cut or len(paths) > limit else paths

    async def call(self, *arguments: str, stdin: bytes | None = None, remote: bool = False) -> git.Output:
        """Any git command here; a `remote` one gets the credentials. Hold the lock when it writes."""
        basic, url = (self._basic, self._url) if remote else (None, "")
        return await self._program.run(self.folder, arguments, basic, url, stdin)

    @property
    def url(self) -> str:
        """The repository's address."""
        return self._url

    async def _create(self) -> None:
        output = await self._call("init", "--quiet", "--bare")
        if output.code != 0:
            raise self._broken(output)

    async def _call(self, *arguments: str) -> git.Output:
        return await self._program.run(self.folder, arguments)

    def _broken(self, output: git.Output) -> InfrastructureFailure:
        return InfrastructureFailure(
            "MirrorBroken",
            f"The mirror of {self._url} cannot be read ({output.error[:200].strip()}); "
            f"delete {self.folder.name} in the worker's source cache.",
        )


def _names(output: git.Output) -> set[str]:
    return {name.decode(errors="replace") for name in output.text.split(b"\0") if name}
