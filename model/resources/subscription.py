"""`towpath.dev/v1alpha1` Subscription: who is told by CloudEvents of what happens in a namespace."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, WithJsonSchema

from model.resources.declared import AGE, TOWPATH, Column, Declared, Kind, Label, ObjectName, Status, StrictBlock
from model.resources.provider_api import SecretKey

SINK = r"^https?://[A-Za-z0-9\[][^\s@#]*$"


class SecretOfSink(StrictBlock):
    """One key of a Secret in the subscription's namespace."""

    name: ObjectName
    key: SecretKey = "secret"


class Authentication(StrictBlock):
    """How a delivery proves that it is ours: signed as Standard Webhooks say (`hmac`), or with the text itself as
    a bearer token."""

    type: Literal["hmac", "bearer"] = "hmac"
    secret_ref: SecretOfSink


class SubscriptionSpec(StrictBlock):
    """`sink` is where events are sent to. `types` are types of events or beginnings of such that end in `*`; empty
    means all, as do empty `projects` and `components`."""

    sink: Annotated[str, Field(max_length=2048, pattern=SINK)]
    types: Annotated[
        list[Annotated[str, Field(max_length=100, pattern=r"^[a-z][a-z0-9.]*[*]?$")]], Field(max_length=50)
    ] = []
    projects: Annotated[list[Label], Field(max_length=50)] = []
    components: Annotated[list[Label], Field(max_length=100)] = []
    authentication: Authentication | None = None


class SubscriptionStatus(Status):
    """How it goes. `waiting` events are still to be sent; `dropped` were given up since the outbox was last
    idle."""

    state: Literal["Delivering", "Failing", ""] = ""
    waiting: int = 0
    dropped: int = 0
    failing_since: Annotated[str, WithJsonSchema({"type": "string"})] = ""
    last_delivery: Annotated[str, WithJsonSchema({"type": "string"})] = ""
    message: Annotated[str, Field(max_length=1024)] = ""


class Subscription(Declared):
    """A subscriber to what happens to the components of its namespace."""

    declared_as: ClassVar[Kind] = Kind(
        group=TOWPATH,
        kind="Subscription",
        plural="subscriptions",
        columns=(
            Column("Sink", ".spec.sink", priority=1),
            Column("State", ".status.state"),
            Column("Waiting", ".status.waiting", "integer"),
            Column("Dropped", ".status.dropped", "integer"),
            Column("Last delivery", ".status.lastDelivery"),
            AGE,
        ),
    )

    spec: SubscriptionSpec
    status: SubscriptionStatus | None = None
