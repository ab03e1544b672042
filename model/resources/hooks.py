"""The hooks block of a PromotionPolicy: Jobs around a deployment."""

from typing import Annotated

from pydantic import Field

from model.duration import Duration
from model.resources.declared import VARIABLE, StrictBlock, Text, Word

HOOKS_LIMIT = 10
COMMAND_LIMIT = 100


class HookSecretKey(StrictBlock):
    """One key of a Secret in the data plane's namespace."""

    name: Word
    key: Word


class HookValueFrom(StrictBlock):
    """Where a value comes from."""

    secret_key_ref: HookSecretKey


class HookVariable(StrictBlock):
    """An environment variable besides the workload's own; `value` or `valueFrom`."""

    name: Annotated[str, Field(max_length=253, pattern=VARIABLE)]
    value: Text | None = None
    value_from: HookValueFrom | None = None


class HookJob(StrictBlock):
    """One Job. It runs as the release does: its image (unless `image` names another), settings and files.

    `deadline` is for one try (at most 1h), `retries` how often a failed one is tried again.
    `compensation` is the command that undoes it; it may run more than once.
    """

    name: Annotated[str, Field(max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    command: Annotated[list[Text], Field(max_length=COMMAND_LIMIT)] | None = None
    image: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\s]+$")] | None = None
    env: Annotated[list[HookVariable], Field(max_length=50)] | None = None
    deadline: Duration | None = None
    retries: Annotated[int, Field(ge=0, le=5)] | None = None
    compensation: Annotated[list[Text], Field(min_length=1, max_length=COMMAND_LIMIT)] | None = None


class Hooks(StrictBlock):
    """Jobs `before` a release is applied, and `after` it was verified; one after the other."""

    before: Annotated[list[HookJob], Field(max_length=HOOKS_LIMIT)] | None = None
    after: Annotated[list[HookJob], Field(max_length=HOOKS_LIMIT)] | None = None
