"""Record one history of each workflow from the running stack: `python -m tests.replay.record v1 [query [types]]`.

`types` are names separated by commas; without them, all. Run it after the demo, when workflows have changed on
purpose; the old files stay, so that runs that were started before the change are replayed as well.
"""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

from temporalio.client import Client

from deploy.local.settings import Settings

HISTORIES = Path(__file__).parent / "histories"
TYPES = (
    *("Delivery", "Build", "BuildQueue", "Promotion", "Lane", "Rollout", "Vigil"),
    *("ChangeDelivery", "CommentDelivery", "Preview", "Deletion"),
    *("Ledger", "Sweep", "Statuses", "ImageDelivery", "Registration"),
)
EVENTS_LIMIT = 1000
PERSONAL = ("stackTrace", "identity")
STICKY_QUEUE = re.compile(r"\d+@[\w.-]+:.*|\d+@[\w.-]+")


async def record(label: str, query: str = "", types: str = "") -> None:
    """Write the longest of the newest histories of each type to `histories/<type>-<label>.json`.

    `query` narrows the choice in Temporal's words, for instance to runs since the code changed.
    """
    settings = Settings.from_environment()
    client = await Client.connect(settings.temporal_address, namespace=settings.temporal_namespace)
    HISTORIES.mkdir(exist_ok=True)
    for name in types.split(",") if types else TYPES:
        longest: list[object] = []
        found = ""
        async for run in client.list_workflows(
            f"WorkflowType = '{name}'{f' AND {query}' if query else ''}", limit=40
        ):
            history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
            events = _impersonal(json.loads(history.to_json())["events"])
            if len(longest) < len(events) <= EVENTS_LIMIT:
                longest, found = events, run.id
        if not found:
            raise SystemExit(f"No {name} has run; run the demo first.")
        target = HISTORIES / f"{name.lower()}-{label}.json"
        target.write_text(json.dumps({"workflowId": found, "events": longest}, indent=0) + "\n")
        print(f"{target.name}: {len(longest)} events of {found}")


def _impersonal(value: Any) -> Any:
    """Without what tells of the machine and plays no part in a replay: stack traces and workers' names."""
    if isinstance(value, dict):
        return {key: _impersonal(each) for key, each in value.items() if key not in PERSONAL}
    if isinstance(value, list):
        return [_impersonal(each) for each in value]
    return "worker" if isinstance(value, str) and STICKY_QUEUE.fullmatch(value) else value


if __name__ == "__main__":
    asyncio.run(record(*sys.argv[1:4]))
