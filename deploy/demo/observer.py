"""Looking at Towpath and the cluster from outside, with nothing but what a user has."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

_PAUSE = 0.2


class NotInTime(Exception):
    """What was waited for did not come; says what was last seen."""


class Observer:
    """The API, `kubectl` and plain HTTP to what was deployed.

    Args:
        environment: what `towpath local env` prints, by name.
        namespace: where the components are declared.
    """

    def __init__(self, environment: Mapping[str, str], namespace: str = "default") -> None:
        self._environment = environment
        self._namespace = namespace
        self._api = httpx.Client(
            base_url=f"{environment['TOWPATH_URL']}/api/v1",
            headers={"Authorization": f"Bearer {environment['TOWPATH_TOKEN']}"},
            timeout=20,
            trust_env=False,
        )
        self._web = httpx.Client(timeout=5, trust_env=False)

    def component(self, name: str, commit: str = "") -> dict[str, Any]:
        """A component with its builds, promotions and progress; empty while the server has not seen it."""
        wanted = {"commit": commit} if commit else {}
        answer = self._api.get(f"/components/{self._namespace}/{name}", params=wanted)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return {}
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def build(self, name: str, commit: str) -> dict[str, Any]:
        """The newest build of a commit; empty while there is none."""
        builds = [build for build in self.component(name).get("builds", []) if build["commit"] == commit]
        return dict(builds[0]) if builds else {}

    def promotion(self, name: str, commit: str) -> dict[str, Any]:
        """The walk of a commit's release; empty while there is none."""
        walks = self.component(name).get("promotions", [])
        own = [walk for walk in walks if walk["release"]["commit"]["id"] == commit]
        return dict(own[0]) if own else {}

    def phase(self, name: str, commit: str, environment: str) -> dict[str, Any]:
        """How far a commit's release is in an environment; empty while nothing is known."""
        for step in self.promotion(name, commit).get("steps", []):
            if step["environment"] == environment:
                return dict(step)
        return {}

    def lane(self, name: str, environment: str) -> dict[str, Any]:
        """A lane: what runs, what waits, history; empty while there is none."""
        answer = self._api.get(f"/components/{self._namespace}/{name}/lanes/{environment}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return {}
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return what it printed.

        Raises:
            RuntimeError: it failed; with its own words.
        """
        done = subprocess.run(
            ["kubectl", *arguments],
            env=dict(self._environment),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(arguments[:3])}: {done.stderr.strip()}")
        return done.stdout

    def objects(self, kind: str, *selection: str) -> list[dict[str, Any]]:
        """Objects of a kind as `kubectl get -o json` gives them."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, "-o", "json", *selection))["items"]
        return found

    def deployed(self, kind: str, name: str, environment: str) -> list[dict[str, Any]]:
        """What a component consists of in an environment, found by its labels as a user finds it."""
        labels = {"component": name, "environment": environment, "namespace": self._namespace}
        selector = ",".join(f"openchoreo.dev/{key}={value}" for key, value in labels.items())
        return self.objects(kind, "--all-namespaces", f"--selector={selector}")

    def address(self, name: str, environment: str) -> str:
        """Where the component's first endpoint answers in an environment (the Service's cluster address)."""
        services = self.deployed("service", name, environment)
        if not services:
            return ""
        spec = services[0]["spec"]
        return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}/"

    def curl(self, address: str) -> str:
        """The first line that an address answers with; `status N` for an error, empty when unreachable."""
        try:
            answer = self._web.get(address)
        except httpx.HTTPError:
            return ""
        return answer.text.splitlines()[0] if answer.is_success and answer.text else f"status {answer.status_code}"

    def until(self, what: str, seconds: float, look: Callable[[], Any]) -> Any:
        """Look again and again until the answer is true, and return it.

        A server that restarts, or says that it cannot answer just now, is waited for.

        Raises:
            NotInTime: it did not become true within `seconds`.
        """
        deadline = time.monotonic() + seconds
        while True:
            trouble = ""
            try:
                seen = look()
                if seen:
                    return seen
            except (httpx.TransportError, httpx.HTTPStatusError) as error:
                if isinstance(error, httpx.HTTPStatusError) and not error.response.is_server_error:
                    raise
                trouble = f" ({error})"
            if time.monotonic() > deadline:
                raise NotInTime(f"{what}: not within {seconds:.0f} s{trouble}")
            time.sleep(_PAUSE)

    def close(self) -> None:
        """Close the connections."""
        self._api.close()
        self._web.close()
