"""Gitea, Forgejo and Gogs: https://docs.gitea.com/usage/webhooks, https://forgejo.org/docs/latest/user/webhooks/"""

from typing import Any

from tests.triggers.dialects import ADA, BOB, MOMENT, NEWER, OLDER, ZERO, Delivery

REPOSITORY = {
    "id": 140,
    "name": "hello-world",
    "full_name": "team/hello-world",
    "html_url": "https://git.example/team/hello-world",
    "clone_url": "https://git.example/team/hello-world.git",
    "ssh_url": "ssh://git@git.example/team/hello-world.git",
    "default_branch": "main",
}
FORK = {**REPOSITORY, "id": 141, "clone_url": "https://git.example/bob/hello-world.git"}
FAMILY = ("Forgejo", "Gitea", "Gogs", "GitHub")
"""Each sends the headers of those after it along with its own."""


def delivery(event: str, content: dict[str, Any], member: str = "Gitea") -> Delivery:
    headers: dict[str, str] = {}
    for name in FAMILY[FAMILY.index(member) :]:
        headers |= {f"X-{name}-Event": event, f"X-{name}-Delivery": "f6266f16-1bf3-46a5-9ea4-602e06ead473"}
    return Delivery(
        "gitea", headers, {"repository": REPOSITORY, "sender": {"id": 1, "login": ADA}, **content}, member
    )


def push(ref: str = "refs/heads/main", before: str = OLDER, after: str = NEWER, member: str = "Gitea") -> Delivery:
    content = {
        "ref": ref,
        "before": before,
        "after": after,
        "compare_url": "https://git.example/team/hello-world/compare/a...b",
        "commits": [],
        "total_commits": 1,
        "head_commit": None if after == ZERO else {"id": after},
        "pusher": {"id": 1, "login": ADA, "username": ADA, "email": "ada@example"},
    }
    return delivery("push", content, member)


def deleted(name: str = "feature", kind: str = "branch") -> Delivery:
    return delivery("delete", {"ref": name, "ref_type": kind, "pusher_type": "user"})


def change(action: str = "opened", fork: bool = False, **changed: Any) -> Delivery:
    pull_request = {
        "id": 77,
        "number": 12,
        "title": "Greet differently",
        "state": "open",
        "merged": False,
        "user": {"login": BOB},
        "updated_at": MOMENT,
        "head": {"label": "feature", "ref": "feature", "sha": NEWER, "repo": FORK if fork else REPOSITORY},
        "base": {"label": "main", "ref": "main", "sha": OLDER, "repo": REPOSITORY},
        **changed,
    }
    return delivery("pull_request", {"action": action, "number": 12, "pull_request": pull_request})


def merged() -> Delivery:
    return change("closed", merged=True)


def comment(body: str = "/test", action: str = "created", is_pull: bool = True) -> Delivery:
    content = {
        "action": action,
        "issue": {"number": 12, "pull_request": {"merged": False} if is_pull else None},
        "comment": {"id": 1401, "body": body, "user": {"login": BOB}, "created_at": MOMENT},
        "is_pull": is_pull,
    }
    return delivery("issue_comment", content)
