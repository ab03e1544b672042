"""Repository.spec.limits: how much of a build plane a repository's builds may take."""

from typing import Annotated

from pydantic import Field

from model.priority import Priority
from model.resources.declared import StrictBlock


class BuildLimits(StrictBlock):
    """`running`: how many of its builds may run at once. `priority`: how urgent they are when others wait as
    well; a component's annotation `towpath.dev/priority` goes before it."""

    running: Annotated[int, Field(ge=1, le=1000)] | None = None
    priority: Priority | None = None
