"""The story: one Temporal workflow a file. Decisions are in `model/`, effects in `activities/`.

The sandbox is on, and imports a workflow's own module anew for each run. All that it shares with others,
the modules of other workflows included, is passed through: imported once, it costs a run nothing.
"""

from temporalio import workflow

# The SDK adds the workflow's id to the message before arguments are put into it, and ours bear escapes (`%2F`):
# such a line would be lost. What it adds is among the record's extra fields all the same.
workflow.logger.workflow_info_on_message = False
