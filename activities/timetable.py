"""Windows and freezes, looked up for workflows: zone data may differ between workers, their answers are kept."""

from temporalio import activity

from model import timetable
from model.timetable import Opening, TimetableQuestion


class Timetable:
    """The clocks on the walls of the world."""

    @activity.defn(name="timetable.look")
    async def look(self, question: TimetableQuestion) -> Opening:
        """Whether a release may go in at the moment that is asked about, and until when that stays so.

        Raises:
            UserFailure: `UnknownTimeZone`.
        """
        return timetable.look(question.windows, question.freezes, question.now)
