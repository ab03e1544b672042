"""Who may build next: the rules of a plane's queue, as functions over its state. No clocks: `now` is handed in
(seconds).

Between projects: one that has less than its fair share of the slots goes first, then the more urgent build,
then who has fewer slots, then who has waited longest for one. Within a project: the more urgent build, then who
came first. Whoever waits becomes a step more urgent every `AGE_SECONDS`, so that nothing waits for ever.
"""

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Iterator

from model.build_queue import (
    ENTRIES_LIMIT,
    Entry,
    Limits,
    Look,
    Place,
    QueueState,
    QueueView,
    Running,
    Waiting,
)
from model.priority import step

AGE_SECONDS = 600.0
LEFT_KEPT = 500
LOOK_SECONDS, LOOK_SOON_SECONDS = 60.0, 10.0
ASKED_LIMIT = 1500
"""How often builds may ask before the queue goes on as a new run: a run takes 2,000 updates."""

Notices = list[Place]
"""What builds are to be told: `granted` (a slot), or `superseded` (give way to `by`)."""


def enter(state: QueueState, entry: Entry) -> tuple[Place | None, Notices]:
    """Let a build into the queue; the same one twice is one. Returns what became of it at once (None: it waits
    for `fill`), and what others are to be told."""
    build = entry.build
    if build in state.running:
        return Place(build=build, result="granted"), []
    if build in state.left:
        return Place(build=build, result="superseded", by=""), []
    if build in state.waiting:
        return None, []
    rivals = [other for other in entries(state) if other.line == entry.line]
    newer = max((other for other in rivals if other.sequence > entry.sequence), key=_sequence, default=None)
    if newer is not None:
        return Place(build=build, result="superseded", by=newer.build), []
    older = [other for other in rivals if other.sequence < entry.sequence and other.build in state.waiting]
    if len(state.waiting) - len(older) >= ENTRIES_LIMIT:
        return _full(entry), []
    for other in older:
        entry = _in_place_of(other, entry)
        del state.waiting[other.build]
        _left(state, other.build)
    state.waiting[build] = entry
    for name, running in state.running.items():
        if running.gives_way in {other.build for other in older} - {""}:
            state.running[name] = running.model_copy(update={"gives_way": build})
    return None, [Place(build=other.build, result="superseded", by=build) for other in older]


def leave(state: QueueState, build: str, now: float) -> Notices:
    """A build is done with its slot, or waits no longer. Whom it gave way to has its slot before all others."""
    _left(state, build)
    state.waiting.pop(build, None)
    running = state.running.pop(build, None)
    heir = state.waiting.get(running.gives_way) if running is not None else None
    if heir is None or not _is_open(state) or heir not in _fitting(state):
        return []
    return [_grant(state, heir, now)]


def fill(state: QueueState, now: float) -> Notices:
    """Give away the slots that are free; and where there is none, have a branch's older running builds give way
    to its newer waiting ones."""
    if not _is_open(state):
        return []
    notices: Notices = []
    # What does not fit must not count as its project's turn, so who fits is asked anew after each.
    while (entry := next(order(state, now, _fitting(state)), None)) is not None:
        notices.append(_grant(state, entry, now))
    return notices + _make_way(state)


def correct(state: QueueState, look: Look, now: float) -> None:
    """Take in how things really are; what that allows is given away by `fill`."""
    if look.limits is not None:
        state.limits = look.limits
    for build in look.ended:
        leave_quietly(state, build)
    for held in look.found:
        build = held.entry.build
        if build in state.left or build in state.running:
            continue
        if held.holds:
            state.waiting.pop(build, None)
            state.running[build] = Running(entry=held.entry, granted_at=now)
        elif held.wants and build not in state.waiting and len(state.waiting) < ENTRIES_LIMIT:
            state.waiting[build] = held.entry
    if look.served is not None:
        state.away_since = 0 if look.served else state.away_since or now
    state.unheard = list(look.silent)
    state.known = True


def look_after(state: QueueState) -> float:
    """In how many seconds it is time to look again how things really are."""
    return LOOK_SOON_SECONDS if state.away_since or not state.known else LOOK_SECONDS


def leave_quietly(state: QueueState, build: str) -> None:
    """As `leave`, for a build that has ended without a word; nobody is let in yet."""
    _left(state, build)
    state.waiting.pop(build, None)
    state.running.pop(build, None)


def places(state: QueueState, builds: Iterable[str], now: float) -> dict[str, Place]:
    """Where builds stand that have been let in."""
    wanted = set(builds)
    found = {build: Place(build=build, result="granted") for build in wanted & state.running.keys()}
    if wanted <= found.keys():
        return found
    for position, entry in enumerate(order(state, now), 1):
        if entry.build in wanted:
            reason, message = why(state, entry)
            found[entry.build] = Place(
                build=entry.build, result="waits", reason=reason, message=message, position=position
            )
    return found


