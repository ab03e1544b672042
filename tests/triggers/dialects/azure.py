"""Azure DevOps: https://learn.microsoft.com/azure/devops/service-hooks/events"""

from typing import Any

from tests.triggers.dialects import MOMENT, NEWER, OLDER, Delivery

UNIQUE, AUTHOR = "ada@example.com", "bob@example.com"
REPOSITORY = {
    "id": "278d5cd2-584d-4b63-824a-2ba458937249",
    "name": "hello-world",
    "url": "https://git.example/team/_apis/git/repositories/278d5cd2-584d-4b63-824a-2ba458937249",
    "project": {"id": "6ce954b1-ce1f-45d1-b94d-e6bf2464ba2c", "name": "greetings", "state": "wellFormed"},
    "defaultBranch": "refs/heads/main",
    "remoteUrl": "https://team@git.example/team/hello-world",
}
FORK = {**REPOSITORY, "remoteUrl": "https://team@git.example/bob/hello-world"}


def delivery(event: str, resource: dict[str, Any], signs: str = "basic") -> Delivery:
    content = {
        "subscriptionId": "00000000-0000-0000-0000-000000000000",
        "notificationId": 3,
        "id": "03c164c2-8912-4d5e-8009-3707d5f83734",
        "eventType": event,
        "publisherId": "tfs",
        "message": {"text": "Ada did something"},
        "resource": resource,
        "resourceVersion": "1.0",
        "createdDate": MOMENT,
    }
    return Delivery("azure", {"User-Agent": "VSServices/17.245.35428.10"}, content, signs)


def moved(ref: str, before: str, after: str) -> dict[str, str]:
    """One of the updates of a push."""
    return {"name": ref, "oldObjectId": before, "newObjectId": after}


def push(ref: str = "refs/heads/main", before: str = OLDER, after: str = NEWER, signs: str = "basic") -> Delivery:
    return pushes(moved(ref, before, after), signs=signs)


def pushes(*updates: dict[str, str], signs: str = "basic") -> Delivery:
    resource = {
        "commits": [],
        "refUpdates": list(updates),
        "repository": REPOSITORY,
        "pushedBy": {"displayName": "Ada", "id": "00067FFED5C7AF52@Live.com", "uniqueName": UNIQUE},
        "pushId": 14,
        "date": MOMENT,
    }
    return delivery("git.push", resource, signs)


def pull_request(fork: bool = False, **changed: Any) -> dict[str, Any]:
    source = {"forkSource": {"name": "refs/heads/feature", "repository": FORK}} if fork else {}
    return {
        "repository": REPOSITORY,
        "pullRequestId": 12,
        "status": "active",
        "createdBy": {"displayName": "Bob", "uniqueName": AUTHOR},
        "creationDate": MOMENT,
        "title": "Greet differently",
        "sourceRefName": "refs/heads/feature",
        "targetRefName": "refs/heads/main",
        "mergeStatus": "succeeded",
        "lastMergeSourceCommit": {"commitId": NEWER},
        "lastMergeTargetCommit": {"commitId": OLDER},
        **source,
        **changed,
    }


def change(event: str = "git.pullrequest.created", fork: bool = False, **changed: Any) -> Delivery:
    return delivery(event, pull_request(fork, **changed))


def merged() -> Delivery:
    return change("git.pullrequest.merged", status="completed")


def comment(body: str = "/test", **changed: Any) -> Delivery:
    said = {
        "id": 2,
        "parentCommentId": 0,
        "author": {"displayName": "Ada", "uniqueName": UNIQUE},
        "content": body,
        "publishedDate": MOMENT,
        "commentType": "text",
        "_links": {"self": {"href": "https://git.example/_apis/git/pullRequests/12/threads/1401/comments/2"}},
        **changed,
    }
    return delivery("ms.vss-code.git-pullrequest-comment-event", {"comment": said, "pullRequest": pull_request()})
