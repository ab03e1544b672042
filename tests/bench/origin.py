"""A repository on the stack's own Git server whose branches move without anybody announcing it."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping

from deploy.local import gitserver
from deploy.local.settings import Settings

_WHO = "Bench <bench@towpath.local> 1790000000 +0000"


class Origin:
    """A bare repository, written where it lies: no push, so no hook.

    Args:
        settings: of the stack.
        name: below the Git server's root, without `.git`.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self.url = f"{settings.git_url}/{name}.git"
        self._folder = gitserver.repositories(settings) / f"{name}.git"
        if not (self._folder / "HEAD").exists():
            self._git("init", "--quiet", "--bare", "--initial-branch=main", "--", str(self._folder))

    def move(self, branches: Iterable[str], files: Mapping[str, str], subject: str) -> dict[str, str]:
        """Commit these files (and nothing else) to every branch; answers the new commit of each."""
        branches = list(branches)
        before = self.heads()
        stream: list[bytes] = []
        for branch in branches:
            message = f"{subject} of {branch}".encode()
            stream.append(f"commit refs/heads/{branch}\ncommitter {_WHO}\n".encode())
            stream.append(b"data %d\n%s\n" % (len(message), message))
            if branch in before:
                stream.append(f"from {before[branch]}\n".encode())
            stream.append(b"deleteall\n")
            for path, text in files.items():
                content = text.encode()
                stream.append(f"M 100644 inline {path}\n".encode())
                stream.append(b"data %d\n%s\n" % (len(content), content))
        self._git(
            f"--git-dir={self._folder}", "fast-import", "--quiet", "--done", given=b"".join(stream) + b"done\n"
        )
        after = self.heads()
        return {branch: after[branch] for branch in branches}

    def heads(self) -> dict[str, str]:
        """Every branch's commit."""
        format_ = "--format=%(refname:lstrip=2) %(objectname)"
        lines = self._git(f"--git-dir={self._folder}", "for-each-ref", format_, "refs/heads").splitlines()
        return {branch: commit for branch, _, commit in (line.partition(" ") for line in lines)}

    def remove(self) -> None:
        """Delete it."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @staticmethod
    def _git(*arguments: str, given: bytes = b"") -> str:
        environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
        done = subprocess.run(
            ["git", *arguments], input=given, env=environment, capture_output=True, timeout=120, check=True
        )
        return done.stdout.decode()
