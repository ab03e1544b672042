"""What each sender sends, by its documentation, with values of ours: the same story in every dialect."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

ADA, BOB = "ada", "bob"
OLDER, NEWER = "2" * 40, "1" * 40
ZERO = "0" * 40
MOMENT, MILLISECONDS = "2026-11-21T17:24:00+00:00", 1_795_281_840_000
JSON = "application/json"


@dataclass(frozen=True)
class Delivery:
    """A request: its provider's address, its headers but for what vouches for it, and its body's content."""

    provider: str
    headers: dict[str, str]
    content: dict[str, Any]
    signs: str = "github"
    """Which way it is vouched for; see `vouched`."""
    raw: bytes | None = field(default=None)

    @property
    def path(self) -> str:
        return f"/webhooks/{self.provider}"

    @property
    def body(self) -> bytes:
        return json.dumps(self.content).encode() if self.raw is None else self.raw


def vouched(delivery: Delivery, secret: str, at: float = 0) -> dict[str, str]:
    """All headers, with what the sender vouches with by a secret; `at` is its clock."""
    key, body = secret.encode(), delivery.body
    digest = hmac.new(key, body, hashlib.sha256).hexdigest()
    match delivery.signs:
        case "github":
            proof = {"X-Hub-Signature-256": f"sha256={digest}"}
        case "bitbucket":
            proof = {"X-Hub-Signature": f"sha256={digest}"}
        case "Gitea" | "Forgejo" | "Gogs":
            proof = {f"X-{delivery.signs}-Signature": digest}
        case "token":
            # The raw bytes, as HTTP carries them.
            proof = {"X-Gitlab-Token": key.decode("latin-1")}
        case "standard":
            identity, moment = delivery.headers["webhook-id"], str(int(at))
            signed = f"{identity}.{moment}.".encode() + body
            signature = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
            proof = {
                "webhook-timestamp": moment,
                "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
            }
        case "basic":
            proof = {"Authorization": "Basic " + base64.b64encode(b"towpath:" + key).decode()}
        case "header":
            proof = {"X-Towpath-Token": key.decode("latin-1")}
        case _:
            raise AssertionError(delivery.signs)
    return {"Content-Type": JSON, **delivery.headers, **proof}
