"""Schedules: which components are built at times of their own."""

from fastapi import APIRouter, Depends

from triggers.api.access import Use, reader
from triggers.views import ScheduleView

router = APIRouter(dependencies=[Depends(reader)], tags=["schedules"])


@router.get("/schedules")
async def list_schedules(use: Use) -> list[ScheduleView]:
    """All declared schedules, with their next and last times."""
    return await use.timetable.all()
