"""What is told to people about a component: an Event and a piece of its status."""

from typing import Literal

from model.component import Component
from model.value import Value


class BuildNote(Value):
    """The build column of a component's status."""

    workflow: str
    commit: str
    phase: str
    message: str = ""


class EnvironmentNote(Value):
    """One environment of a component's status. `health`: Healthy, Progressing, Degraded, Waiting, Unknown."""

    name: str
    release: str = ""
    image: str = ""
    commit: str = ""
    revision: int = 0
    health: str = "Unknown"
    reason: str = ""
    message: str = ""
    namespace: str = ""
    waiting_release: str = ""
    waiting_promotion: str = ""
    waiting_reason: str = ""
    held: str = ""


class Note(Value):
    """One thing that happened. `reason` is a stable CamelCase word, `message` is for people.

    `stage` is the short text of the STAGE column, for instance `Building` or `development: Healthy`.
    `environment` is what the lane says of an environment, `waiting` what a promotion says of its gate
    (only its name and `waiting_*` count): each has its own field manager. `of_manifest`: it is about the
    manifest as it stands, so whoever else finds that too adds nothing to it. `aside`: an Event is all, since it is
    not about what the component itself has come to.
    """

    component: Component
    type: Literal["Normal", "Warning"] = "Normal"
    reason: str
    message: str
    stage: str = ""
    workflow: str = ""
    build: BuildNote | None = None
    environment: EnvironmentNote | None = None
    waiting: EnvironmentNote | None = None
    latest_release: str = ""
    latest_image: str = ""
    ready: bool | None = None
    of_manifest: bool = False
    aside: bool = False
