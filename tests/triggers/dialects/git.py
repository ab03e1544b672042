"""A plain Git server's hook: docs/webhooks.md."""

from typing import Any

from tests.triggers.dialects import ADA, BOB, MOMENT, NEWER, OLDER, Delivery

REPOSITORY = {"url": "https://git.example/team/hello-world.git"}


def delivery(event: str, content: dict[str, Any]) -> Delivery:
    headers = {"X-Towpath-Event": event, "X-Towpath-Delivery": "d" * 40}
    return Delivery("git", headers, {"repository": REPOSITORY, **content})


def push(ref: str = "refs/heads/main", before: str = OLDER, after: str = NEWER, forced: bool = False) -> Delivery:
    return delivery("push", {"ref": ref, "before": before, "after": after, "forced": forced, "pusher": ADA})


def change(action: str = "opened", fork: bool = False, **changed: Any) -> Delivery:
    head: dict[str, Any] = {"ref": "feature", "commit": NEWER}
    if fork:
        head["repository"] = {"url": "https://git.example/bob/hello-world.git"}
    content = {
        "action": action,
        "change": "12",
        "head": head,
        "base": {"ref": "main", "commit": OLDER},
        "title": "Greet differently",
        "author": BOB,
        "actor": ADA,
        "updatedAt": MOMENT,
        **changed,
    }
    return delivery("change", content)


def merged() -> Delivery:
    return change("closed", merged=True)


def comment(body: str = "/test") -> Delivery:
    said = {"id": "1401", "body": body, "createdAt": MOMENT}
    return delivery("comment", {"change": "12", "comment": said, "actor": BOB, "association": "member"})


def ping() -> Delivery:
    return delivery("ping", {})
