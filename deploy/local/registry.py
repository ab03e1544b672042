"""The image registry that host and pods share."""

from __future__ import annotations

import yaml

from deploy.local.readiness import http_ok
from deploy.local.service import Service
from deploy.local.settings import Settings

NAME = "registry"


def service(settings: Settings) -> Service:
    """Debian's docker-registry on the bridge; writes its configuration."""
    folder = settings.state / NAME
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yml"
    config.write_text(
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
            }
        )
    )
    return Service(
        name=NAME,
        argv=("/usr/bin/docker-registry", "serve", str(config)),
        # It warns when it has to make up a secret for uploads that several replicas share.
        env={"OTEL_TRACES_EXPORTER": "none"},
        ready=http_ok(f"http://{settings.registry}/v2/"),
        config=(config,),
    )
