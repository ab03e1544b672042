"""A push is taken to the components that follow its branch, without reading all that is declared."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

from activities.changes import Change
from activities.followers import Followers

REPOSITORY = "git.test/shop/cart"


def component(name: str, branch: str = "main", version: str = "openchoreo.dev/v1alpha1") -> dict[str, Any]:
    repository = {"url": "https://git.test/shop/cart.git", "revision": {"branch": branch}}
    return {
        "apiVersion": version,
        "kind": "Component",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "componentType": {"name": "deployment/service"},
            "workflow": {"name": "dockerfile-builder", "parameters": {"repository": repository}},
        },
    }


class Changes:
    """An API server of which nothing is known but its changes."""

    def __init__(self) -> None:
        self._news: dict[str, asyncio.Queue[Change]] = {}

    def tell(self, kind: Literal["ADDED", "MODIFIED", "DELETED"], obj: dict[str, Any]) -> None:
        self._queue(obj["apiVersion"]).put_nowait(Change(kind, obj))

    def synced(self) -> None:
        for queue in self._news.values():
            queue.put_nowait(Change("SYNCED", {}))

    async def watch(
        self, api_version: str, kind: str, namespace: str = "", labels: str = "", fields: str = ""
    ) -> AsyncIterator[Change]:
        queue = self._queue(api_version)
        while True:
            yield await queue.get()

    def _queue(self, api_version: str) -> asyncio.Queue[Change]:
        return self._news.setdefault(api_version, asyncio.Queue())


async def settle() -> None:
    """Let what is queued be handled: nothing in it waits for anything else."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_followers_come_change_their_branch_and_go() -> None:
    server = Changes()
    followers = Followers(server)
    following = asyncio.create_task(followers.run())
    await settle()
    server.tell("ADDED", component("cart"))
    await settle()
    assert followers.of(REPOSITORY, "refs/heads/main") == [], "nothing counts before everything was read once"
    server.synced()
    server.tell("ADDED", component("till"))
    await settle()
    assert [str(key) for key in followers.of(REPOSITORY, "refs/heads/main")] == ["shop/cart", "shop/till"]

    server.tell("MODIFIED", component("till", branch="next"))
    await settle()
    assert [str(key) for key in followers.of(REPOSITORY, "refs/heads/main")] == ["shop/cart"]
    assert [str(key) for key in followers.of(REPOSITORY, "refs/heads/next")] == ["shop/till"]

    server.tell("DELETED", component("cart"))
    await settle()
    assert followers.of(REPOSITORY, "refs/heads/main") == []
    following.cancel()


async def test_a_component_that_cannot_be_read_follows_nothing_and_hides_no_other() -> None:
    server = Changes()
    followers = Followers(server)
    following = asyncio.create_task(followers.run())
    await settle()
    broken = component("broken")
    broken["spec"]["workflow"]["parameters"]["repository"]["url"] = "--upload-pack=evil"
    server.tell("ADDED", broken)
    server.tell("ADDED", component("cart"))
    server.synced()
    await settle()
    assert [str(key) for key in followers.of(REPOSITORY, "refs/heads/main")] == ["shop/cart"]
    following.cancel()


def keys(followers: Followers, ref: str) -> list[str]:
    return [str(key) for key in followers.of(REPOSITORY, ref)]


async def test_who_has_filters_of_its_own_is_asked_at_every_push() -> None:
    server = Changes()
    followers = Followers(server)
    following = asyncio.create_task(followers.run())
    await settle()
    filtered = component("till")
    filtered["metadata"]["annotations"] = {"towpath.dev/filters": "branches: {include: [release/*]}"}
    server.tell("ADDED", filtered)
    server.tell("ADDED", component("cart"))
    server.synced()
    await settle()
    assert keys(followers, "refs/heads/release/1") == ["shop/till"]
    assert keys(followers, "refs/heads/main") == ["shop/cart", "shop/till"]
    assert keys(followers, "refs/tags/main") == ["shop/till"]

    plain = component("till")
    server.tell("MODIFIED", plain)
    await settle()
    assert keys(followers, "refs/heads/release/1") == []
    following.cancel()


async def test_where_a_repositorys_filters_decide_the_index_says_nothing() -> None:
    server = Changes()
    followers = Followers(server)
    following = asyncio.create_task(followers.run())
    await settle()
    server.tell("ADDED", component("cart"))
    server.synced()
    await settle()
    repository = {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "Repository",
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {"url": "https://git.test/shop/cart.git", "filters": {"paths": {"exclude": ["*.md"]}}},
    }
    server.tell("ADDED", repository)
    await settle()
    assert keys(followers, "refs/heads/main") == ["shop/cart"]
    tagged = {**repository, "spec": {**repository["spec"], "filters": {"tags": {"versions": ">=1"}}}}  # type: ignore[dict-item]
    server.tell("MODIFIED", tagged)
    await settle()
    assert keys(followers, "refs/heads/main") == []
    server.tell("DELETED", tagged)
    await settle()
    assert keys(followers, "refs/heads/main") == ["shop/cart"]
    following.cancel()
