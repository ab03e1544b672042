"""GitHub (and GitHub Enterprise): https://docs.github.com/webhooks/webhook-events-and-payloads"""

from collections.abc import Mapping
from urllib.parse import parse_qs

from model.change_request import ChangeAction
from model.event import Event
from model.push import Ping
from triggers.problem import Problem
from triggers.webhooks import signature
from triggers.webhooks.document import Document
from triggers.webhooks.envelope import Envelope
from triggers.webhooks.moved import moved
from triggers.webhooks.requested import requested

_ACTIONS: dict[str, ChangeAction] = {
    "opened": "open",
    "reopened": "open",
    "synchronize": "update",
    "edited": "update",
    "closed": "close",
}


class GitHub:
    """Pushes of branches and pull requests are taken, everything else is answered and ignored."""

    name = "github"

    def authenticate(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:
        """HMAC-SHA256 over the raw body; the SHA-1 header is not looked at."""
        signature.check(headers.get("x-hub-signature-256", ""), body, secrets)

    def read(self, headers: Mapping[str, str], body: bytes) -> Document:
        """JSON as it is, or the `payload` field of a form: the form is what GitHub's own page preselects."""
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/x-www-form-urlencoded":
            return Document.read(body)
        try:
            fields = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=8)
            return Document.read(fields["payload"][0].encode())
        except (ValueError, KeyError):
            raise Problem(400, "MalformedPayload", "The form lacks a readable field `payload`.") from None

    def addresses(self, document: Document) -> tuple[str, ...]:
        """The https address first, then the ssh one."""
        found = (document.find("repository", name) for name in ("clone_url", "ssh_url"))
        return tuple(address for address in found if isinstance(address, str))

    def parse(self, headers: Mapping[str, str], document: Document) -> tuple[Event, ...]:
        """`push` on a branch is a Push, `pull_request` a ChangeRequest, `ping` a Ping."""
        envelope = Envelope.read(self.name, headers, "X-GitHub-Event", "X-GitHub-Delivery")
        if envelope.event == "ping":
            return (Ping(provider=self.name, delivery=envelope.delivery),)
        if envelope.event == "pull_request":
            return (self._pull_request(envelope, document),)
        if envelope.event != "push":
            return (envelope.not_used("push", "pull_request"),)
        return (
            moved(
                provider=self.name,
                delivery=envelope.delivery,
                url=document.text("repository", "clone_url"),
                ref=document.text("ref"),
                before=document.text("before"),
                after=document.text("after"),
                forced=document.flag("forced"),
                pusher=document.optional_text("pusher", "name"),
                email=document.optional_text("pusher", "email"),
            ),
        )

    def _pull_request(self, envelope: Envelope, document: Document) -> Event:
        """https://docs.github.com/webhooks/webhook-events-and-payloads#pull_request"""
        told = document.text("action")
        action = _ACTIONS.get(told)
        if action is None or (told == "edited" and document.find("changes", "base") is None):
            shown = "".join(ch for ch in told[:40] if ch.isprintable())
            return envelope.ignored("ActionNotUsed", f"Action {shown} of a pull request changes no preview.")
        url = document.text("repository", "clone_url")
        # The head's repository is null when a fork was deleted meanwhile.
        head_url = document.find("pull_request", "head", "repo", "clone_url")
        return requested(
            envelope,
            action,
            url=url,
            change=str(document.number("pull_request", "number")),
            branch=document.text("pull_request", "head", "ref"),
            base=document.text("pull_request", "base", "ref"),
            head=document.text("pull_request", "head", "sha"),
            before=document.text("pull_request", "base", "sha"),
            head_url=head_url if isinstance(head_url, str) else f"{url.removesuffix('.git')}-of-a-deleted-fork",
            title=document.optional_text("pull_request", "title"),
            actor=document.optional_text("sender", "login"),
            order=document.moment("pull_request", "updated_at"),
        )
