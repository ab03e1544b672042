"""What the stack can have besides its core: brought up by name with ``towpath local up --with``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local import flux, gitea, prometheus, rollouts, toxiproxy
from deploy.local.catalogue import (
    ARGO_ROLLOUTS,
    FLUX_KUSTOMIZE,
    FLUX_SOURCE,
    GATEWAY_API,
    GITEA,
    PROMETHEUS,
    TOXIPROXY,
)
from deploy.local.errors import StackError
from deploy.local.part import Part
from deploy.local.service import Service
from deploy.local.settings import Settings

ALL = "all"


@dataclass(frozen=True)
class Extra:
    """Something real that only some of the work needs.

    Args:
        name: how people ask for it.
        parts: what it is built from.
        services: its processes, given the settings; may write their configuration files. It runs for
            every command, so it must not ask the cluster for anything.
        manifests: writes a kustomization and returns its folder; applied to the cluster (with the
            administrator's rights) before the services start, each time that its content changes.
        exports: variables for ``towpath local env``, told while the extra is on.
        engine: variables that Towpath's own processes get while the extra is on.
    """

    name: str
    parts: tuple[Part, ...]
    services: Callable[[Settings], list[Service]]
    manifests: Callable[[Settings], Path] | None = None
    exports: Callable[[Settings], Mapping[str, str]] | None = None
    engine: Callable[[Settings], Mapping[str, str]] | None = None


EXTRAS: tuple[Extra, ...] = (
    Extra(
        name="prometheus",
        parts=(PROMETHEUS,),
        services=prometheus.services,
        manifests=prometheus.write_manifests,
        exports=prometheus.exports,
        engine=prometheus.engine,
    ),
    Extra(
        name=rollouts.NAME,
        parts=(ARGO_ROLLOUTS, GATEWAY_API),
        services=rollouts.services,
        manifests=rollouts.write_manifests,
    ),
    Extra(
        name="flux",
        parts=(FLUX_SOURCE, FLUX_KUSTOMIZE),
        services=flux.services,
        manifests=flux.write_manifests,
    ),
    Extra(name=gitea.NAME, parts=(GITEA,), services=gitea.services, exports=gitea.exports),
    Extra(name=toxiproxy.NAME, parts=(TOXIPROXY,), services=toxiproxy.services, exports=toxiproxy.exports),
)
"""In the order in which they are built."""


def chosen(text: str, running: Iterable[str] = ()) -> tuple[str, ...]:
    """The names of the extras to bring up: those asked for, and those that are up already.

    Args:
        text: names separated by commas, or ``all``; empty asks for none.
        running: what is up already.

    Raises:
        StackError: ``NoSuchExtra``.
    """
    words = {word.strip() for word in text.split(",") if word.strip()}
    known = [extra.name for extra in EXTRAS]
    if unknown := sorted(words - {*known, ALL}):
        raise StackError("NoSuchExtra", f"{', '.join(unknown)}; there are: {', '.join([*known, ALL])}")
    wanted = {*known} if ALL in words else words | set(running)
    return tuple(name for name in known if name in wanted)


def of(settings: Settings) -> list[Extra]:
    """The extras that the settings name."""
    return [extra for extra in EXTRAS if extra.name in settings.extras]
