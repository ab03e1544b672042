"""What the registry says when it does not take or give an image."""

from __future__ import annotations

import re

from deploy.builder.command import CommandFailed
from deploy.builder.refusal import BuildInterrupted, BuildRefused

NETWORK = re.compile(
    r"connection refused|connection reset|i/o timeout|no such host|TLS handshake|no route to host|"
    r"50[0-9] |Internal Server Error|Bad Gateway|Service Unavailable|Gateway Time|unexpected EOF|"
    r"no space left on device|cannot allocate memory|toomanyrequests|context deadline",
    re.IGNORECASE,
)
REFUSED = re.compile(r"UNAUTHORIZED|unauthorized|DENIED|authentication required|403 Forbidden|access denied")
ERROR = re.compile(r"[Ee]rror")


def refusal(image: str, failed: CommandFailed) -> BuildRefused:
    """The failure to report when pushing `image`, or reading the base it stands on, did not work."""
    told = failed.told(ERROR)
    if failed.says(REFUSED):
        return BuildRefused("RegistryRefused", f"The registry does not accept our credentials for {image}: {told}")
    return BuildInterrupted("RegistryUnavailable", f"{image} could not be pushed: {told}")
