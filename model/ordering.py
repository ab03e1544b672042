"""In which order components go in together: what is called comes before what calls it."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from model.failure import UserFailure
from model.release import Release

After = Mapping[str, tuple[str, ...]]
"""For each component's name the names of those that must be there before it."""


def by_dependencies(releases: Sequence[Release]) -> dict[str, tuple[str, ...]]:
    """The order that the releases' own dependencies ask for; what is not among them does not matter.

    Raises:
        UserFailure: `SetCycle`, naming those that wait for each other.
    """
    members = {release.component.name: release for release in releases}
    after = {
        name: tuple(
            sorted(
                {
                    dependency.component
                    for dependency in release.workload.dependencies
                    if dependency.component in members
                    and dependency.component != name
                    and dependency.project in ("", release.project)
                }
            )
        )
        for name, release in members.items()
    }
    refuse_cycles(after)
    return after


def as_told(names: Sequence[str], order: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """One after the other as a person told; dependencies are not looked at.

    Raises:
        UserFailure: `OrderIncomplete`, the order is not of exactly these components.
    """
    missing, unknown = sorted(set(names) - set(order)), sorted(set(order) - set(names))
    twice = sorted({name for name in order if list(order).count(name) > 1})
    for found, what in ((missing, "leaves out"), (unknown, "names others:"), (twice, "names twice")):
        if found:
            raise UserFailure("OrderIncomplete", f"The order {what} {', '.join(found)}; name each component once.")
    return {name: tuple(order[:at][-1:]) for at, name in enumerate(order)}


def refuse_cycles(after: After) -> None:
    """Raises UserFailure `SetCycle` when components would wait for each other."""
    try:
        TopologicalSorter({name: sorted(before) for name, before in after.items()}).prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise UserFailure(
            "SetCycle", f"These call each other in a circle: {circle}. Say which goes first with --order."
        ) from None


def reverse(after: After) -> dict[str, tuple[str, ...]]:
    """The order of the way back: what calls goes before what is called."""
    back: dict[str, tuple[str, ...]] = dict.fromkeys(after, ())
    for name in sorted(after):
        for before in after[name]:
            back[before] = (*back[before], name)
    return back


def in_order(after: After) -> tuple[str, ...]:
    """The names so that each comes after those it waits for; names decide where nothing else does."""
    sorter = TopologicalSorter({name: sorted(before) for name, before in after.items()})
    sorter.prepare()
    ordered: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered += ready
        sorter.done(*ready)
    return tuple(ordered)
