"""GitHub: https://docs.github.com/webhooks/webhook-events-and-payloads"""

from typing import Any

from tests.triggers.dialects import ADA, BOB, MOMENT, NEWER, OLDER, ZERO, Delivery

URL = "https://git.example/team/hello-world.git"
REPOSITORY = {
    "id": 35129377,
    "name": "hello-world",
    "full_name": "team/hello-world",
    "html_url": "https://git.example/team/hello-world",
    "clone_url": URL,
    "ssh_url": "git@git.example:team/hello-world.git",
    "default_branch": "main",
}
FORK = {**REPOSITORY, "full_name": "bob/hello-world", "clone_url": "https://git.example/bob/hello-world.git"}


def delivery(event: str, content: dict[str, Any]) -> Delivery:
    headers = {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "X-GitHub-Hook-ID": "292430182",
        "User-Agent": "GitHub-Hookshot/044aadd",
    }
    return Delivery("github", headers, {"repository": REPOSITORY, "sender": {"login": ADA}, **content})


def push(ref: str = "refs/heads/main", before: str = OLDER, after: str = NEWER, forced: bool = False) -> Delivery:
    content = {
        "ref": ref,
        "before": before,
        "after": after,
        "created": before == ZERO,
        "deleted": after == ZERO,
        "forced": forced,
        "pusher": {"name": ADA, "email": "ada@example"},
        "head_commit": None if after == ZERO else {"id": after},
        "commits": [],
    }
    return delivery("push", content)


def deleted(name: str = "feature", kind: str = "branch") -> Delivery:
    return delivery("delete", {"ref": name, "ref_type": kind, "pusher_type": "user"})


def change(action: str = "opened", fork: bool = False, **changed: Any) -> Delivery:
    pull_request = {
        "number": 12,
        "title": "Greet differently",
        "state": "open",
        "merged": False,
        "draft": False,
        "user": {"login": BOB},
        "author_association": "CONTRIBUTOR",
        "updated_at": MOMENT,
        "head": {"ref": "feature", "sha": NEWER, "repo": FORK if fork else REPOSITORY},
        "base": {"ref": "main", "sha": OLDER, "repo": REPOSITORY},
        **changed,
    }
    return delivery("pull_request", {"action": action, "number": 12, "pull_request": pull_request})


def merged() -> Delivery:
    return change("closed", merged=True)


def comment(body: str = "/test", action: str = "created", on_change: bool = True) -> Delivery:
    issue: dict[str, Any] = {"number": 12, "title": "Greet differently"}
    if on_change:
        issue["pull_request"] = {"url": "https://git.example/api/pulls/12"}
    said = {
        "id": 1401,
        "body": body,
        "user": {"login": BOB},
        "author_association": "MEMBER",
        "created_at": MOMENT,
    }
    return delivery("issue_comment", {"action": action, "issue": issue, "comment": said})


def ping() -> Delivery:
    return delivery("ping", {"zen": "Keep it logically awesome.", "hook_id": 1})
