"""Bitbucket Cloud: https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/"""

from typing import Any

from tests.triggers.dialects import MOMENT, NEWER, OLDER, ZERO, Delivery

ACCOUNT, AUTHOR = "557058:0a1b2c3d-ada", "557058:4e5f6a7b-bob"
ACTOR = {"type": "user", "display_name": "Ada Lovelace", "nickname": "ada", "account_id": ACCOUNT}
REPOSITORY = {
    "type": "repository",
    "name": "hello-world",
    "full_name": "team/hello-world",
    "uuid": "{673a6070-3421-46c9-9d48-90745f7bfe8e}",
    "scm": "git",
    "links": {"html": {"href": "https://git.example/team/hello-world"}},
}
FORK = {
    **REPOSITORY,
    "full_name": "bob/hello-world",
    "links": {"html": {"href": "https://git.example/bob/hello-world"}},
}


def delivery(event: str, content: dict[str, Any]) -> Delivery:
    headers = {
        "X-Event-Key": event,
        "X-Hook-UUID": "{5d5e0a3e-9d44-4d51-9ed6-02a4f4f0a2a1}",
        "X-Request-UUID": "8d3f1a52-90b2-4b9e-a5b1-1d9e2c7f7a11",
        "X-Attempt-Number": "1",
        "User-Agent": "Bitbucket-Webhooks/2.0",
    }
    return Delivery("bitbucket", headers, {"actor": ACTOR, "repository": REPOSITORY, **content}, "bitbucket")


def moved(ref: str, before: str, after: str, forced: bool = False) -> dict[str, Any]:
    """One of the changes of a push."""
    kind, _, name = ref.removeprefix("refs/").partition("/")

    def side(commit: str) -> dict[str, Any] | None:
        if commit == ZERO:
            return None
        return {"type": "tag" if kind == "tags" else "branch", "name": name, "target": {"hash": commit}}

    return {
        "forced": forced,
        "old": side(before),
        "new": side(after),
        "created": before == ZERO,
        "closed": after == ZERO,
        "truncated": False,
        "commits": [],
    }


def push(ref: str = "refs/heads/main", before: str = OLDER, after: str = NEWER, forced: bool = False) -> Delivery:
    return pushes(moved(ref, before, after, forced))


def pushes(*changes: dict[str, Any]) -> Delivery:
    return delivery("repo:push", {"push": {"changes": list(changes)}})


def change(event: str = "pullrequest:created", fork: bool = False, head: str = NEWER[:12]) -> Delivery:
    pull_request = {
        "id": 12,
        "title": "Greet differently",
        "state": "OPEN",
        "author": {"display_name": "Bob", "account_id": AUTHOR},
        "source": {
            "branch": {"name": "feature"},
            "commit": {"hash": head},
            "repository": FORK if fork else REPOSITORY,
        },
        "destination": {
            "branch": {"name": "main"},
            "commit": {"hash": OLDER[:12]},
            "repository": REPOSITORY,
        },
        "updated_on": MOMENT,
    }
    return delivery(event, {"pullrequest": pull_request})


def merged() -> Delivery:
    return change("pullrequest:fulfilled")


def comment(body: str = "/test") -> Delivery:
    content = {
        **change().content,
        "comment": {"id": 1401, "content": {"raw": body, "html": f"<p>{body}</p>"}, "created_on": MOMENT},
    }
    return delivery("pullrequest:comment_created", content)
