"""Which workflows and activities serve which plane, and with which clients."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Literal

from temporalio.client import Client
from temporalio.worker import Worker

from activities.adoption import Adoption
from activities.apiserver import ApiServer
from activities.argo import BuildPlane
from activities.bindings import Bindings
from activities.build_limits import BuildLimits
from activities.build_queues import BuildQueues
from activities.builds import Builds
from activities.cluster import Cluster
from activities.commenting import Commenting
from activities.commits import Commits
from activities.followers import Followers
from activities.git import Git
from activities.gitaddress import GitAddress
from activities.gitops import GitOpsRepositories
from activities.hosts import Hosts
from activities.imagereader import Credentials, ImageReader
from activities.images import Images, Pulls
from activities.imagesweepwatch import ImageSweepWatch
from activities.jobs import Jobs
from activities.lanes import Lanes
from activities.ledgers import Ledgers
from activities.marks import Marks
from activities.outbound import Outbound
from activities.outboxes import Outboxes
from activities.outside import Outside
from activities.preview_namespace import PreviewNamespace
from activities.preview_plans import PreviewPlans
from activities.previews import Previews
from activities.progress import Progress
from activities.prometheus import DEFAULT, Prometheus
from activities.reconciliation import Reconciliation
from activities.redeliveries import Redeliveries
from activities.registry import Registry
from activities.remains import RemainsOf
from activities.repositories import Repositories
from activities.requests import Requests
from activities.resources import Resources
from activities.rulewatch import RuleWatch
from activities.secrets import Secrets
from activities.sinks import Sinks
from activities.soaking import Soaking
from activities.source import Source
from activities.standings import Standings
from activities.statuses import CommitStatuses
from activities.subscribers import Subscribers
from activities.sweeps import Sweeps
from activities.sweepwatch import SweepWatch
from activities.tags import Tags
from activities.timed_builds import TimedBuilds
from activities.timetable import Timetable
from activities.trusting import Trusting
from activities.verification import Verification
from activities.watchkeeping import Watchkeeping
from activities.webhook_secrets import WebhookSecrets
from activities.webhooks import Webhooks
from model import ids
from model.destination import Reach
from model.failure import Failure
from worker.acting import acting
from worker.failures import FailureInterceptor
from worker.guard import Guard, require_guarded
from worker.keys import proof_keys, seal_keys
from worker.settings import Settings
from workflows.build import Build
from workflows.build_queue import BuildQueue
from workflows.change_delivery import ChangeDelivery
from workflows.comment_delivery import CommentDelivery
from workflows.deletion import Deletion
from workflows.delivery import Delivery
from workflows.image_delivery import ImageDelivery
from workflows.image_sweep import ImageSweep
from workflows.lane import Lane
from workflows.ledger import Ledger
from workflows.outbox import Outbox
from workflows.poison import Poison
from workflows.preview import Preview
from workflows.promotion import Promotion
from workflows.rebinding import Rebinding
from workflows.registration import Registration
from workflows.release_set import ReleaseSet
from workflows.rollout import Rollout
from workflows.rotation import Rotation
from workflows.set_rollback import SetRollback
from workflows.statuses import Statuses
from workflows.sweep import Sweep
from workflows.teardown import Teardown
from workflows.vigil import Vigil

Plane = Literal["control", "build", "data"]
WORKFLOWS: Sequence[type] = (
    Delivery,
    Build,
    BuildQueue,
    Promotion,
    Lane,
    Rollout,
    Rebinding,
    Teardown,
    ChangeDelivery,
    CommentDelivery,
    Deletion,
    ImageDelivery,
    ImageSweep,
    Ledger,
    Sweep,
    Poison,
    Outbox,
    Preview,
    Registration,
    ReleaseSet,
    Rotation,
    SetRollback,
    Statuses,
    Vigil,
)
GRACE = timedelta(seconds=5)
ACTIVITIES_LIMIT = 2000
HEARTBEATS = timedelta(seconds=3)


def activities_of(instance: object) -> list[Callable[..., Any]]:
    """Every activity method of an instance."""
    methods = (getattr(instance, name) for name in dir(instance) if not name.startswith("_"))
    return [method for method in methods if hasattr(method, "__temporal_activity_definition")]


def control_worker(
    client: Client,
    settings: Settings,
    apiserver: ApiServer,
    followers: Followers | None = None,
    subscribers: Subscribers | None = None,
    **options: Any,
) -> Worker:
    """The control plane's worker: the workflows, the declared resources, Git, and Temporal itself.

    Raises:
        UserFailure: there are no keys to tell who may say what to the workflows.
    """
    require_guarded(WORKFLOWS)
    guard = Guard(proof_keys(settings.proof_keys), seal_keys(settings.seal_keys))
    outbound = Outbound(Reach(hosts=settings.outbound_hosts, private=settings.outbound_private))
    git = Git(reachable=GitAddress(outbound))
    source = Source(settings.mirrors, Secrets(apiserver), git)
    outboxes = Outboxes(client, subscribers or Subscribers(apiserver))
    resources, secrets = Resources(apiserver, followers, outboxes if subscribers else None), Secrets(apiserver)
    queues = BuildQueues(client, BuildLimits(apiserver, settings.plane_builds))
    hosts = Hosts(secrets, outbound)
    gates = (Timetable(), Standings(client, resources), Outside(secrets, outbound))
    gitops = (GitOpsRepositories(settings.mirrors, secrets, git), Reconciliation(apiserver), Commits(client))
    bindings = Bindings(apiserver, client, resources)
    previews = (Previews(client), PreviewPlans(apiserver, resources), Requests(apiserver, hosts))
    comments = (Commenting(apiserver, hosts, client), acting(client, settings, apiserver, hosts))
    remains = RemainsOf(apiserver, settings.mirrors, secrets, client, git)
    requests = (Trusting(apiserver, hosts), Adoption(client, resources), remains, *comments)
    statuses = CommitStatuses(client, apiserver, hosts, settings.temporal.ui_url)
    ledgers = Ledgers(client)
    entities = (Images(apiserver), Lanes(client), ledgers, statuses, queues)
    repositories = Repositories(apiserver)
    sweeps = Sweeps(client, source, ledgers, resources, repositories)
    redeliveries = Redeliveries(repositories, hosts, settings.public_url)
    webhooks = Webhooks(apiserver, hosts, WebhookSecrets(apiserver))
    told = (bindings, *previews, *requests, webhooks, outboxes, Sinks(apiserver, secrets, outbound))
    read = (source, resources, sweeps, redeliveries, Tags(apiserver, client), Marks(apiserver))
    instances = (*read, *entities, *gates, *gitops, *told)
    return _worker(client, ids.CONTROL_QUEUE, instances, workflows=WORKFLOWS, guards=(guard,), **options)


def admission_worker(client: Client, settings: Settings) -> Worker:
    """What lets builds onto planes, served beside the control plane's worker: builds ask while they hold a place
    there, and in a flood of them the answer must not have to wait for such a place as well.

    Raises:
        UserFailure: there are no keys to tell who may say what to the workflows.
    """
    guard = Guard(proof_keys(settings.proof_keys), seal_keys(settings.seal_keys))
    return _worker(client, ids.ADMISSION_QUEUE, (), workflows=(BuildQueue, Ledger), guards=(guard,))


def build_worker(client: Client, settings: Settings, apiserver: ApiServer, registry: Registry) -> Worker:
    """A build plane's worker: Argo Workflows and the registry."""
    plane = BuildPlane(
        registry=settings.registry, insecure=settings.registry_insecure, **settings.build.model_dump()
    )
    outbound = Outbound(Reach(hosts=settings.outbound_hosts, private=settings.outbound_private))
    insecure = frozenset({settings.registry} if settings.registry_insecure else ())
    pulls = Pulls(ImageReader(outbound, Credentials(settings.registry_credentials), insecure))
    return _worker(client, ids.build_queue(settings.plane), (Builds(apiserver, registry, plane), pulls))


