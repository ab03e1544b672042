"""What both groups' Components show of themselves. Written by `activities.resources` alone."""

from typing import Annotated

from pydantic import Field

from model.resources.declared import READY, Column, Condition, Rule, StrictBlock, Text, Word


class LatestRelease(StrictBlock):
    """The newest release; OpenChoreo's own field, with the image beside it."""

    name: Word = ""
    image: Text = ""


class BuildStatus(StrictBlock):
    """The newest build: its Temporal workflow, commit, phase."""

    workflow: Text = ""
    commit: Word = ""
    phase: Word = ""
    message: Text = ""


class EnvironmentStatus(StrictBlock):
    """One environment: what runs there and how it is, and what waits at its gate."""

    name: Word
    release: Word = ""
    image: Text = ""
    commit: Word = ""
    revision: int = 0
    health: Word = ""
    reason: Word = ""
    message: Text = ""
    namespace: Word = ""
    waiting_release: Word = ""
    waiting_promotion: Text = ""
    waiting_reason: Word = ""
    held: Text = ""


class ComponentStatus(StrictBlock):
    """`environments` and `conditions` are maps by key, so that several writers each apply their own entry."""

    observed_generation: int = 0
    project: Word = ""
    stage: Word = ""
    message: Text = ""
    latest_release: LatestRelease | None = None
    build: BuildStatus | None = None
    environments: Annotated[
        list[EnvironmentStatus],
        Field(
            max_length=64,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = []
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=32,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = []


COLUMNS = (
    Column("Stage", ".status.stage"),
    READY,
    Column("Release", ".status.latestRelease.name"),
    Column("Image", ".status.latestRelease.image", priority=1),
)

# A component's name becomes a Service's and a label's value: RFC 1035 label, at most 63 characters.
NAME_RULE = Rule(
    "",
    "size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    "metadata.name: at most 63 lower-case letters, digits and -, beginning with a letter",
)