def why(state: QueueState, entry: Entry) -> tuple[str, str]:
    """What an entry waits for: a stable reason, and a message for people."""
    limits, plane = state.limits, state.plane
    if not state.known:
        return "CountingBuilds", "The queue has just begun and counts what runs already."
    if state.away_since:
        return "PlaneAway", f"Nobody serves build plane {plane}; is its worker running? See `towpath doctor`."
    if any(running.gives_way == entry.build for running in state.running.values()):
        return "TakesOver", "An older build of the same branch is being stopped; this one takes its slot."
    mine = sum(1 for running in state.running.values() if running.entry.project == entry.project)
    most = _project_limit(limits, entry.project)
    if most and mine >= most:
        return "WaitsForProject", f"{mine} builds of project {entry.project} run, of {most} at most."
    same = sum(1 for running in state.running.values() if running.entry.repository == entry.repository)
    if entry.repository_limit and same >= entry.repository_limit:
        return "WaitsForRepository", f"{same} builds of this repository run, of {entry.repository_limit} at most."
    return "WaitsForPlane", f"{len(state.running)} builds run on plane {plane}, of {limits.running} at most."


def order(state: QueueState, now: float, among: Iterable[Entry] | None = None) -> Iterator[Entry]:
    """Who is next, and after that, if every slot went to the first of them, one after the other. `among`: only
    of these waiting ones."""
    queues: dict[str, list[tuple[int, float, str]]] = {}
    for entry in state.waiting.values() if among is None else among:
        key = (-_level(entry, entry.since, now), entry.since, entry.build)
        queues.setdefault(entry.project, []).append(key)
    taken = Counter(running.entry.project for running in state.running.values())
    share = math.ceil(state.limits.running / max(1, len(taken.keys() | queues.keys())))
    last = dict(state.served_last)

    def rank(project: str) -> tuple[bool, int, int, float, float, str]:
        entry = state.waiting[queues[project][0][2]]
        level = _level(entry, max(entry.since, last.get(project, 0)), now)
        return taken[project] >= share, -level, taken[project], last.get(project, 0), entry.since, project

    for queue in queues.values():
        heapq.heapify(queue)
    heads = [rank(project) for project in queues]
    heapq.heapify(heads)
    while heads:
        project = heapq.heappop(heads)[-1]
        entry = state.waiting[heapq.heappop(queues[project])[2]]
        taken[project] += 1
        last[project] = max(now, last.get(project, 0))
        if queues[project]:
            heapq.heappush(heads, rank(project))
        yield entry


def view(state: QueueState, now: float) -> QueueView:
    """The queue as people see it."""
    waiting = []
    for position, entry in enumerate(order(state, now), 1):
        reason, message = why(state, entry)
        waiting.append(Waiting(entry=entry, position=position, reason=reason, message=message))
    return QueueView(
        plane=state.plane,
        limits=state.limits,
        known=state.known,
        away_since=state.away_since,
        running=tuple(sorted(state.running.values(), key=lambda running: running.granted_at)),
        waiting=tuple(waiting),
    )


def _is_open(state: QueueState) -> bool:
    return state.known and not state.away_since


def entries(state: QueueState) -> list[Entry]:
    return [*state.waiting.values(), *(running.entry for running in state.running.values())]


def _sequence(entry: Entry) -> int:
    return entry.sequence


def _full(entry: Entry) -> Place:
    message = f"{ENTRIES_LIMIT} builds wait; this one asks again in a while."
    return Place(build=entry.build, result="full", reason="QueueFull", message=message)


def _in_place_of(older: Entry, newer: Entry) -> Entry:
    """The newer one where the older one stood."""
    urgent = max(older.priority, newer.priority, key=step)
    return newer.model_copy(update={"since": min(older.since, newer.since), "priority": urgent})


def _level(entry: Entry, since: float, now: float) -> int:
    return step(entry.priority) + int(max(0.0, now - since) // AGE_SECONDS)


def _project_limit(limits: Limits, project: str) -> int:
    own = limits.projects.get(project, 0)
    return min(own or limits.per_project, limits.per_project or own)


def _fitting(state: QueueState) -> list[Entry]:
    """The waiting builds that no limit keeps from running."""
    if len(state.running) >= state.limits.running:
        return []
    running = [each.entry for each in state.running.values()]
    projects = Counter(entry.project for entry in running)
    repositories = Counter(entry.repository for entry in running)

    def fits(entry: Entry) -> bool:
        most, least = _project_limit(state.limits, entry.project), entry.repository_limit
        return not (most and projects[entry.project] >= most) and not (
            least and repositories[entry.repository] >= least
        )

    return [entry for entry in state.waiting.values() if fits(entry)]


def _grant(state: QueueState, entry: Entry, now: float) -> Place:
    state.waiting.pop(entry.build, None)
    state.running[entry.build] = Running(entry=entry, granted_at=now)
    present = {other.project for other in entries(state)}
    state.served_last = {project: at for project, at in state.served_last.items() if project in present}
    state.served_last[entry.project] = now
    return Place(build=entry.build, result="granted")


def _make_way(state: QueueState) -> Notices:
    """What waits while an older build of its line runs need not wait for that one's end: it is of no use."""
    lines = {entry.line: entry for entry in state.waiting.values()}
    notices: Notices = []
    for name, running in state.running.items():
        newer = lines.get(running.entry.line)
        if newer is None or running.gives_way or newer.sequence <= running.entry.sequence:
            continue
        state.running[name] = running.model_copy(update={"gives_way": newer.build})
        notices.append(Place(build=name, result="superseded", by=newer.build))
    return notices


def _left(state: QueueState, build: str) -> None:
    if build not in state.left:
        state.left = [*state.left, build][-LEFT_KEPT:]
