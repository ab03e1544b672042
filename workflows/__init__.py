"""The story: one Temporal workflow a file. Decisions are in `model/`, effects in `activities/`.

The sandbox is on, and imports a workflow's own module anew for each run. All that it shares with others,
the modules of other workflows included, is passed through: imported once, it costs a run nothing.
"""
