"""What the builder is asked to do; it arrives as base64 of JSON in one environment variable."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, fields

from deploy.builder.refusal import BuildInterrupted

VARIABLE = "TOWPATH_PLAN"
"""Base64, because Argo would expand `{{...}}` that people wrote into their settings."""


@dataclass(frozen=True)
class Plan:
    """One build.

    Args:
        url: of the repository, without credentials.
        commit: full commit id.
        ref: where the commit was seen; fetched when the server does not serve single commits.
        app_path: folder of the component.
        kind: `dockerfile` or `runtime`.
        image: `host[:port]/path:tag` to push to.
        base: image that a runtime build adds its layers to.
        runtime: `nodejs` or `python`.
        file: Dockerfile, relative to the repository.
        context: its build context, relative to the repository.
        arguments: build arguments of the Dockerfile.
        environment: variables for the tools that run during the build.
        hub: `host:port/path` that stands in for docker.io; empty for the real one.
        insecure: registries spoken to without TLS.
    """

    url: str
    commit: str
    ref: str
    kind: str
    image: str
    app_path: str = "."
    base: str = ""
    runtime: str = ""
    file: str = "Dockerfile"
    context: str = "."
    arguments: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    hub: str = ""
    insecure: tuple[str, ...] = ()

    @classmethod
    def decode(cls, text: str) -> Plan:
        """Read the variable; fields of a newer engine are ignored.

        Raises:
            BuildInterrupted: `BadPlan`.
        """
        try:
            raw = json.loads(base64.b64decode(text, validate=True))
            known = {each.name for each in fields(cls)}
            plan = cls(**{name: value for name, value in raw.items() if name in known})
        except (ValueError, TypeError, AttributeError) as error:
            raise BuildInterrupted(
                "BadPlan", f"The engine's build plan cannot be read ({error}); do engine and builder image match?"
            ) from None
        return plan
