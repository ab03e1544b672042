"""The command line of people: everything it does goes through the API.

Exit codes: 0 done, 1 failed, 2 usage, 3 waiting at a gate.
"""

from triggers.commandline import (
    applying,
    building,
    deciding,
    events,
    gating,
    looking,
    moving,
    previewing,
    queueing,
    repositories,
    schedules,
    sets,
    signing,
    steering,
    sweeping,
)
from triggers.commandline.application import app

commands = (looking, building, moving, deciding, gating, previewing, queueing, steering, applying, sets, signing)
for group in (*commands, events, repositories, schedules, sweeping):
    group.register(app)

__all__ = ["app"]
