"""The namespace of a preview on a data plane: where it answers, and its end."""

import asyncio

from temporalio import activity

from activities.dataplane import Kubernetes
from activities.heartbeat import beating
from model import labels, names
from model.failure import InfrastructureFailure, UserFailure
from model.rollout import Target

REMOVAL_SECONDS = 100.0
POLL_SECONDS = 0.5


class PreviewNamespace:
    """Looks at previews where they run, and removes them whole."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes

    @activity.defn(name="preview.address")
    async def address(self, target: Target) -> str:
        """Where the component's Service answers within the cluster; empty when it has none.

        Raises:
            InfrastructureFailure: the API server cannot be asked.
        """
        name = names.workload(target.component.key.name)
        found = await self._kubernetes.get("v1", "Service", name, target.namespace)
        spec = (found or {}).get("spec") or {}
        host, ports = spec.get("clusterIP") or "", spec.get("ports") or []
        if host in ("", "None") or not ports:
            return ""
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{ports[0]['port']}/"

    @activity.defn(name="preview.remove")
    async def remove(self, target: Target) -> None:
        """Delete the preview's namespace with all that is in it, and wait until it is gone. Absent is fine.

        Raises:
            UserFailure: `NamespaceTaken`, it is no preview that Towpath made.
            InfrastructureFailure: `StillTerminating`, it is not gone within 100 seconds; asked again, it goes on
                waiting.
        """
        async with beating():
            try:
                async with asyncio.timeout(REMOVAL_SECONDS):
                    while not await self._gone(target):  # noqa: ASYNC110  (asked of the API server)
                        await asyncio.sleep(POLL_SECONDS)
            except TimeoutError:
                raise InfrastructureFailure(
                    "StillTerminating",
                    f"Namespace {target.namespace} does not go; `kubectl describe namespace` says what holds it.",
                ) from None

    async def _gone(self, target: Target) -> bool:
        found = await self._kubernetes.get("v1", "Namespace", target.namespace)
        if found is None:
            return True
        metadata = found["metadata"]
        present = metadata.get("labels") or {}
        wanted = {
            labels.MANAGED_BY: labels.MANAGER,
            labels.NAMESPACE: target.component.key.namespace,
            labels.ENVIRONMENT: target.step.environment,
            labels.PREVIEW: "true",
        }
        if any(present.get(key) != value for key, value in wanted.items()):
            raise UserFailure(
                "NamespaceTaken", f"Namespace {target.namespace} is no preview of Towpath's; it is left alone."
            )
        if not metadata.get("deletionTimestamp"):
            await self._kubernetes.delete("v1", "Namespace", target.namespace, uid=metadata["uid"])
        return False
