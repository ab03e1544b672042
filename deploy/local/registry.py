"""The image registry that host and pods share."""

from __future__ import annotations

from typing import Any

import yaml

from deploy.local import credentials
from deploy.local.configuration import write_text
from deploy.local.readiness import http_ok
from deploy.local.service import Service
from deploy.local.settings import Settings

NAME = "registry"


def service(settings: Settings) -> Service:
    """Debian's docker-registry (the CNCF's distribution) on the bridge; writes its configuration.

    It tells Towpath of every push, as people's registries do.
    """
    folder = settings.state / NAME
    config = write_text(
        folder / "config.yml",
        yaml.safe_dump(
            {
                "version": "0.1",
                "log": {"level": "warn", "accesslog": {"disabled": True}},
                "storage": {
                    "filesystem": {"rootdirectory": str(folder / "data")},
                    "delete": {"enabled": True},
                    "cache": {"blobdescriptor": "inmemory"},
                },
                "http": {"addr": settings.registry, "headers": {"X-Content-Type-Options": ["nosniff"]}},
                "notifications": {"endpoints": [_towpath(settings)]},
            }
        ),
        mode=0o600,
    )
    return Service(
        name=NAME,
        argv=("/usr/bin/docker-registry", "serve", str(config)),
        # It warns when it has to make up a secret for uploads that several replicas share.
        env={"OTEL_TRACES_EXPORTER": "none"},
        ready=http_ok(f"http://{settings.registry}/v2/"),
        config=(config,),
    )


def _towpath(settings: Settings) -> dict[str, Any]:
    """The endpoint of its webhook; it sends again until it is answered with a 2xx."""
    return {
        "name": "towpath",
        "url": f"{settings.server_url}/webhooks/registry/distribution",
        "headers": {"Authorization": [f"Bearer {credentials.webhook_secret(settings)}"]},
        "timeout": "10s",
        "threshold": 10,
        "backoff": "1s",
        # Layers, of which there are many, and what nobody would act on.
        "ignore": {"mediatypes": ["application/octet-stream"], "actions": ["pull", "mount", "delete"]},
    }
