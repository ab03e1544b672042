"""The stack as a whole: what belongs to it, and how it goes up and down."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.local import (
    admission,
    argo,
    cilium,
    cluster,
    containerd,
    coredns,
    engine,
    extras,
    gitserver,
    images,
    kubernetes,
    network,
    registry,
    temporal,
)
from deploy.local.build import build, forget_unused
from deploy.local.catalogue import COREDNS_IMAGE, EXECUTOR_IMAGE, ONLY_FOR_LOCAL_CLUSTER, PARTS, PAUSE_IMAGE
from deploy.local.debian import install_packages
from deploy.local.errors import ServiceFailed, StackError
from deploy.local.exclusion import exclusive
from deploy.local.part import Part
from deploy.local.prerequisites import check_prerequisites
from deploy.local.process import resident_bytes
from deploy.local.progress import Progress
from deploy.local.service import Service
from deploy.local.settings import Settings
from deploy.local.supervisor import Supervisor

_STOPPED_LAST = ("kube-apiserver", "etcd", containerd.NAME)
_BEFORE_ENGINE = ("kube-apiserver", "kube-controller-manager", "temporal", registry.NAME, gitserver.NAME)


@dataclass(frozen=True)
class ServiceStatus:
    """How one service does.

    Args:
        name: of the service.
        state: ``running``, ``unready`` (runs, does not answer) or ``stopped``.
        pid: of its process, when it runs.
        memory_bytes: resident memory; 0 when stopped.
        lacking: what the readiness check misses; empty when ready.
        log: where its output is.
    """

    name: str
    state: str
    pid: int | None
    memory_bytes: int
    lacking: str
    log: Path


class Stack:
    """The local stack on this machine.

    Args:
        settings: paths, addresses and which cluster.
        progress: told of what happens.
    """

    def __init__(self, settings: Settings, progress: Progress | None = None) -> None:
        self.settings = settings
        self.progress = progress or Progress()
        self.supervisor = Supervisor(settings, self.progress)
        self._refusal: StackError | None = None

    def build(self) -> None:
        """Check prerequisites, install packages, build what the cache lacks.

        Raises:
            PrerequisiteMissing: something that people must install is absent.
            BuildFailed: a part could not be made.
        """
        self.compile()
        build(self._parts(), self.settings, self.progress)
        forget_unused(self._parts(), self.settings)

    def compile(self) -> None:
        """The part of ``build`` that needs no root, so that the compilers' caches stay one's own.

        Raises:
            PrerequisiteMissing: something that people must install is absent.
            BuildFailed: a part could not be made.
        """
        check_prerequisites()
        install_packages(self.settings, self.progress)
        build([part for part in self._parts() if part is not images.IMAGES], self.settings, self.progress)

    def up(self) -> None:
        """Bring everything up; what runs unchanged already is left alone.

        Raises:
            StackError: with a stable reason, and the log's tail where a service did not start.
        """
        self.build()
        with self._alone():
            self._up()

    def _up(self) -> None:
        for folder in (self.settings.state, self.settings.run, self.settings.logs):
            folder.mkdir(parents=True, exist_ok=True)
        self.settings.kubeconfigs.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.settings.makes_cluster:
            self.settings.remember()
            network.create_bridge(self.settings)
            kubernetes.prepare_credentials(self.settings)
            kubernetes.place_seccomp_profile(self.settings)
        else:
            self.settings = cluster.adopt(self.settings)
            self.settings.remember()
            self._fill_cluster()
            cluster.write_worker_kubeconfigs(self.settings)
        self.supervisor.start_all(self.services())
        if self.settings.makes_cluster:
            images.preload(self.settings, containerd.pull(self.settings))
        if self._refusal is not None:
            raise self._refusal
        self.progress.say("stack", "up")

    def services(self) -> list[Service]:
        """Every service of the stack; writes their configuration files."""
        settings = self.settings
        services = [
            *temporal.services(settings),
            replace(registry.service(settings), then=self._fill_registry),
            gitserver.service(settings),
            argo.service(settings),
            *engine.services(settings, after=_BEFORE_ENGINE),
        ]
        for extra in extras.of(settings):
            services += extra.services(settings)
        if settings.makes_cluster:
            archives = [
                (containerd.PAUSE_IMAGE, PAUSE_IMAGE.folder(settings) / "image.tar"),
                (argo.executor_image(settings), EXECUTOR_IMAGE.folder(settings) / "image.tar"),
                (coredns.IMAGE, COREDNS_IMAGE.folder(settings) / "image.tar"),
            ]
            services += [
                *kubernetes.services(
                    settings,
                    fill=self._fill_cluster,
                    accounts=lambda: cluster.write_worker_kubeconfigs(settings),
                ),
                containerd.service(settings, archives),
                *cilium.services(settings),
            ]
        return services

    def restart(self, name: str) -> None:
        """Stop and start one service and those that follow it, and wait until they are ready.

        Raises:
            ServiceFailed: there is none of that name, or one does not become ready.
        """
        with self._alone():
            services = self.services()
            if name not in {each.name for each in services}:
                known = ", ".join(sorted(each.name for each in services))
                raise ServiceFailed("NoSuchService", f"{name}; there are: {known}")
            self.supervisor.stop(name)
            self.supervisor.start_all([each for each in services if each.name == name or name in each.follows])

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one service. Raises ``ServiceFailed`` when it does not run."""
        self.supervisor.kill(name, number)

    def pid(self, name: str) -> int | None:
        """The pid of one service, or None when it does not run."""
        return self.supervisor.pid(name)

    def status(self) -> list[ServiceStatus]:
        """How every service does, in the order of their names."""
        return [self._status(service) for service in sorted(self.services(), key=lambda each: each.name)]

    def down(self) -> None:
        """Stop everything that ``up`` started, and nothing else. History and images stay.

        Raises:
            ServiceFailed: a service could not be stopped.
        """
        with self._alone():
            self._down()

    def _down(self) -> None:
        began = time.monotonic()
        if not self.settings.makes_cluster:
            self._leave_cluster()
        started = self.supervisor.started()
        # Pods are removed while containerd runs, but after the kubelet, which would make them anew;
        # the API server goes when nobody needs it any more, and what it stands on goes last.
        self._stop([name for name in started if name not in _STOPPED_LAST])
        if self.supervisor.pid(containerd.NAME) is not None:
            containerd.remove_containers(self.settings)
        self._stop(["kube-apiserver"])
        self._stop(["etcd", containerd.NAME])
        _unmount_below(self.settings.state)
        containerd.forget_addresses(self.settings)
        if self.settings.makes_cluster:
            cilium.remove_leftovers()
            containerd.remove_leftovers()
        network.remove_bridge(self.settings)
        kubernetes.remove_cgroups()
        # The next `up` brings up what it is asked for, not what was there before.
        replace(self.settings, extras=()).remember()
        self.progress.say("stack", f"down after {time.monotonic() - began:.1f} s")

    def _leave_cluster(self) -> None:
        # Somebody's cluster goes on without us, and should not wait for answers that never come.
        try:
            admission.unregister(self.settings)
        except (StackError, OSError) as error:
            self.progress.say("stack", f"the cluster could not be told: {error}")

    def _stop(self, names: Sequence[str]) -> None:
        with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
            list(pool.map(self.supervisor.stop, names))

    def _alone(self) -> AbstractContextManager[None]:
        # Two at once would start everything twice.
        return exclusive(self.settings.state / "lock")

    def hand_over(self) -> None:
        """Give kubeconfigs and secrets to the person who called sudo; without sudo, do nothing."""
        if "SUDO_UID" not in os.environ:
            return
        user, group = int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"])
        for folder in (self.settings.kubeconfigs, self.settings.secrets):
            for path in (folder, *folder.glob("*")):
                if path.exists():
                    os.chown(path, user, group)

    def _parts(self) -> list[Part]:
        more = [part for extra in extras.of(self.settings) for part in extra.parts]
        parts = [*PARTS, images.CRANE, images.IMAGES, *more]
        return [part for part in parts if self.settings.makes_cluster or part not in ONLY_FOR_LOCAL_CLUSTER]

    def _fill_cluster(self) -> None:
        cluster.apply_namespaces(self.settings)
        cluster.apply_once(self.settings, "argo", argo.write_manifests(self.settings))
        if self.settings.makes_cluster:
            cluster.apply_once(self.settings, "coredns", coredns.write_manifests(self.settings))
        for extra in extras.of(self.settings):
            if extra.manifests is not None:
                cluster.apply_once(self.settings, extra.name, extra.manifests(self.settings))
        try:
            cluster.apply_manifests(self.settings)
            admission.register(self.settings)
        except StackError as error:
            # One wrong manifest is told at the end; the rest of the stack is of use all the same.
            self._refusal = error

    def _fill_registry(self) -> None:
        images.push(self.settings, self.progress)
        if not self.settings.makes_cluster:
            argo.push_executor(self.settings)

    def _status(self, service: Service) -> ServiceStatus:
        pid = self.supervisor.pid(service.name)
        lacking = "" if pid is None else service.ready() or ""
        return ServiceStatus(
            name=service.name,
            state="stopped" if pid is None else "unready" if lacking else "running",
            pid=pid,
            memory_bytes=0 if pid is None else resident_bytes(pid),
            lacking=lacking,
            log=self.supervisor.log(service.name),
        )


def _unmount_below(folder: Path) -> None:
    """Undo mounts that pods left in our folder: volumes, network namespaces, root file systems."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].replace("\\040", " ") for line in lines]
    # The newest first: mounts may lie on mounts.
    for point in reversed([point for point in points if Path(point).is_relative_to(folder)]):
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)
