"""Components that are built at times of their own: when next, and how the last time went."""

import asyncio

from model import ids
from triggers.declared import Declared, DeclaredComponent
from triggers.runs import Runs
from triggers.views import ScheduleView
from triggers.webhooks.receiver import Link
from workflows.attributes import STAGE


class Timetable:
    """The schedules that components declare, as Temporal keeps them."""

    def __init__(self, runs: Runs, declared: Declared, link: Link) -> None:
        self._runs = runs
        self._declared = declared
        self._link = link

    async def all(self) -> list[ScheduleView]:
        """Every declared one.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`.
        """
        return list(
            await asyncio.gather(*(self._view(each) for each in self._declared.components() if _has(each)))
        )

    async def _view(self, declared: DeclaredComponent) -> ScheduleView:
        component = declared.component
        assert component is not None  # noqa: S101  (those without are left out)
        name = ids.timed_build(declared.key)
        next_at, runs = await asyncio.gather(
            self._runs.next_time(name), self._runs.find_below("Delivery", f"{name}/", 1)
        )
        last = runs[0] if runs else None
        return ScheduleView(
            component=str(declared.key),
            times=component.schedules,
            branch=component.source.branch if component.source else "",
            schedule=name,
            next_at=next_at or 0,
            problem="" if next_at else "Temporal does not have it (yet); is a control worker running?",
            last_at=last.started_at if last else 0,
            last=(last.attributes.get(STAGE, "") or last.status.lower()) if last else "",
            workflow=last.workflow if last else "",
            url=self._link(last.workflow) if last else "",
        )


def _has(declared: DeclaredComponent) -> bool:
    return declared.component is not None and bool(declared.component.schedules)
