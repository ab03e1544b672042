"""GitOps controllers and what they made: whether a commit is applied, and which Deployment came of it."""

import asyncio
import time
from contextlib import aclosing
from typing import Any, Protocol

import structlog
from temporalio import activity

from activities.dataplane import Kubernetes
from activities.heartbeat import beating
from model import names, reconciled
from model.failure import InfrastructureFailure, UserFailure
from model.gitops import AppliedAnswer, AppliedQuestion, located
from model.gitops_policy import Controller, GitOps
from model.health import CONTAINER, image_of
from model.labels import SPEC_HASH
from model.rollout import Applied, RolloutRequest

Object = dict[str, Any]
VERSIONS = {"Kustomization": "kustomize.toolkit.fluxcd.io/v1", "Application": "argoproj.io/v1alpha1"}
SOURCES = "source.toolkit.fluxcd.io/v1"
_FLUX_NOW = "reconcile.fluxcd.io/requestedAt"
_ARGO_NOW = "argocd.argoproj.io/refresh"

log = structlog.get_logger(__name__)


class Patching(Kubernetes, Protocol):
    """What is needed besides: telling a controller to look now."""

    async def merge(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str,
        patch: Object,
        subresource: str = "",
        field_manager: str = "towpath",
    ) -> Object:
        """JSON merge patch."""


class Reconciliation:
    """Watches the controller's object in the cluster where it lives."""

    def __init__(self, kubernetes: Patching) -> None:
        self._kubernetes = kubernetes

    @activity.defn(name="gitops.applied")
    async def applied(self, question: AppliedQuestion) -> AppliedAnswer:
        """Wait until the controller speaks of a revision that is not known yet, or the time is over.

        It is asked to look at once, so that its own interval does not matter.

        Raises:
            InfrastructureFailure: the API server is away, `KindNotServed`: the controller is not installed.
            UserFailure: the API server refuses.
        """
        controller = _policy(question.request).controller
        last = AppliedAnswer(state="waiting", reason="ControllerSilent", message="Its object could not be read.")
        # Elapsed time over all tries, as far as the first one said when it began.
        details = activity.info().heartbeat_details
        began = float(details[0]["began"]) if details and isinstance(details[0], dict) else time.time()
        left = max(0.0, question.seconds - max(0.0, time.time() - began))
        async with beating(lambda: {"began": began}):
            try:
                async with asyncio.timeout(left):
                    await self._look_now(controller)
                    changes = self._kubernetes.watch(
                        VERSIONS[controller.kind],
                        controller.kind,
                        controller.namespace,
                        fields=f"metadata.name={controller.name}",
                    )
                    async with aclosing(changes):
                        async for change in changes:
                            if change.type == "SYNCED":
                                if last.reason == "ControllerSilent":
                                    last = reconciled.answer(controller.kind, None, question.known)
                                continue
                            gone = change.type == "DELETED"
                            last = reconciled.answer(
                                controller.kind, None if gone else change.object, question.known
                            )
                            if last.state != "waiting":
                                return last
            except TimeoutError:
                pass
        return last

    @activity.defn(name="gitops.found")
    async def found(self, request: RolloutRequest) -> Applied:
        """The Deployment that the controller made, for watching it; it must have the release's digest.

        Raises:
            UserFailure: `WorkloadMissing`, `DigestDiffers`, `GitOpsUnsupported`.
        """
        policy, release, request = _policy(request), request.release, located(request)
        name = policy.workload_name or names.workload(request.target.component.key.name)
        namespace = request.target.namespace
        if release.workload.kind == "scheduled-task":
            raise UserFailure("GitOpsUnsupported", "Scheduled tasks are only owned by GitOps as releaseBinding.")
        deployment = await self._kubernetes.get("apps/v1", "Deployment", name, namespace)
        if deployment is None:
            raise UserFailure(
                "WorkloadMissing",
                f"{policy.controller.kind} {policy.controller.name} has applied the commit, and there is no "
                f"Deployment {namespace}/{name}; say in spec.gitops.workload what it is called.",
            )
        template = deployment["spec"]["template"]
        image = image_of(template)
        if image.rpartition("@")[2] != release.digest:
            raise UserFailure(
                "DigestDiffers",
                f"Container {CONTAINER!r} of Deployment {namespace}/{name} has {image[:300] or 'no image'}, not "
                f"{release.digest}: does {policy.path} decide what it runs?",
            )
        rules = request.target.step.policy
        return Applied(
            namespace=namespace,
            name=name,
            uid=deployment["metadata"]["uid"],
            generation=deployment["metadata"]["generation"],
            image=image,
            stability_seconds=rules.stability_seconds,
            deadline_seconds=rules.deadline_seconds,
            selector=deployment["spec"]["selector"].get("matchLabels") or {},
            template=str((template["metadata"].get("annotations") or {}).get(SPEC_HASH, "")),
            replicas=int(deployment["spec"].get("replicas", 1)),
        )

    async def _look_now(self, controller: Controller) -> None:
        """Ask for a look at once. A controller that may not be asked looks at its own interval."""
        now = f"{time.time():.6f}"
        try:
            if controller.kind == "Application":
                await self._annotate(controller.kind, controller.name, controller.namespace, _ARGO_NOW, "normal")
                return
            obj = await self._kubernetes.get(
                VERSIONS["Kustomization"], "Kustomization", controller.name, controller.namespace
            )
            source = ((obj or {}).get("spec") or {}).get("sourceRef") or {}
            if source.get("kind") == "GitRepository":
                namespace = source.get("namespace") or controller.namespace
                await self._annotate("GitRepository", source["name"], namespace, _FLUX_NOW, now)
        except UserFailure as failure:
            log.warning("controller not asked to look now", name=controller.name, reason=failure.reason)
        except InfrastructureFailure as failure:
            if failure.reason == "KindNotServed":
                raise
            log.warning("controller not asked to look now", name=controller.name, reason=failure.reason)

    async def _annotate(self, kind: str, name: str, namespace: str, key: str, value: str) -> None:
        version = VERSIONS.get(kind, SOURCES)
        patch = {"metadata": {"annotations": {key: value}}}
        await self._kubernetes.merge(version, kind, name, namespace, patch)


def _policy(request: RolloutRequest) -> GitOps:
    policy = request.target.step.policy.gitops
    if policy is None:
        raise UserFailure("NotGitOps", "This environment is not owned by GitOps.")
    return policy
