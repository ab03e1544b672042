"""The story of the demo, chapter by chapter. Nothing in it is a stand-in: every step goes as a user's does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from deploy.demo.narrator import Narrator
from deploy.demo.observer import Observer
from deploy.demo.repository import Repository

HERE = Path(__file__).parent
HELLO = "hello-world"
GREETING = "greeting-service"
ENVIRONMENTS = ("development", "staging", "production")
_PLACEHOLDER = "http://10.88.0.1:8481"


class Story:
    """Performs the main job and tells it.

    Args:
        environment: what `towpath local env` prints, by name, with a PATH that finds kubectl and git.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._tell = Narrator()
        self._see = Observer(environment)
        git = environment["TOWPATH_GIT_URL"]
        self._hello = Repository(f"{git}/demo/hello-world.git")
        self._greeting = Repository(f"{git}/demo/greeting.git")
        self._version = self._hello.count()

    def perform(self) -> None:
        """All chapters. Raises what went wrong; nothing is skipped."""
        try:
            first = self._first_push()
            self._to_production(HELLO, first)
            self._crash_loop()
            self._sick_endpoint()
            newest = self._two_pushes()
            self._to_production(HELLO, newest)
            self._back_by_hand()
            self._where_to_look()
        finally:
            self._hello.close()
            self._greeting.close()

    def _first_push(self) -> str:
        self._tell.chapter("Two repositories, two manifests, the first builds")
        self._resume_if_held()
        with self._tell.step(
            "git push of hello-world (Node.js, no Dockerfile) and greeting (Dockerfile)"
        ) as lines:
            self._hello.fill(HERE / "apps" / "hello-world")
            commit = self._commit_version("Say hello")
            lines += [f"remote: {line}" for line in self._hello.push()]
            self._greeting.fill(HERE / "apps" / "greeting")
            # A commit that changes nothing would build nothing.
            self._greeting.write("CHANGES", f"visit {self._greeting.count() + 1}\n")
            greeting = self._greeting.commit("Greet")
            lines += [f"remote: {line}" for line in self._greeting.push()]
        with self._tell.step("kubectl apply -f hello-world.yaml -f greeting.yaml") as lines:
            for name in ("hello-world.yaml", "greeting.yaml"):
                manifest = (HERE / "manifests" / name).read_text()
                manifest = manifest.replace(_PLACEHOLDER, self._environment["TOWPATH_GIT_URL"])
                lines += self._see.kubectl("apply", "--filename=-", stdin=manifest).splitlines()
        self._wait_healthy(HELLO, commit, "staging", 180)
        with self._tell.step("greeting-service (Dockerfile with RUN steps) is healthy in staging") as lines:
            self._see.until(
                "greeting-service in staging", 240,
                lambda: self._see.phase(GREETING, greeting, "staging").get("phase") == "healthy",
            )  # fmt: skip
            lines.append(f"build: {self._link(str(self._see.build(GREETING, greeting).get('workflow')))}")
        self._curl(HELLO)
        self._curl(GREETING)
        return commit

    def _to_production(self, name: str, commit: str) -> None:
        self._tell.chapter("Production waits for a person")
        with self._tell.step("production waits at its gate") as lines:
            waiting = self._see.until("the gate", 120, lambda: self._at_gate(name, commit))
            lines.append(str(waiting["message"]))
        with self._tell.step("production is healthy after the approval") as lines:
            lines += self._towpath("approve", name, "-e", "production")
            self._see.until(
                "production", 120, lambda: self._see.phase(name, commit, "production").get("phase") == "healthy"
            )
            digest = self._see.promotion(name, commit)["release"]["image"]["digest"]
            lines.append(f"digest: {digest}")
            lines.append(f"promotion: {self._link(self._see.promotion(name, commit)['workflow'])}")
        self._curl(name)

    def _crash_loop(self) -> None:
        self._tell.chapter("A push that crashes comes back by itself")
        before = self._see.curl(self._see.address(HELLO, "development"))
        self._goes_back("Break the start", crash=True)
        after = self._see.curl(self._see.address(HELLO, "development"))
        self._tell.say(f"development served before: {before!r}, serves now: {after!r}")
        self._tell.say("staging and production were never asked")

    def _sick_endpoint(self) -> None:
        self._tell.chapter("A push whose pods are ready, but whose health endpoint answers 500")
        self._goes_back("Forget the migration", healthy=False)

    def _goes_back(self, subject: str, healthy: bool = True, crash: bool = False) -> None:
        with self._tell.step(f"git push: {subject}; built") as lines:
            commit = self._commit_version(subject, healthy=healthy, crash=crash)
            lines += [f"remote: {line}" for line in self._hello.push()]
            self._see.until(
                "the build", 120, lambda: self._see.build(HELLO, commit).get("phase") in ("succeeded", "failed")
            )
        with self._tell.step("development is back on its last good release") as lines:
            step = self._see.until("the way back", 90, lambda: self._ended(HELLO, commit, "development"))
            lines.append(f"{step['phase']}: {step['reason']}: {step['message'].splitlines()[0][:160]}")
            lines.append(f"promotion: {self._link(self._see.promotion(HELLO, commit)['workflow'])}")

    def _two_pushes(self) -> str:
        self._tell.chapter("Two pushes seconds apart: the older build is cancelled, the newer ships")
        with self._tell.step("two pushes; the older build ends") as lines:
            older = self._commit_version("A change")
            lines += [f"remote: {line}" for line in self._hello.push()]
            self._see.until("the older build", 60, lambda: self._see.build(HELLO, older).get("argo"))
            newer = self._commit_version("A better change")
            lines += [f"remote: {line}" for line in self._hello.push()]
            ended = self._see.until("its end", 60, lambda: self._superseded(older))
            lines.append(f"{older[:7]}: {ended['phase']}: {ended['message']}")
        self._wait_healthy(HELLO, newer, "staging", 180)
        self._curl(HELLO)
        return newer

    def _back_by_hand(self) -> None:
        self._tell.chapter("Back by hand, and automation leaves it there")
        with self._tell.step("production is back on revision 1") as lines:
            number = self._see.lane(HELLO, "production")["history"][-1]["number"]
            lines += self._towpath("rollback", HELLO, "-e", "production", "--to-revision", "1")
            self._see.until("the rollback", 90, lambda: self._rolled_back(number + 1))
        self._curl(HELLO)
        hold = self._see.lane(HELLO, "production")["hold"]
        self._tell.say(
            f"held by {hold['actor']['name']}: {hold['reason']}; `towpath resume` lets automation go on"
        )

    def _where_to_look(self) -> None:
        self._tell.chapter("Where to look")
        for line in (
            'eval "$(towpath local env)"         and then:',
            "towpath status                      components and environments (--watch keeps it up to date)",
            f"towpath history {HELLO} -e production",
            f"kubectl describe component {HELLO}",
            f"kubectl get events --field-selector involvedObject.name={HELLO}",
            f"Temporal's Web UI                   {self._environment['TEMPORAL_UI_URL']}",
        ):
            self._tell.say(line)
        self._tell.say(f"the whole story took {self._tell.elapsed:.0f} s")

    def _commit_version(self, subject: str, healthy: bool = True, crash: bool = False) -> str:
        self._version += 1
        content = {"greeting": f"Hello, world, version {self._version}", "healthy": healthy, "crash": crash}
        self._hello.write("version.json", json.dumps(content) + "\n")
        return self._hello.commit(subject)

    def _wait_healthy(self, name: str, commit: str, last: str, seconds: float) -> None:
        """The build and every environment up to `last`, a timed step each."""
        with self._tell.step(f"{name} {commit[:7]} is built") as lines:
            built = self._see.until("the build", seconds, lambda: self._built(name, commit))
            lines.append(f"build: {self._link(built['workflow'])}")
            lines.append(f"image: {built['image']}")
        for environment in ENVIRONMENTS[: ENVIRONMENTS.index(last) + 1]:
            with self._tell.step(f"{name} is healthy in {environment}"):
                self._see.until(environment, seconds, lambda: self._healthy(name, commit, environment))  # noqa: B023

    def _built(self, name: str, commit: str) -> dict[str, object]:
        build = self._see.build(name, commit)
        if build.get("phase") in ("failed", "cancelled", "superseded"):
            raise RuntimeError(
                f"{name} {commit[:7]}: build {build['phase']}: {build['reason']}: {build['message']}"
            )
        return build if build.get("phase") == "succeeded" else {}

    def _healthy(self, name: str, commit: str, environment: str) -> bool:
        step = self._ended(name, commit, environment)
        if step and step["phase"] != "healthy":
            raise RuntimeError(f"{name} in {environment}: {step['phase']}: {step['reason']}: {step['message']}")
        return bool(step)

    def _ended(self, name: str, commit: str, environment: str) -> dict[str, str]:
        step = self._see.phase(name, commit, environment)
        return step if step.get("phase") not in (None, "pending", "deploying", "at-gate", "held") else {}

    def _superseded(self, commit: str) -> dict[str, str]:
        build = self._see.build(HELLO, commit)
        return build if build.get("phase") == "superseded" else {}

    def _at_gate(self, name: str, commit: str) -> dict[str, str]:
        step = self._see.phase(name, commit, "production")
        return step if step.get("phase") == "at-gate" else {}

    def _rolled_back(self, number: int) -> bool:
        history = self._see.lane(HELLO, "production")["history"]
        return any(entry["number"] == number and entry["result"] == "healthy" for entry in history)

    def _resume_if_held(self) -> None:
        for environment in ENVIRONMENTS:
            if self._see.lane(HELLO, environment).get("hold"):
                self._towpath("resume", HELLO, "-e", environment)
                self._tell.say(f"{environment} was held by an earlier demo; it is let go")

    def _curl(self, name: str) -> None:
        for environment in ENVIRONMENTS:
            address = self._see.address(name, environment)
            if address:
                self._tell.say(f"$ curl {address:<28} {environment:<12} {self._see.curl(address)}")

    def _link(self, workflow: str) -> str:
        namespace = self._environment["TEMPORAL_NAMESPACE"]
        ui = self._environment["TEMPORAL_UI_URL"]
        return f"{ui}/namespaces/{namespace}/workflows/{quote(workflow, safe='')}"

    def _towpath(self, *arguments: str) -> list[str]:
        """Run the command line as a person would, and show it."""
        done = subprocess.run(
            [sys.executable, "-m", "worker", *arguments],
            env=dict(self._environment),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"towpath {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")
        return [f"$ towpath {' '.join(arguments)}", *done.stdout.strip().splitlines()]
