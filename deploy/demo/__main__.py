"""`python -m deploy.demo`, with the local stack up."""

import os
import sys

import httpx

from deploy.demo.observer import NotInTime
from deploy.demo.story import Story
from deploy.local.exports import exports
from deploy.local.settings import Settings


def main() -> int:
    """Perform the story; 1 when it did not end as it should."""
    told = exports(Settings.from_environment())
    path = os.pathsep.join((told["PATH"], os.environ["PATH"]))
    try:
        Story({**os.environ, **told, "PATH": path}).perform()
    except (NotInTime, RuntimeError, httpx.HTTPError) as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        print("Look at: towpath local status; towpath local logs <service>; towpath status", file=sys.stderr)
        return 1
    return 0


sys.exit(main())
