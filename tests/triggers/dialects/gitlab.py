"""GitLab: https://docs.gitlab.com/user/project/integrations/webhook_events/"""

from typing import Any

from tests.triggers.dialects import ADA, MOMENT, NEWER, OLDER, ZERO, Delivery

PROJECT = {
    "id": 15,
    "name": "hello-world",
    "path_with_namespace": "team/hello-world",
    "web_url": "https://git.example/team/hello-world",
    "git_http_url": "https://git.example/team/hello-world.git",
    "git_ssh_url": "git@git.example:team/hello-world.git",
    "default_branch": "main",
}
FORK = {**PROJECT, "id": 16, "git_http_url": "https://git.example/bob/hello-world.git"}
USER = {"id": 4, "name": "Ada Lovelace", "username": ADA, "email": "[REDACTED]"}
IDENTITY = "0f1b2c3d-b4f0-4aa6-8e5c-0d1c2b3a4f5e"


def delivery(event: str, content: dict[str, Any], signs: str = "token") -> Delivery:
    headers = {
        "X-Gitlab-Event": event,
        "X-Gitlab-Event-UUID": "13792a34-cac6-4fda-95a8-c58e00a3954e",
        "X-Gitlab-Webhook-UUID": "5b1c0a3e-9d44-4d51-9ed6-02a4f4f0a2a1",
        "X-Gitlab-Instance": "https://git.example",
        "Idempotency-Key": IDENTITY,
        "webhook-id": IDENTITY,
        "User-Agent": "GitLab/19.1.0",
    }
    return Delivery("gitlab", headers, content, signs)


def push(
    ref: str = "refs/heads/main", before: str = OLDER, after: str = NEWER, signs: str = "token", header: str = ""
) -> Delivery:
    tag = ref.startswith("refs/tags/")
    content: dict[str, Any] = {
        "object_kind": "tag_push" if tag else "push",
        "event_name": "tag_push" if tag else "push",
        "before": before,
        "after": after,
        "ref": ref,
        "ref_protected": True,
        "checkout_sha": None if after == ZERO else after,
        "user_id": 4,
        "user_name": "Ada Lovelace",
        "user_username": ADA,
        "user_email": "ada@example",
        "project_id": 15,
        "project": PROJECT,
        "commits": [],
        "total_commits_count": 1,
    }
    return delivery(header or ("Tag Push Hook" if tag else "Push Hook"), content, signs)


def repository_update(*changes: tuple[str, str, str]) -> Delivery:
    """A system hook's event: all refs of one push, however many."""
    content = {
        "event_name": "repository_update",
        "user_id": 1,
        "user_name": "Ada Lovelace",
        "user_email": "ada@example",
        "project_id": 15,
        "project": PROJECT,
        "changes": [{"before": before, "after": after, "ref": ref} for ref, before, after in changes],
        "refs": [ref for ref, _, _ in changes],
    }
    return delivery("System Hook", content)


def change(action: str = "open", fork: bool = False, **changed: Any) -> Delivery:
    attributes = {
        "id": 99,
        "iid": 12,
        "target_branch": "main",
        "source_branch": "feature",
        "source_project_id": 16 if fork else 15,
        "target_project_id": 15,
        "author_id": 4,
        "title": "Greet differently",
        "state": "opened",
        "updated_at": MOMENT,
        "source": FORK if fork else PROJECT,
        "target": PROJECT,
        "last_commit": {"id": NEWER, "message": "greet"},
        "action": action,
        **changed,
    }
    content = {
        "object_kind": "merge_request",
        "event_type": "merge_request",
        "user": USER,
        "project": PROJECT,
        "object_attributes": attributes,
        "changes": {},
    }
    return delivery("Merge Request Hook", content)


def merged() -> Delivery:
    return change("merge", state="merged")


def comment(body: str = "/test", on: str = "MergeRequest", **changed: Any) -> Delivery:
    attributes = {
        "id": 1401,
        "note": body,
        "noteable_type": on,
        "author_id": 4,
        "created_at": "2026-11-21 17:24:00 UTC",
        "system": False,
        "action": "create",
        **changed,
    }
    content = {
        "object_kind": "note",
        "event_type": "note",
        "user": USER,
        "project": PROJECT,
        "object_attributes": attributes,
        "merge_request": {"id": 99, "iid": 12, "last_commit": {"id": NEWER}},
    }
    return delivery("Note Hook", content)