def data_worker(client: Client, settings: Settings, apiserver: ApiServer) -> Worker:
    """A data plane's worker: applying, watching, verifying."""
    prometheus = Prometheus({DEFAULT: settings.prometheus, **settings.prometheus_servers})
    verification = Verification(apiserver, prometheus=prometheus)
    instances = (
        Cluster(apiserver),
        Progress(apiserver),
        verification,
        Watchkeeping(apiserver, verification, prometheus),
        Jobs(apiserver),
        PreviewNamespace(apiserver),
        Soaking(apiserver),
        Reconciliation(apiserver),
    )
    return _worker(client, ids.data_queue(settings.plane), instances)


@asynccontextmanager
async def serving(plane: Plane, client: Client, settings: Settings) -> AsyncIterator[Worker]:
    """The worker of a plane with its clients open, closed again at the end."""
    apiserver = await ApiServer.connect(settings.kubeconfig or None)
    registry = Registry(settings.registry, insecure=settings.registry_insecure) if plane == "build" else None
    try:
        if plane == "control":
            followers, subscribers = Followers(apiserver), Subscribers(apiserver)
            async with (
                _beside(followers.run()),
                _beside(subscribers.run()),
                _beside(RuleWatch(apiserver, client).run()),
                _beside(SweepWatch(apiserver, client).run()),
                _beside(ImageSweepWatch(apiserver, client).run()),
                _beside(TimedBuilds(apiserver, client).run()),
                admission_worker(client, settings),
            ):
                yield control_worker(client, settings, apiserver, followers, subscribers)
        elif plane == "data":
            yield data_worker(client, settings, apiserver)
        else:
            assert registry is not None  # noqa: S101
            yield build_worker(client, settings, apiserver, registry)
    finally:
        if registry is not None:
            await registry.close()
        await apiserver.close()


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run something for as long as the block lasts."""
    running = asyncio.create_task(work)
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def _worker(
    client: Client,
    queue: str,
    instances: Sequence[object],
    workflows: Sequence[type] = (),
    guards: Sequence[Guard] = (),
    **options: Any,
) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=workflows,
        activities=[method for instance in instances for method in activities_of(instance)],
        interceptors=[FailureInterceptor(), *guards],
        graceful_shutdown_timeout=GRACE,
        # Cancellation reaches an activity with its heartbeats, and each of some hundred waiting builds sends
        # its own: nothing waits for a cancelled one to end, so three seconds will do.
        max_heartbeat_throttle_interval=HEARTBEATS,
        default_heartbeat_throttle_interval=HEARTBEATS,
        # Our failures end an update or a workflow; anything else is a bug and retries its task, visibly.
        workflow_failure_exception_types=[Failure],
        max_cached_workflows=500,
        # How long work waits for a worker that has died before another one takes it up.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=3),
        # Most are watches of builds and rollouts that wait for hours: the SDK's default of 100 would let
        # the hundred-and-first build wait for the end of another.
        max_concurrent_activities=ACTIVITIES_LIMIT,
        **options,
    )
