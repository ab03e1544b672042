"""The two bases every model stands on."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """An immutable value that travels through Temporal histories.

    Unknown fields are dropped, so that a history written by a newer version still replays; fields that
    are added later must carry a default.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")


class State(BaseModel):
    """The mutable state of one workflow; it is what continue-as-new carries over."""

    model_config = ConfigDict(frozen=False, extra="ignore", validate_assignment=False)
