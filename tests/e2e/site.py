"""Where an end-to-end test happens: the running stack, and a namespace that is this session's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from deploy.demo.observer import Observer
from deploy.local import gitserver
from deploy.local.exports import exports
from deploy.local.settings import Settings
from deploy.local.stack import Stack
from tests.e2e.runs import Runs
from tests.e2e.sender import Sender

BUILD_PLANE = "towpath-build-plane"
DELETED_SECONDS = 60


class Site:
    """Real parts only, and what a user has to look at them: the API, kubectl, Git, Temporal's client."""

    def __init__(self, stack: Stack, runs: Runs, namespace: str) -> None:
        told = exports(stack.settings)
        self.stack = stack
        self.settings: Settings = stack.settings
        self.environment = {**os.environ, **told, "PATH": os.pathsep.join((told["PATH"], os.environ["PATH"]))}
        self.namespace = namespace
        self.see = Observer(self.environment, namespace)
        self.runs = runs
        self.sender = Sender(self.environment)

    @classmethod
    @contextmanager
    def stand(cls, stack: Stack) -> Iterator[Site]:
        """A namespace for components, and at the end nothing left of it: neither pods nor runs."""
        settings = stack.settings
        with Runs.connect(settings.temporal_address, settings.temporal_namespace) as runs:
            site = cls(stack, runs, f"e2e-{uuid4().hex[:8]}")
            site.see.kubectl("create", "namespace", site.namespace)
            try:
                yield site
            finally:
                try:
                    site._clear()
                finally:
                    site.see.close()
                    site.sender.close()

    @property
    def repositories(self) -> Path:
        """The folder on the Git server with the repositories of this session."""
        return gitserver.repositories(self.settings) / "e2e" / self.namespace

    def repository_url(self, name: str) -> str:
        """Where a repository of this session is cloned from and pushed to."""
        return f"{self.settings.git_url}/e2e/{self.namespace}/{name}.git"

    def log(self, service: str) -> str:
        """What a service has written so far."""
        return self.stack.supervisor.log(service).read_text(errors="replace")

    def towpath(self, *arguments: str) -> str:
        """Run the command line as a person would, and return what it printed.

        Raises:
            RuntimeError: it failed; with its own words.
        """
        done = self._towpath(*arguments)
        if done.returncode != 0:
            raise RuntimeError(f"towpath {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def towpath_failing(self, *arguments: str) -> str:
        """Run the command line for something that cannot be done, and return all that it printed."""
        done = self._towpath(*arguments)
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stdout + done.stderr

    def _towpath(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "worker", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def data_namespaces(self) -> list[str]:
        """The namespaces in which components of this session run."""
        mine = self.see.objects("namespace", f"--selector=openchoreo.dev/namespace={self.namespace}")
        return [namespace["metadata"]["name"] for namespace in mine]

    def _clear(self) -> None:
        """Delete the components, and wait until the engine has taken down whatever ran for them."""
        for kind in ("components.choreo.dev", "components.openchoreo.dev"):
            self.see.kubectl("delete", kind, "--all", f"--namespace={self.namespace}")
        self.see.until("the end of what was deployed", DELETED_SECONDS, lambda: not self.data_namespaces())
        open_runs = f"ExecutionStatus = 'Running' AND TowpathComponent STARTS_WITH '{self.namespace}/'"
        self.see.until("the end of all runs", DELETED_SECONDS, lambda: not self.runs.count(open_runs))
        self.see.kubectl("delete", "namespace", self.namespace, "--wait=false")
        shutil.rmtree(self.repositories, ignore_errors=True)
