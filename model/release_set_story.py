"""What people read of a release set: Events on its components, and its picture in Temporal's Web UI."""

from model.component import Component
from model.markdown import cell
from model.note import Note
from model.ordering import in_order
from model.release_set import MemberState, ReleaseSetState, SetRollbackState


def note(component: Component, kind: str, reason: str, message: str, workflow: str) -> Note:
    """An Event on one of the set's components; its lane's stage stays as it is."""
    return Note.model_validate(
        {"component": component, "type": kind, "reason": reason, "message": message, "workflow": workflow}
    )


def details(state: ReleaseSetState) -> str:
    """The set as markdown: environments in their order, components in theirs."""
    request = state.request
    lines = [f"**set {request.name}** of project {request.project}, up to {request.until}"]
    if state.outcome:
        lines += ["", f"**{state.outcome}** {state.message}"]
    order = in_order(state.after) if state.after else ()
    for environment in state.environments.values():
        why = f"{environment.reason}: {environment.message}" if environment.reason else ""
        lines += ["", f"**{environment.environment}** {environment.phase} {cell(why)}"]
        if environment.phase == "at-gate":
            project = f"{request.namespace}/{request.project}"
            opens = f"`towpath set approve {project} {request.name} -e {environment.environment}`"
            lines.append(f"{opens} lets the whole set in.")
        if environment.phase not in ("pending", "at-gate", "skipped"):
            lines += _table([environment.members[name] for name in order if name in environment.members])
    return "\n".join(lines)


def rollback_details(state: SetRollbackState) -> str:
    """The way back of a finished set as markdown."""
    request = state.request
    lines = [f"**set {request.name}** goes back in {request.environment}", "", cell(request.reason)]
    if state.outcome:
        lines += ["", f"**{state.outcome}** {state.message}"]
    return "\n".join(lines + _table(list(state.members.values())))


def _table(members: list[MemberState]) -> list[str]:
    lines = ["", "| component | release | stage | why |", "| --- | --- | --- | --- |"]
    for member in members:
        why = f"{member.reason}: {member.message}" if member.reason else ""
        lines.append(f"| {member.component} | `{member.release}` | {member.phase} | {cell(why)} |")
    return [*lines, ""]
