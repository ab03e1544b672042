"""People's marks on releases, kept as annotations of their ComponentReleases."""

from temporalio import activity

from activities.apiserver import ApiServer
from activities.declarations import OPENCHOREO
from model import mark, released
from model.failure import NotFound
from model.key import ComponentKey
from model.mark import Mark
from model.release import Release


class Marks:
    """Reads and writes them on the control plane's API server."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    @activity.defn(name="marks.of")
    async def of(self, release: Release) -> Mark | None:
        """What was said of a release; None for nothing, also when the release is no longer kept."""
        obj = await self._server.get(OPENCHOREO, "ComponentRelease", release.name, release.component.namespace)
        return None if obj is None else mark.mark_of(obj)

    async def all(self, component: ComponentKey) -> dict[str, Mark]:
        """The marks on a component's releases, by their names."""
        selector = released.selector(component)
        objects = await self._server.list(OPENCHOREO, "ComponentRelease", component.namespace, selector)
        found = ((obj["metadata"]["name"], mark.mark_of(obj)) for obj in objects)
        return {name: kept for name, kept in found if kept is not None}

    async def put(self, release: Release, word: Mark) -> None:
        """Keep a mark on a release, in place of the one before.

        Raises:
            NotFound: `ReleaseNotFound`.
        """
        name, namespace = release.name, release.component.namespace
        patch = {"metadata": {"annotations": mark.annotations(word)}}
        try:
            await self._server.merge(OPENCHOREO, "ComponentRelease", name, namespace, patch)
        except NotFound:
            raise NotFound("ReleaseNotFound", f"Release {name} is not kept any more.") from None
