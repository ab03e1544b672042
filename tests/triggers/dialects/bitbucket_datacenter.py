"""Bitbucket Data Center: https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html"""

from typing import Any

from tests.triggers.dialects import ADA, BOB, MILLISECONDS, NEWER, OLDER, ZERO, Delivery

CLONE = "https://git.example/team/hello-world.git"
LINKS = {
    "clone": [
        {"href": "ssh://git@git.example:7999/team/hello-world.git", "name": "ssh"},
        {"href": CLONE, "name": "http"},
    ],
    "self": [{"href": "https://git.example/projects/TEAM/repos/hello-world/browse"}],
}
REPOSITORY = {
    "slug": "hello-world",
    "id": 84,
    "name": "hello-world",
    "scmId": "git",
    "state": "AVAILABLE",
    "project": {"key": "TEAM", "id": 84, "name": "team", "public": False, "type": "NORMAL"},
    "public": False,
    "links": LINKS,
}
FORK_LINKS = {"self": [{"href": "https://git.example/users/bob/repos/hello-world/browse"}]}
FORK = {**REPOSITORY, "id": 85, "links": FORK_LINKS}
ACTOR = {"name": ADA, "emailAddress": "ada@example", "id": 1, "displayName": "Ada", "active": True}
DATE = "2026-11-22T03:24:00+1000"


def delivery(event: str, content: dict[str, Any]) -> Delivery:
    headers = {
        "X-Event-Key": event,
        "X-Request-Id": "@1UOF0HIx1044x78x0",
        "User-Agent": "Atlassian HttpClient 2.1.5 / Bitbucket-8.19.0",
    }
    return Delivery(
        "bitbucket", headers, {"eventKey": event, "date": DATE, "actor": ACTOR, **content}, "bitbucket"
    )


def moved(ref: str, before: str, after: str) -> dict[str, Any]:
    """One of the changes of a push."""
    kind = "ADD" if before == ZERO else "DELETE" if after == ZERO else "UPDATE"
    told = {"id": ref, "displayId": ref.split("/", 2)[2], "type": "TAG" if "/tags/" in ref else "BRANCH"}
    return {"ref": told, "refId": ref, "fromHash": before, "toHash": after, "type": kind}


def push(ref: str = "refs/heads/main", before: str = OLDER, after: str = NEWER) -> Delivery:
    return pushes(moved(ref, before, after))


def pushes(*changes: dict[str, Any]) -> Delivery:
    return delivery("repo:refs_changed", {"repository": REPOSITORY, "changes": list(changes)})


def change(event: str = "pr:opened", fork: bool = False) -> Delivery:
    source = FORK if fork else REPOSITORY
    pull_request = {
        "id": 12,
        "version": 1,
        "title": "Greet differently",
        "state": "OPEN",
        "open": True,
        "closed": False,
        "createdDate": MILLISECONDS,
        "updatedDate": MILLISECONDS,
        "fromRef": {
            "id": "refs/heads/feature",
            "displayId": "feature",
            "latestCommit": NEWER,
            "repository": source,
        },
        "toRef": {
            "id": "refs/heads/main",
            "displayId": "main",
            "latestCommit": OLDER,
            "repository": REPOSITORY,
        },
        "author": {"user": {"name": BOB, "displayName": "Bob"}, "role": "AUTHOR"},
    }
    return delivery(event, {"pullRequest": pull_request})


def merged() -> Delivery:
    return change("pr:merged")


def comment(body: str = "/test") -> Delivery:
    said = {"id": 1401, "version": 0, "text": body, "author": {"name": ADA}, "createdDate": MILLISECONDS}
    return delivery("pr:comment:added", {**change().content, "eventKey": "pr:comment:added", "comment": said})


def ping() -> Delivery:
    headers = delivery("diagnostics:ping", {}).headers
    return Delivery("bitbucket", headers, {"test": True}, "bitbucket")
