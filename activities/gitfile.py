"""One file of one branch of a repository, read and written through a mirror, without a working copy."""

import re
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from activities import git
from activities.mirror import Mirror
from model.failure import Conflict, InfrastructureFailure, UserFailure
from model.gitops import COMMITTER, RELEASE_TRAILER, REVERTS_TRAILER, ROLLOUT_TRAILER
from model.repository import check_commit, check_ref
from model.resources.gitops import FILE

FILE_LIMIT = 256 * 1024
LOOKED_BACK = 200
# Somebody else's push came between our fetch and our push: look again.
_RACED = re.compile(
    r"fetch first|non-fast-forward|cannot lock ref|incorrect old value|stale info|failed to update ref"
)
_MODES = ("100644", "100755")


class Content(NamedTuple):
    """A file as a commit has it: Git's mode and its text."""

    mode: str
    text: str


class Mark(NamedTuple):
    """A commit that changed the file, with our trailers (empty where it is not ours)."""

    commit: str
    rollout: str
    release: str
    reverts: str


class GitFile:
    """Reads and writes `path` on `branch`. Hold the mirror's lock around all of it.

    Raises:
        UserFailure: `InvalidManifest`, `BadRef`: a path or branch that must not reach Git.
    """

    def __init__(self, mirror: Mirror, branch: str, path: str) -> None:
        if not re.fullmatch(FILE, path) or {"..", ".", ".git"} & set(path.split("/")):
            raise UserFailure("InvalidManifest", f"spec.gitops.path: {path[:80]!r} is not a file's path.")
        self._mirror = mirror
        self._path = path
        self.ref = check_ref(f"refs/heads/{branch}")

    async def head(self) -> str:
        """The branch's head as the server has it now.

        Raises:
            NotFound: `RefNotFound`, `RepositoryNotFound`.
            UserFailure: `GitAuthFailed`.
            InfrastructureFailure: `GitUnreachable`.
        """
        await self._mirror.fetch(self.ref)
        return await self._mirror.head(self.ref)

    async def read(self, commit: str) -> Content:
        """The file at a commit. Symbolic links are not followed.

        Raises:
            UserFailure: `GitOpsFileUnreadable`.
        """
        listed = await self._mirror.call("ls-tree", "-z", "--full-tree", check_commit(commit), "--", self._path)
        mode, _, rest = listed.text.decode(errors="replace").partition(" ")
        kind, _, rest = rest.partition(" ")
        blob = rest.partition("\t")[0]
        if listed.code != 0 or kind != "blob":
            raise self._unreadable("there is no such file on the branch; put it there first")
        if mode not in _MODES:
            raise self._unreadable("it is no plain file")
        size = await self._mirror.call("cat-file", "-s", blob)
        if size.code != 0 or int(size.text) > FILE_LIMIT:
            raise self._unreadable(f"it is larger than {FILE_LIMIT // 1024} KiB")
        content = await self._mirror.call("cat-file", "blob", blob)
        if content.code != 0:
            raise self._broken(content)
        try:
            return Content(mode, content.text.decode())
        except UnicodeDecodeError:
            raise self._unreadable("it is not UTF-8 text") from None

    async def marks(self, head: str) -> list[Mark]:
        """The newest commits that changed the file, newest first."""
        trailers = "%x00".join(
            f"%(trailers:key={key},valueonly,separator=%x2C)"
            for key in (ROLLOUT_TRAILER, RELEASE_TRAILER, REVERTS_TRAILER)
        )
        output = await self._mirror.call(
            "log",
            f"--max-count={LOOKED_BACK}",
            f"--format=%H%x00{trailers}%x00",
            check_commit(head),
            "--",
            self._path,
        )
        if output.code != 0:
            raise self._broken(output)
        fields = [part.strip("\n") for part in output.text.decode(errors="replace").split("\0")]
        return [Mark(*fields[start : start + 4]) for start in range(0, len(fields) - 3, 4)]

    async def alone(self, commit: str) -> bool:
        """Whether a commit has one parent and changes this file and nothing else."""
        output = await self._mirror.call(
            "diff-tree", "-r", "-z", "--no-commit-id", "--name-only", "--no-renames", check_commit(commit), "--"
        )
        return output.code == 0 and output.text == self._path.encode() + b"\0"

    async def parent(self, commit: str) -> str:
        """A commit's first parent.

        Raises:
            Conflict: `GitOpsRevertConflict`, it has none.
        """
        output = await self._mirror.call(
            "rev-parse", "--verify", "--quiet", f"{check_commit(commit)}^1^{{commit}}"
        )
        if output.code != 0:
            raise Conflict("GitOpsRevertConflict", f"{commit} has no parent to go back to.")
        return output.text.decode().strip()

    async def without(self, commit: str, head: str) -> str:
        """The file at `head` with what `commit` changed in it taken back, as `git revert` would.

        Raises:
            Conflict: `GitOpsRevertConflict`, somebody has changed the same lines since.
        """
        now, then = await self.read(head), await self.read(commit)
        before = await self.read(await self.parent(commit))
        if now.text == then.text:
            return before.text
        with tempfile.TemporaryDirectory() as folder:
            names = []
            for name, content in (("now", now), ("then", then), ("before", before)):
                place = Path(folder) / name
                place.write_bytes(content.text.encode())
                names.append(str(place))
            merged = await self._mirror.call("merge-file", "--stdout", "--quiet", *names)
        if merged.code != 0 or merged.cut:
            raise Conflict(
                "GitOpsRevertConflict",
                f"{self._path} of {self._mirror.url} was changed after {commit[:12]}, where that changed it: "
                "put it right by hand, then `towpath resume`.",
            )
        return merged.text.decode()

    async def commit(self, parent: str, mode: str, text: str, message: str) -> str:
        """A commit on top of `parent` that changes this file alone; nobody sees it before it is pushed."""
        ref = "refs/towpath/draft"
        content, said = text.encode(), message.encode()
        who = f"{COMMITTER[0]} <{COMMITTER[1]}> {int(time.time())} +0000"
        stream = b"".join(
            (
                f"commit {ref}\nauthor {who}\ncommitter {who}\ndata {len(said)}\n".encode(),
                said,
                f"\nfrom {check_commit(parent)}\nM {mode} inline {self._path}\ndata {len(content)}\n".encode(),
                content,
                b"\ndone\n",
            )
        )
        output = await self._mirror.call("fast-import", "--quiet", "--force", "--done", stdin=stream)
        if output.code != 0:
            raise self._broken(output)
        made = await self._mirror.call("rev-parse", "--verify", ref)
        return check_commit(made.text.decode().strip())

    async def push(self, commit: str, ref: str = "") -> bool:
        """Put a commit on the branch (or another ref); False when somebody was quicker.

        Raises:
            UserFailure: `GitPushRefused`, `GitAuthFailed`.
            InfrastructureFailure: `GitUnreachable`.
        """
        target = check_ref(ref) if ref else self.ref
        output = await self._mirror.call(
            *("push", "--porcelain", "--no-verify", "--", self._mirror.url, f"{check_commit(commit)}:{target}"),
            remote=True,
        )
        if output.code == 0:
            return True
        said = output.text.decode(errors="replace") + output.error
        if _RACED.search(said):
            return False
        if "[remote rejected]" in said or "[rejected]" in said:
            why = next((line for line in said.splitlines() if "rejected]" in line), "").strip()[:200]
            raise UserFailure(
                "GitPushRefused",
                f"{self._mirror.url} does not take a commit on {target} ({why}); is the branch protected? "
                "Then use `mode: pullRequest`.",
            )
        raise git.failure(output, self._mirror.url, target)

    async def remove(self, ref: str) -> None:
        """Delete another ref on the server; one that is not there is fine.

        Raises:
            UserFailure: `GitAuthFailed`.
            InfrastructureFailure: `GitUnreachable`.
        """
        if not await self._mirror.offered([ref]):
            return
        output = await self._mirror.call(
            "push", "--porcelain", "--no-verify", "--", self._mirror.url, f":{check_ref(ref)}", remote=True
        )
        if output.code != 0:
            raise git.failure(output, self._mirror.url, ref)

    def _unreadable(self, why: str) -> UserFailure:
        return UserFailure("GitOpsFileUnreadable", f"{self._path} of {self._mirror.url}: {why}.")

    def _broken(self, output: git.Output) -> InfrastructureFailure:
        return InfrastructureFailure(
            "MirrorBroken", f"The mirror of {self._mirror.url} cannot be used ({output.error[:200].strip()})."
        )
