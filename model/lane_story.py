"""What people read of a lane: its column in a component's status, and its picture in Temporal's Web UI."""

from typing import Literal

from model.lane import LaneState, Revision
from model.markdown import cell
from model.note import EnvironmentNote

PICTURED = 15


def environment_note(state: LaneState, namespace: str, reason: str, message: str) -> EnvironmentNote:
    """The lane's environment in the status of its component."""
    assert state.step is not None  # noqa: S101  (a lane tells nothing before its first request)
    current = state.current
    return EnvironmentNote(
        name=state.step.environment,
        release=current.name if current else "",
        image=current.image.reference if current else "",
        commit=current.commit.id if current else "",
        revision=_running_revision(state),
        health=_health(state),
        reason=reason,
        message=message,
        namespace=namespace,
        held=state.hold.reason if state.hold else "",
    )


def note_reason(revision: Revision, state: LaneState) -> tuple[Literal["Normal", "Warning"], str, str]:
    """Type, reason and message of the Event that closes a revision."""
    release = revision.release.name
    verdict = revision.verdict
    why = f"{verdict.reason}: {verdict.message}" if verdict else ""
    if revision.result == "healthy":
        word = "RolledBackByPerson" if revision.kind == "rollback" else "Healthy"
        return "Normal", word, f"{release} is healthy as revision {revision.number}."
    if revision.result == "rolled-back":
        good = state.last_good.name if state.last_good else "nothing"
        return "Warning", "RolledBack", f"{release} did not float ({why}); back on {good}."
    if revision.result == "cancelled":
        return "Normal", "Preempted", f"{release} gave way to a person's order."
    if revision.result == "untouched":
        return "Warning", "NotDeployed", f"{release} was not applied ({why})."
    if revision.result == "inconclusive":
        return "Warning", "Undecided", f"{release} runs, and nobody can tell how well ({why}); the lane is held."
    if revision.result == "stuck":
        return (
            "Warning",
            "RollbackFailed",
            f"{release} failed ({why}) and going back failed too; the lane is held.",
        )
    return "Warning", "DeployFailed", f"{release} failed ({why}); there is nothing good to go back to."


def picture(state: LaneState) -> list[str]:
    """The lane as markdown lines: what runs, who waits, the newest revisions first."""
    current = state.current
    lines = [f"runs: `{current.name}` `{current.image.digest[:19]}`" if current else "runs: nothing yet", ""]
    if state.pause:
        where = f"stop {state.pause.stop} of {state.pause.stops} ({state.pause.weight} %)"
        lines.append(f"- waits at {where}: {cell(state.pause.reason)}: {cell(state.pause.message)}")
    lines += [f"- waits at the gate: `{request.release.name}`" for request in state.candidates]
    lines += [f"- waits to be deployed: `{request.release.name}`" for request in state.waiting]
    lines += ["", "| revision | release | commit | by | result | why |", "| --- | --- | --- | --- | --- | --- |"]
    for entry in reversed(state.history[-PICTURED:]):
        why = entry.verdict.reason if entry.verdict else entry.reason
        lines.append(
            f"| {entry.number} | `{entry.release.name}` | `{entry.release.commit.id[:7]}` "
            f"| {cell(entry.actor.name)} | {entry.result} | {cell(why)} |"
        )
    # What follows a table without a blank line becomes one of its rows.
    lines.append("")
    return lines


def _running_revision(state: LaneState) -> int:
    if state.deploying:
        return state.deploying
    healthy = [entry for entry in state.history if entry.result == "healthy"]
    running = [entry for entry in healthy if state.current and entry.release.name == state.current.name]
    return running[-1].number if running else 0


def _health(state: LaneState) -> str:
    if state.deploying:
        return "Waiting" if state.pause else "Progressing"
    if state.current is None:
        return "Unknown"
    return "Healthy" if state.current == state.last_good else "Degraded"
