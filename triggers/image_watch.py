"""The images that Workloads name: which repositories are followed, and what an edit of a Workload starts."""

from collections.abc import Callable, Iterator
from typing import Any

from activities.informer import Informer, Object, Watching
from model import declared, image_name
from model.failure import UserFailure
from model.key import ComponentKey
from triggers.declared import OPENCHOREO, Declared, DeclaredComponent


class ImageWatch:
    """Follows Workloads of components that nothing is built for.

    Args:
        server: where they are declared.
        components: what the components are.
        changed: is told of a Workload that is new or has changed, as of a component with that object. It is told
            of the same again and again, and must be quick and not raise.
    """

    def __init__(
        self, server: Watching, components: Declared, changed: Callable[[DeclaredComponent], None]
    ) -> None:
        self._workloads = Informer(server, OPENCHOREO, "Workload")
        self._components = components
        self._changed = changed
        self._followed: frozenset[str] | None = None
        self._workloads.listen(self._workload_changed)
        components.listen(self._component_changed)

    @property
    def ready(self) -> bool:
        """Whether all Workloads have been read once."""
        return self._workloads.synced.is_set()

    async def run(self) -> None:
        """Follow the API server for ever."""
        await self._workloads.run()

    def follows_image(self, repository: str) -> bool:
        """Whether a component that nothing is built for runs an image of this repository (`host/path`)."""
        if self._followed is None:
            self._followed = frozenset(self._repositories())
        return repository in self._followed

    def _repositories(self) -> Iterator[str]:
        for (namespace, _), workload in self._workloads.objects.items():
            if self._component(namespace, workload) is None:
                continue
            try:
                yield image_name.parse(image_of(workload)).repository
            except UserFailure:
                continue

    def _component(self, namespace: str, workload: Object) -> DeclaredComponent | None:
        """The component that a Workload is for, if it is made from an image."""
        found = self._components.component(ComponentKey(namespace=namespace, name=declared.owner(workload)))
        made = found.component if found is not None else None
        return found if made is not None and made.build.kind == "image" else None

    def _workload_changed(self, before: Object | None, after: Object | None) -> None:  # noqa: ARG002
        self._followed = None
        if after is not None:
            self._tell(after["metadata"].get("namespace") or "default", after)

    def _component_changed(self, component: DeclaredComponent) -> None:
        """A Workload may have been there before its component."""
        self._followed = None
        for (namespace, _), workload in self._workloads.objects.items():
            if (namespace, declared.owner(workload)) == (component.key.namespace, component.key.name):
                self._tell(namespace, workload)

    def _tell(self, namespace: str, workload: Object) -> None:
        found = self._component(namespace, workload)
        if found is not None and image_of(workload):
            self._changed(DeclaredComponent(found.key, workload, found.component))


def image_of(workload: Object) -> str:
    """The image that a Workload's container names; empty when there is none."""
    spec: Any = workload.get("spec") or {}
    containers = spec.get("containers") if isinstance(spec.get("containers"), dict) else {}
    container = spec.get("container") or containers.get("main")
    image = container.get("image") if isinstance(container, dict) else None
    return image if isinstance(image, str) else ""
