"""One push to a repository of many components: only what it touches is built."""

import asyncio
from uuid import uuid4

from tests.bench.ground import NAMESPACE, Ground
from tests.bench.origin import Origin
from tests.bench.samples import Row, Samples, told
from tests.bench.sender import send
from tests.bench.submission import FILES, Seen, component_spec

COMPONENTS = 60
TOUCHED = (7, 31, 58)
BRANCH = "bench-monorepo"
PUSHES = 5
QUIET_SECONDS = 3


async def measure(ground: Ground, origin: Origin, seen: Seen) -> Row:
    """A push that touches all of them first, so that each has been built; then pushes that touch three."""
    # Commits of another run would have been built before.
    first = f"first of {uuid4().hex}"
    names = [_name(number) for number in range(COMPONENTS)]
    for number, name in enumerate(names):
        spec = component_spec(origin.url, BRANCH, "Workflow")
        spec["workflow"]["parameters"]["repository"]["appPath"] = _folder(number)
        await ground.declare(name, spec)

    async def looked_at() -> bool:
        objects = await ground.cluster.list("openchoreo.dev/v1alpha1", "Component", NAMESPACE)
        own = [obj for obj in objects if obj["metadata"]["name"] in names]
        return all((obj.get("status") or {}).get("observedGeneration") for obj in own)

    # What their manifests start looks at the branch's head, whichever that is by then.
    await ground.until("the components' first look", 120, looked_at, pause=0.5)
    before = origin.move([BRANCH], _files(first, first), "All of them")[BRANCH]
    sent = await send(ground, origin.url, BRANCH, "", before)
    await seen.all_of({(name, before) for name in names}, 180)
    all_took = max(seen.first[name, before] for name in names) - sent.at
    times, wrong = Samples(), 0
    for push in range(PUSHES):
        after = origin.move([BRANCH], _files(first, f"push {push}"), "Three of them")[BRANCH]
        sent = await send(ground, origin.url, BRANCH, before, after)
        wanted = {(_name(number), after) for number in TOUCHED}
        await seen.all_of(wanted, 60)
        times.add(max(seen.first[which] for which in wanted) - sent.at)
        # Long enough for one that was not touched to be there as well.
        await asyncio.sleep(QUIET_SECONDS)
        wrong += sum(commit == after for _, commit in seen.first) - len(TOUCHED)
        before = after
    return Row(
        what=f"a push to a repository of {COMPONENTS} components that touches {len(TOUCHED)}",
        measured=f"their Argo Workflows exist: {times}; {wrong} built for nothing",
        floor=f"one that touches all {COMPONENTS}: {told(all_took)}",
        target="only what is touched is built",
        met=wrong == 0,
        notes=[f"{PUSHES} pushes, in namespace {NAMESPACE}"],
        numbers={"p50_ms": times.median, "worst_ms": times.at(1), "all_ms": all_took, "for_nothing": wrong},
    )


def _name(number: int) -> str:
    return f"bench-mono-{number:02d}"


def _folder(number: int) -> str:
    return f"apps/{number:02d}"


def _files(first: str, version: str) -> dict[str, str]:
    """Every folder's files; the touched ones' with the version in them."""
    files = {}
    for number in range(COMPONENTS):
        for name, text in FILES.items():
            files[f"{_folder(number)}/{name}"] = text
        files[f"{_folder(number)}/version"] = version if number in TOUCHED else first
    return files
