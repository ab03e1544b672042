"""The stack's real Gitea, as tests use it: people, repositories, hooks, what its API tells of them.

Bring it up with `towpath local up --with gitea`.
"""

import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from deploy.local import gitea
from deploy.local.settings import Settings

_SECONDS = 20
_SCOPES = ("write:repository", "write:issue", "write:user")


@dataclass(frozen=True)
class Person:
    """Somebody with an account; `token` is also the password for Git over HTTP."""

    login: str
    password: str = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True)
class Hosted:
    """A repository: `name` is `owner/name`, `url` what people clone."""

    name: str
    url: str
    owner: Person

    def with_credentials(self) -> str:
        """Its address with the owner's token in it, for the `git` of a test."""
        return self.url.replace("://", f"://{self.owner.login}:{self.owner.token}@")

    def push(self, folder: Path, *refs: str) -> None:
        """Push refs of a working copy.

        Raises:
            RuntimeError: Gitea refuses it; with git's own words.
        """
        argv = ["git", "-C", str(folder), "push", "--quiet", "--", self.with_credentials(), *refs]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.replace(self.owner.token, "***"))


class Gitea:
    """Its API as its administrator, or as anybody by token.

    Args:
        url: where it is.
        token: the administrator's.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=f"{url}/api/v1", timeout=_SECONDS, trust_env=False)
        self._token = token

    @classmethod
    @contextmanager
    def of_the_stack(cls) -> Iterator[Self]:
        """The one that runs; the test fails when there is none."""
        settings = Settings.from_environment()
        if gitea.NAME not in settings.extras:
            pytest.fail("this test needs Gitea: towpath local up --with gitea")
        found = cls(gitea.url(settings), gitea.token_file(settings).read_text().strip())
        with found._http:
            yield found

    def call(
        self, method: str, path: str, content: object = None, person: Person | None = None, **query: str | int
    ) -> Any:
        """The answer's JSON, None when there is none.

        Raises:
            httpx.HTTPStatusError: Gitea refuses it.
        """
        token = person.token if person else self._token
        answer = self._http.request(
            method, path, json=content, params=query, headers={"Authorization": f"token {token}"}
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def person(self, name: str = "person") -> Person:
        """Somebody new; the name gets an ending of its own."""
        login, password = f"{name}-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
        account = {
            "username": login,
            "email": f"{login}@example.org",
            "password": password,
            "must_change_password": False,
        }
        self.call("POST", "/admin/users", account)
        made = self._http.post(
            f"/users/{login}/tokens", json={"name": "test", "scopes": list(_SCOPES)}, auth=(login, password)
        )
        made.raise_for_status()
        return Person(login, password, made.json()["sha1"])

    def repository(self, owner: Person, name: str = "app", private: bool = False) -> Hosted:
        """An empty repository of somebody."""
        wanted = {"name": name, "private": private, "default_branch": "main"}
        made = self.call("POST", "/user/repos", wanted, owner)
        return Hosted(made["full_name"], made["clone_url"], owner)

    def collaborator(self, repository: Hosted, person: Person, permission: str = "write") -> None:
        """Let somebody in: `read`, `write` or `admin`."""
        path = f"/repos/{repository.name}/collaborators/{person.login}"
        self.call("PUT", path, {"permission": permission}, repository.owner)

    def fork(self, repository: Hosted, person: Person) -> Hosted:
        """Somebody's own copy."""
        made = self.call("POST", f"/repos/{repository.name}/forks", {}, person)
        return Hosted(made["full_name"], made["clone_url"], person)

    def pull(
        self, repository: Hosted, head: str, title: str, person: Person, base: str = "main"
    ) -> dict[str, Any]:
        """Open a pull request; `head` is a branch, or `login:branch` of a fork."""
        wanted = {"head": head, "base": base, "title": title}
        made: dict[str, Any] = self.call("POST", f"/repos/{repository.name}/pulls", wanted, person)
        return made

    def comment(self, repository: Hosted, number: int, body: str, person: Person) -> dict[str, Any]:
        """Say something on a pull request."""
        path = f"/repos/{repository.name}/issues/{number}/comments"
        made: dict[str, Any] = self.call("POST", path, {"body": body}, person)
        return made

    def hook(self, repository: Hosted, url: str, secret: str, events: tuple[str, ...] = ("push",)) -> int:
        """Register a webhook by hand; answers its id."""
        config = {"url": url, "content_type": "json", "secret": secret}
        wanted = {"type": "gitea", "active": True, "events": list(events), "config": config}
        return int(self.call("POST", f"/repos/{repository.name}/hooks", wanted, repository.owner)["id"])

    def hooks(self, repository: Hosted) -> list[dict[str, Any]]:
        """The repository's webhooks."""
        found: list[dict[str, Any]] = self.call("GET", f"/repos/{repository.name}/hooks", person=repository.owner)
        return found

    def statuses(self, repository: Hosted, commit: str) -> dict[str, str]:
        """The newest state of every context on a commit."""
        told = self.call("GET", f"/repos/{repository.name}/commits/{commit}/status", person=repository.owner)
        return {each["context"]: each["status"] for each in told["statuses"] or []}

    @contextmanager
    def signed_in(self, person: Person) -> Iterator[httpx.Client]:
        """Its web pages, for what its API has not: the log of deliveries."""
        with httpx.Client(base_url=self.url, timeout=_SECONDS, trust_env=False, follow_redirects=True) as web:
            answer = web.post("/user/login", data={"user_name": person.login, "password": person.password})
            answer.raise_for_status()
            yield web

    def deliveries(self, repository: Hosted, hook: int) -> list[str]:
        """The ids of a webhook's deliveries, newest first."""
        with self.signed_in(repository.owner) as web:
            page = web.get(f"/{repository.name}/settings/hooks/{hook}")
            page.raise_for_status()
            return re.findall(rf"/settings/hooks/{hook}/replay/([0-9a-f-]+)", page.text)

    def redeliver(self, repository: Hosted, hook: int, delivery: str) -> None:
        """Send one again, as the button in its web pages does."""
        with self.signed_in(repository.owner) as web:
            address = f"/{repository.name}/settings/hooks/{hook}/replay/{delivery}"
            web.post(address, headers={"Origin": self.url}).raise_for_status()
