"""Toxiproxy, an extra: stands before a service and makes its connections slow, break or fail, for fault tests."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.local.catalogue import TOXIPROXY
from deploy.local.readiness import http_ok
from deploy.local.service import Service
from deploy.local.settings import Settings

NAME = "toxiproxy"


def url(settings: Settings) -> str:
    """Where its API answers; the proxies that are made there listen where one asks them to."""
    return f"http://127.0.0.1:{settings.toxiproxy_port}"


def exports(settings: Settings) -> Mapping[str, str]:
    """What a shell is told of it."""
    return {"TOWPATH_TOXIPROXY_URL": url(settings)}


def services(settings: Settings) -> list[Service]:
    """The one process; it begins without any proxy."""
    return [
        Service(
            name=NAME,
            argv=(
                str(TOXIPROXY.folder(settings) / "toxiproxy"),
                "-host=127.0.0.1",
                f"-port={settings.toxiproxy_port}",
            ),
            # Whatever calls itself a browser is refused (its guard against rebinding), this is not.
            ready=http_ok(f"{url(settings)}/version"),
        )
    ]
