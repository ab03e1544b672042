"""A Git host's side of a webhook."""

import hashlib
import hmac
import json
import time
from dataclasses import dataclass

from tests.bench.ground import Ground


@dataclass(frozen=True)
class Sent:
    """One answered webhook: when it was sent (milliseconds), how long the answer took, and what it said."""

    at: float
    took: float
    status: int
    workflow: str


def now() -> float:
    """Milliseconds since the epoch."""
    return time.time() * 1000


async def send(ground: Ground, url: str, branch: str, before: str, after: str) -> Sent:
    """Announce one push, signed as the Git server's hook signs."""
    body = json.dumps(
        {
            "repository": {"url": url},
            "ref": f"refs/heads/{branch}",
            "before": before or "0" * 40,
            "after": after,
            "forced": False,
            "pusher": "bench",
        }
    ).encode()
    headers = {
        "Content-Type": "application/json",
        "X-Towpath-Event": "push",
        "X-Towpath-Delivery": hashlib.sha256(body).hexdigest(),
        "X-Hub-Signature-256": "sha256=" + hmac.new(ground.secret.encode(), body, hashlib.sha256).hexdigest(),
    }
    at, begun = now(), time.perf_counter()
    async with ground.http.post(f"{ground.url}/webhooks/git", data=body, headers=headers) as answer:
        said = await answer.json()
    took = (time.perf_counter() - begun) * 1000
    return Sent(at, took, answer.status, str(said.get("workflow", "")))
