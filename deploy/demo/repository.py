"""A working copy whose pushes go to the local Git server, as a developer's would."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

AUTHOR = ("Ada Developer", "ada@example.test")
_TIME_LIMIT = 60


class Repository:
    """A clone in a temporary folder; the repository on the server is made by the first push.

    Args:
        url: of the repository on the Git server.
        author: name and e-mail of its commits.
    """

    def __init__(self, url: str, author: tuple[str, str] = AUTHOR) -> None:
        self.url = url
        self.folder = Path(tempfile.mkdtemp(prefix="towpath-demo-"))
        name, email = author
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder.parent),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            **{f"GIT_{role}_NAME": name for role in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{role}_EMAIL": email for role in ("AUTHOR", "COMMITTER")},
        }
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", "--", url)
        if self._exists():
            self.git("fetch", "--quiet", "origin", "main")
            self.git("reset", "--quiet", "--hard", "origin/main")

    def git(self, *arguments: str) -> str:
        """Run git here and return what it printed.

        Raises:
            RuntimeError: it failed; with git's own words.
        """
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_TIME_LIMIT,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"git {arguments[0]} in {self.folder}: {done.stderr.strip()}")
        return done.stdout.strip() or done.stderr.strip()

    def fill(self, source: Path) -> None:
        """Lay the files of a folder over the working copy."""
        shutil.copytree(source, self.folder, dirs_exist_ok=True)

    def write(self, name: str, text: str) -> None:
        """Write one file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self, subject: str) -> str:
        """Commit everything and return the commit's id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={subject}")
        return self.git("rev-parse", "HEAD")

    def push(self, *options: str) -> list[str]:
        """Push the branch and return what the server said of it."""
        said = self.git("push", *options, "origin", "HEAD:refs/heads/main")
        return [line.removeprefix("remote:").strip() for line in said.splitlines() if line.startswith("remote:")]

    def count(self) -> int:
        """How many commits there are; 0 in a new repository."""
        try:
            return int(self.git("rev-list", "--count", "HEAD"))
        except RuntimeError:
            return 0

    def close(self) -> None:
        """Remove the working copy; the repository on the server stays."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _exists(self) -> bool:
        try:
            return bool(self.git("ls-remote", "--heads", "origin", "main"))
        except RuntimeError:
            return False
