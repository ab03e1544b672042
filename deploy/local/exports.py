"""What a shell, a test or a bench needs to know of the running stack."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from deploy.local import credentials, extras
from deploy.local.catalogue import KUBERNETES
from deploy.local.settings import Settings


def exports(settings: Settings) -> dict[str, str]:
    """Environment variables by name; ``PATH`` is what to put before the present one."""
    return {
        "KUBECONFIG": str(settings.kubeconfig),
        "TEMPORAL_ADDRESS": settings.temporal_address,
        "TEMPORAL_NAMESPACE": settings.temporal_namespace,
        "TEMPORAL_UI_URL": settings.temporal_ui_url,
        "TOWPATH_URL": settings.server_url,
        "TOWPATH_TOKEN": credentials.api_token(settings),
        "TOWPATH_WEBHOOK_SECRET": credentials.webhook_secret(settings),
        "TOWPATH_GIT_URL": settings.git_url,
        "TOWPATH_REGISTRY": settings.registry,
        **{
            name: value
            for extra in extras.of(settings)
            if extra.exports is not None
            for name, value in extra.exports(settings).items()
        },
        # kubectl, and towpath itself.
        "PATH": os.pathsep.join((str(KUBERNETES.folder(settings)), str(Path(sys.executable).parent))),
    }
