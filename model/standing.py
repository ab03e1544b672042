"""What a lane shows to gates elsewhere: which release runs there, whether it is well, and since when."""

from model.commit import Commit
from model.key import ComponentKey
from model.lane import LaneState
from model.value import Value


class StandingQuestion(Value):
    """Which lane; `release` names one whose sequence is wanted as well."""

    component: ComponentKey
    environment: str
    release: str = ""


class Standing(Value):
    """`healthy`: what runs is the last good release and nothing is under way; then since `since` (seconds
    since the epoch). `wanted` is the sequence of the release that was asked for (0: there is none)."""

    component: ComponentKey
    environment: str
    project: str = ""
    release: str = ""
    digest: str = ""
    commit: Commit = Commit(id="")
    sequence: int = 0
    healthy: bool = False
    since: float = 0
    message: str = ""
    wanted: int = 0
    at: float = 0


def standing(question: StandingQuestion, state: LaneState | None) -> Standing:
    """What a lane's state comes to; None is a lane that was never used."""
    asked = Standing(component=question.component, environment=question.environment)
    if state is None or state.current is None:
        what = "has never been deployed there" if state is None else "does not run there"
        return asked.model_copy(update={"message": f"{question.component.name} {what}."})
    release = state.current
    ended = max((entry.finished_at for entry in state.history), default=0.0)
    well = not state.deploying and state.last_good is not None and state.last_good.name == release.name
    message = f"{release.name} runs there."
    if state.deploying:
        message = f"Revision {state.deploying} is being deployed there."
    elif not well:
        message = f"{release.name} runs there and is not healthy."
    return asked.model_copy(
        update={
            "project": state.component.project if state.component else release.project,
            "release": release.name,
            "digest": release.digest,
            "commit": release.commit,
            "sequence": release.sequence,
            "healthy": well,
            # Any deployment since then, a failed one that went back as well, begins the time anew.
            "since": ended if well else 0.0,
            "message": message,
        }
    )
