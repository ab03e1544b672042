"""What is declared on the control plane, in memory: components, their repositories and webhook secrets."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from activities.informer import Informer, Object, Watching
from model.component import Component
from model.failure import Failure, UserFailure
from model.key import ComponentKey
from model.pipeline import in_order
from model.repository import normalise
from triggers.repositories import KnownRepository

OPENCHOREO = "openchoreo.dev/v1alpha1"
CHOREO = "choreo.dev/v1"
TOWPATH = "towpath.dev/v1alpha1"
SECRETS_REFRESH_SECONDS = 30.0

log = structlog.get_logger(__name__)


class SecretReader(Protocol):
    """Reads one key of a Kubernetes Secret."""

    async def live(self, namespace: str, name: str, key: str) -> tuple[str, ...]:
        """What deliveries may be signed with: several while one replaces another, empty when there is none."""
        ...


@dataclass(frozen=True)
class DeclaredComponent:
    """A component's object as it lies on the API server, and as the engine understands it.

    `component` is None when it does not convert; `problem` then says why.
    """

    key: ComponentKey
    object: Object
    component: Component | None
    problem: str = ""


@dataclass(frozen=True)
class _SecretRef:
    namespace: str
    name: str
    key: str


class Declared:
    """The kinds that the server follows. Everything but `run` answers from memory; `server` is where they are.

    `convert` turns an object of either group into a Component and raises UserFailure when it cannot.
    """

    def __init__(self, server: Watching, secrets: SecretReader, convert: Callable[[Object], Component]) -> None:
        self.server = server
        self._components = (Informer(server, OPENCHOREO, "Component"), Informer(server, CHOREO, "Component"))
        self._repositories = Informer(server, TOWPATH, "Repository")
        self._pipelines = Informer(server, OPENCHOREO, "DeploymentPipeline")
        self._bindings = Informer(server, OPENCHOREO, "ReleaseBinding")
        self._reader = secrets
        self._convert = convert
        self._entries: dict[tuple[str, ComponentKey], DeclaredComponent] = {}
        self._listeners: list[Callable[[DeclaredComponent], None]] = []
        self._mourners: list[Callable[[DeclaredComponent], None]] = []
        self._secrets: dict[_SecretRef, tuple[str, ...]] = {}
        self._secrets_read = asyncio.Event()
        self._refs_changed = asyncio.Event()
        self._known: dict[str, KnownRepository] | None = None
        for informer in self._components:
            informer.listen(self._component_changed)
        self._repositories.listen(self._repository_changed)

    def listen(self, listener: Callable[[DeclaredComponent], None]) -> None:
        """Hear of every component that is new or has changed. Listeners must be quick and not raise."""
        self._listeners.append(listener)

    def listen_removed(self, listener: Callable[[DeclaredComponent], None]) -> None:
        """Hear of every component whose object was deleted. Listeners must be quick and not raise."""
        self._mourners.append(listener)

    def listen_bindings(self, listener: Callable[[Object | None, Object | None], None]) -> None:
        """Hear of every change of a ReleaseBinding, as an `Informer` tells it."""
        self._bindings.listen(listener)

    async def components_read(self) -> None:
        """Wait until all components have been read once."""
        for informer in self._components:
            await informer.synced.wait()

    async def run(self) -> None:
        """Follow the API server for ever."""
        async with asyncio.TaskGroup() as tasks:
            for informer in (*self._components, self._repositories, self._pipelines, self._bindings):
                tasks.create_task(informer.run())
            tasks.create_task(self._keep_secrets())

    @property
    def ready(self) -> bool:
        """Whether all kinds and the secrets they name have been read once."""
        return not self.waits_for

    @property
    def waits_for(self) -> list[str]:
        """What has not been read yet, for people."""
        informers = (*self._components, self._repositories)
        waits = [f"{each.kind} ({each.api_version})" for each in informers if not each.synced.is_set()]
        return waits or ([] if self._secrets_read.is_set() else ["webhook secrets"])

    @property
    def any_own_secrets(self) -> bool:
        """Whether any repository has webhook secrets of its own."""
        return any(known.secrets is not None for known in self._index().values())

    @property
    def own_secrets(self) -> tuple[str, ...]:
        """All webhook secrets that repositories have of their own."""
        return tuple(secret for known in self._index().values() for secret in known.secrets or ())

    def find(self, address: str) -> KnownRepository | None:
        """The repository at an address, however it is written.

        GitHub's paths are the same in upper and lower case; other hosts' are not.
        """
        try:
            wanted = normalise(address)
        except UserFailure:
            return None
        return self._index().get(_folded(wanted))

    def components(self) -> list[DeclaredComponent]:
        """All components by namespace and name. Declared in both groups, OpenChoreo's counts."""
        chosen = {entry.key: entry for (_, _), entry in sorted(self._entries.items(), key=lambda pair: pair[0][0])}
        return [chosen[key] for key in sorted(chosen, key=str)]

    def component(self, key: ComponentKey) -> DeclaredComponent | None:
        """One component, or None."""
        return self._entries.get((OPENCHOREO, key)) or self._entries.get((CHOREO, key))

    def waiting(self) -> Counter[str]:
        """How many releases wait for people (at a gate or a held lane), by environment, as the status says."""
        return Counter(
            environment["name"]
            for entry in self.components()
            for environment in _at(entry.object, "status", "environments") or []
            if environment.get("waitingRelease")
        )

    def repositories(self) -> dict[tuple[str, str], Object]:
        """The Repository objects by namespace and name."""
        return dict(self._repositories.objects)

    def environments(self, namespace: str) -> tuple[str, ...]:
        """The environments of a namespace's pipelines, sources before targets where that can be told."""
        paths: dict[str, set[str]] = {}
        for (where, _), obj in sorted(self._pipelines.objects.items()):
            for path in _at(obj, "spec", "promotionPaths") or [] if where == namespace else []:
                source = _name_of(_at(path, "sourceEnvironmentRef"))
                targets = _at(path, "targetEnvironmentRefs")
                for target in map(_name_of, targets if isinstance(targets, list) else []):
                    paths.setdefault(target, set()).add(source)
        try:
            return in_order(namespace, {target: tuple(sources) for target, sources in sorted(paths.items())})
        except UserFailure:
            return tuple(sorted(paths))

    def _index(self) -> dict[str, KnownRepository]:
        if self._known is None:
            self._known = dict(self._known_repositories())
        return self._known

    def _known_repositories(self) -> Iterator[tuple[str, KnownRepository]]:
        declared: set[str] = set()
        for entry in self._entries.values():
            source = entry.component.source if entry.component else None
            if source is not None:
                try:
                    repository = normalise(source.url)
                except UserFailure:
                    continue
                declared.add(_folded(repository))
                yield _folded(repository), KnownRepository(repository, source.url)
        own: dict[str, KnownRepository] = {}
        mirrors: dict[str, KnownRepository] = {}
        for obj in self._repositories.objects.values():
            url = _at(obj, "spec", "url")
            try:
                repository = normalise(url if isinstance(url, str) else "")
            except UserFailure as failure:
                log.warning("repository unusable", name=obj["metadata"]["name"], message=failure.message)
                continue
            refs = list(_secret_refs(obj))
            secrets = tuple(text for ref in refs for text in self._secrets.get(ref, ())) if refs else None
            # Two objects for one address add up: neither may shut the other's sender out.
            before = own.get(_folded(repository))
            if before is not None and before.secrets is not None:
                secrets = before.secrets + (secrets or ())
            own[_folded(repository)] = KnownRepository(repository, url, secrets)
            for mirror in _mirrors(obj):
                mirrors[mirror] = own[_folded(repository)]
        # What is declared at an address by itself counts before what somebody else calls a mirror of theirs.
        yield from ((address, known) for address, known in mirrors.items() if address not in declared)
        yield from own.items()

    def _component_changed(self, before: Object | None, after: Object | None) -> None:
        present = after or before
        assert present is not None  # noqa: S101  (an informer never tells of nothing)
        metadata = present["metadata"]
        identity = (
            str(present.get("apiVersion") or OPENCHOREO),
            ComponentKey(namespace=metadata.get("namespace") or "default", name=metadata["name"]),
        )
        self._known = None
        if after is None:
            gone = self._entries.pop(identity, None)
            if gone is not None:
                for mourner in self._mourners:
                    mourner(gone)
            return
        entry = self._read(identity[1], after)
        self._entries[identity] = entry
        for listener in self._listeners:
            listener(entry)

    def _read(self, key: ComponentKey, obj: Object) -> DeclaredComponent:
        try:
            return DeclaredComponent(key, obj, self._convert(obj))
        except UserFailure as failure:
            return DeclaredComponent(key, obj, None, f"{failure.reason}: {failure.message}")

    def _repository_changed(self, before: Object | None, after: Object | None) -> None:  # noqa: ARG002
        self._known = None
        self._refs_changed.set()

    async def _keep_secrets(self) -> None:
        """Read the named secrets at every change of a Repository and every 30 s: they rotate unannounced."""
        await self._repositories.synced.wait()
        while True:
            self._refs_changed.clear()
            await self._read_secrets()
            self._known = None
            self._secrets_read.set()
            try:
                async with asyncio.timeout(SECRETS_REFRESH_SECONDS):
                    await self._refs_changed.wait()
            except TimeoutError:
                continue

    async def _read_secrets(self) -> None:
        wanted = {ref for obj in self._repositories.objects.values() for ref in _secret_refs(obj)}
        for gone in set(self._secrets) - wanted:
            del self._secrets[gone]
        for ref in wanted:
            try:
                texts = await self._reader.live(ref.namespace, ref.name, ref.key)
            except Failure as failure:
                # What was read before still counts: an API server that is away must not stop webhooks.
                log.error("webhook secret unreadable", secret=ref.name, key=ref.key, reason=failure.reason)
                continue
            if texts:
                self._secrets[ref] = texts
            else:
                self._secrets.pop(ref, None)
                log.error("webhook secret missing", namespace=ref.namespace, secret=ref.name, key=ref.key)


def _mirrors(obj: Object) -> Iterator[str]:
    """The other addresses of the same repository, as far as they can be read."""
    told = _at(obj, "spec", "mirrors")
    for address in told if isinstance(told, list) else []:
        with contextlib.suppress(UserFailure):
            yield _folded(normalise(address if isinstance(address, str) else ""))


def _secret_refs(obj: Object) -> Iterator[_SecretRef]:
    namespace = obj["metadata"].get("namespace") or "default"
    refs = _at(obj, "spec", "webhook", "secretRefs")
    for ref in refs if isinstance(refs, list) else []:
        if isinstance(ref, dict) and isinstance(ref.get("name"), str):
            yield _SecretRef(namespace, ref["name"], str(ref.get("key") or "secret"))


def _name_of(reference: Any) -> str:
    """A reference is a text in OpenChoreo 0.8 and an object with a name since."""
    return reference if isinstance(reference, str) else str(_at(reference, "name") or "")


def _at(obj: Any, *path: str) -> Any:
    for name in path:
        obj = obj.get(name) if isinstance(obj, dict) else None
    return obj


def _folded(repository: str) -> str:
    return repository.lower() if repository.startswith("github.com/") else repository
