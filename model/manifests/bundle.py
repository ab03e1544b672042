"""All objects of a rollout, put together: the environment's own, and the component's."""

from collections.abc import Sequence
from typing import Any

from model.connection import Connection
from model.manifests.account import service_account
from model.manifests.configuration import configuration
from model.manifests.cronjob import cron_job
from model.manifests.deployment import deployment
from model.manifests.disruption import disruption_budget
from model.manifests.namespace import namespace
from model.manifests.network import allow_dns, component_policy, default_deny
from model.manifests.quota import limit_range, resource_quota
from model.manifests.rollout import API_VERSION, KIND, beside_services, rollout
from model.manifests.service import service
from model.rollout import RolloutRequest, Target
from model.strategy import Strategy
from model.value import Value
from model.workload import Endpoint, Workload

Object = dict[str, Any]

# The kinds a component is made of: what is looked through for what is no longer wanted.
COMPONENT_KINDS: tuple[tuple[str, str], ...] = (
    ("apps/v1", "Deployment"),
    (API_VERSION, KIND),
    ("batch/v1", "CronJob"),
    ("v1", "Service"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy/v1", "PodDisruptionBudget"),
    ("v1", "ConfigMap"),
    ("v1", "ServiceAccount"),
)


class Platform(Value):
    """What the environment needs before any component: `applied` each time, `once` only when absent."""

    namespace: Object
    applied: tuple[Object, ...]
    once: tuple[Object, ...]


class Parts(Value):
    """What a component is made of: `around` first (any order), then the `workload` that needs it."""

    around: tuple[Object, ...]
    workload: Object

    @property
    def template(self) -> Object:
        """The workload's pod template."""
        spec: Object = self.workload["spec"]
        if "jobTemplate" in spec:
            spec = spec["jobTemplate"]["spec"]
        template: Object = spec["template"]
        return template


def platform(target: Target) -> Platform:
    """The objects of a project's environment as a whole."""
    return Platform(
        namespace=namespace(target),
        applied=(default_deny(target), allow_dns(target)),
        once=(resource_quota(target), limit_range(target)),
    )


# Kinds of COMPONENT_KINDS that a cluster may not know.
OPTIONAL_KINDS = frozenset({(API_VERSION, KIND)})


def wanted_strategy(request: RolloutRequest) -> Strategy | None:
    """The strategy that takes an Argo Rollout; None where a Deployment (or CronJob) does."""
    strategy = request.target.step.policy.strategy
    if strategy is None or not strategy.progressive or request.release.workload.kind == "scheduled-task":
        return None
    return strategy


def parts(
    request: RolloutRequest, connections: Sequence[Connection] = (), strategy: Strategy | None = None
) -> Parts:
    """The objects of one release of a component; `connections` are its dependencies, found.

    With a progressive `strategy` (see `wanted_strategy`) the workload is an Argo Rollout.

    Raises:
        UserFailure: `ScheduleMissing`, `FilesTooLarge`, `StrategyNeedsEndpoint`.
    """
    workload = request.release.workload
    endpoints = served(workload)
    around = [service_account(request), component_policy(request, endpoints, connections)]
    config = configuration(request)
    if config is not None:
        around.append(config)
    if workload.kind == "scheduled-task":
        return Parts(around=tuple(around), workload=cron_job(request, connections))
    if endpoints:
        around.append(service(request, endpoints))
    if workload.replicas > 1:
        around.append(disruption_budget(request))
    if strategy is not None:
        if endpoints:
            around += [service(request, endpoints, name) for name in beside_services(request.target, strategy)]
        return Parts(around=tuple(around), workload=rollout(request, strategy, endpoints, connections))
    return Parts(around=tuple(around), workload=deployment(request, endpoints, connections))


def served(workload: Workload) -> tuple[Endpoint, ...]:
    """The endpoints that others can reach: workers and scheduled tasks have none."""
    return workload.endpoints if workload.kind in ("service", "web-application") else ()
