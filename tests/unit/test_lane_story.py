"""What people read of a lane in Temporal's Web UI."""

from model.lane import LaneState
from model.lane_story import picture


def test_what_is_said_after_the_table_is_no_row_of_it() -> None:
    lines = picture(LaneState())
    table = max(at for at, line in enumerate(lines) if line.startswith("|"))
    assert lines[table + 1] == ""
