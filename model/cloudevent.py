"""A CloudEvent that is sent out: what has happened, for programs (github.com/cloudevents/spec, version 1.0)."""

from model.value import Value

SPECVERSION = "1.0"
PREFIX = "dev.towpath."


class CloudEvent(Value):
    """`subject` is the component (`namespace/name`), by which events are in order; `time` is RFC 3339; `data` is
    texts and numbers only. `project` is not sent as an attribute: subscriptions choose by it."""

    id: str
    type: str
    source: str
    subject: str
    time: str
    project: str = ""
    data: dict[str, str | int] = {}

    @property
    def namespace(self) -> str:
        """The namespace of the component."""
        return self.subject.partition("/")[0]

    def document(self) -> dict[str, object]:
        """The event in the JSON event format."""
        return {
            "specversion": SPECVERSION,
            "id": self.id,
            "type": self.type,
            "source": self.source,
            "subject": self.subject,
            "time": self.time,
            "datacontenttype": "application/json",
            "data": self.data,
        }
