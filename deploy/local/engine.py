"""Towpath's own processes on the local stack: three workers, one for each plane, and the server."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local import admission, credentials, extras, images
from deploy.local.configuration import write_text
from deploy.local.readiness import http_ok
from deploy.local.service import Service
from deploy.local.settings import Settings

PLANES = ("control", "build", "data")
SERVER = "towpath-server"
_ROOT = Path(__file__).parents[2]
_PACKAGES = ("model", "workflows", "activities", "worker", "triggers")
_PASSED_ON = ("TOWPATH_OTLP_ENDPOINT", "TOWPATH_LOG_LEVEL")
_OPERATOR = "operator"


def worker_name(plane: str) -> str:
    """The service's name of a plane's worker."""
    return f"towpath-{plane}-worker"


def services(settings: Settings, after: tuple[str, ...]) -> list[Service]:
    """The workers and the server; writes the token file.

    Args:
        settings: of the stack.
        after: services that must be ready before.
    """
    stamp = _code_stamp(settings)
    return [*(_worker(settings, plane, after, stamp) for plane in PLANES), _server(settings, after, stamp)]


def _worker(settings: Settings, plane: str, after: tuple[str, ...], stamp: Path) -> Service:
    port = settings.worker_metrics_port + PLANES.index(plane)
    return Service(
        name=worker_name(plane),
        argv=(sys.executable, "-m", "worker", "worker", plane),
        env={
            **_environment(settings, plane),
            "TOWPATH_METRICS_LISTEN": f"127.0.0.1:{port}",
            "TOWPATH_MIRRORS": str(settings.state / "mirrors"),
            **(_build_plane(settings) if plane == "build" else {}),
            **(_guard(settings) if plane == "control" else {}),
        },
        ready=http_ok(f"http://127.0.0.1:{port}/metrics"),
        after=after,
        config=(stamp, settings.kubeconfigs / f"{plane}.conf"),
    )


def _server(settings: Settings, after: tuple[str, ...], stamp: Path) -> Service:
    tokens = settings.secrets / "tokens.json"
    token = hashlib.sha256(credentials.api_token(settings).encode()).hexdigest()
    entry = {"name": _OPERATOR, "email": f"{_OPERATOR}@towpath.local", "roles": ["admin"], "sha256": token}
    write_text(tokens, json.dumps([entry]) + "\n")
    tokens.chmod(0o600)
    return Service(
        name=SERVER,
        argv=(sys.executable, "-m", "worker", "serve"),
        env={
            **_environment(settings, "server"),
            "TOWPATH_LISTEN": f"{settings.bridge_address}:{settings.server_port}",
            "TOWPATH_TOKENS": str(tokens),
            "TOWPATH_PUBLIC_URL": settings.server_url,
            "TOWPATH_SIGNING_KEY": str(credentials.signing_key(settings)),
            **_admission(settings),
            "TOWPATH_WEBHOOK_SECRET": credentials.webhook_secret(settings),
        },
        ready=http_ok(f"{settings.server_url}/readyz"),
        after=after,
        config=(stamp, tokens, settings.kubeconfigs / "server.conf"),
    )


def _admission(settings: Settings) -> Mapping[str, str]:
    """Where the server tells the cluster which manifests can never work."""
    files = admission.certificate(settings)
    return {
        "TOWPATH_ADMISSION_LISTEN": f"{settings.bridge_address}:{settings.admission_port}",
        "TOWPATH_ADMISSION_CERT": str(files.certificate),
        "TOWPATH_ADMISSION_KEY": str(files.key),
    }


def _guard(settings: Settings) -> Mapping[str, str]:
    """The keys by which workflows know what people may say, and what they say among themselves."""
    return {
        "TOWPATH_PROOF_KEYS": str(credentials.proof_keys(settings)),
        "TOWPATH_SEAL_KEYS": str(credentials.seal_keys(settings)),
        "TOWPATH_ACTING_KEY": str(credentials.acting_key(settings)),
    }


def _build_plane(settings: Settings) -> Mapping[str, str]:
    """The images that builds run in and on, as the local registry serves them."""
    languages = ("nodejs", "python")
    builders = {"dockerfile": images.reference(settings, "builder")}
    builders |= {language: images.reference(settings, f"builder-{language}") for language in languages}
    runtimes = {language: images.reference(settings, f"runtime-{language}") for language in languages}
    return {
        "TOWPATH_BUILD_BUILDERS": json.dumps(builders),
        "TOWPATH_BUILD_RUNTIMES": json.dumps(runtimes),
        "TOWPATH_BUILD_HUB": f"{settings.registry}/{images.HUB}",
    }


def _environment(settings: Settings, kubeconfig: str) -> Mapping[str, str]:
    shared = {
        "TEMPORAL_ADDRESS": settings.temporal_address,
        "TEMPORAL_NAMESPACE": settings.temporal_namespace,
        "TEMPORAL_UI_URL": settings.temporal_ui_url,
        "TOWPATH_KUBECONFIG": str(settings.kubeconfigs / f"{kubeconfig}.conf"),
        "TOWPATH_REGISTRY": settings.registry,
        "TOWPATH_REGISTRY_INSECURE": "true",
        "PYTHONPATH": str(_ROOT),
        "PYTHONUNBUFFERED": "1",
    }
    for extra in extras.of(settings):
        shared |= extra.engine(settings) if extra.engine is not None else {}
    return shared | {name: os.environ[name] for name in _PASSED_ON if os.environ.get(name)}


def _code_stamp(settings: Settings) -> Path:
    """A file that changes with our code, so that a second `up` after an edit runs the edited code."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((_ROOT / package).rglob("*.py")):
            digest.update(path.read_bytes())
    stamp = settings.run / "code.sha256"
    write_text(stamp, digest.hexdigest() + "\n")
    return stamp
