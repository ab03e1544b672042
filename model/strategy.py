"""How a release takes over from the one before: all at once behind a switch, by steps, or pod by pod."""

from typing import Any, Literal

from pydantic import Field

from model.value import Value

STEPS_LIMIT = 20


class CanaryStep(Value):
    """So much of the traffic for the new release (percent), then a pause, then a verdict on it.

    The pause lasts `pause_seconds`, or with `person` until somebody lets the release proceed.
    """

    weight: int = Field(ge=1, le=100)
    pause_seconds: float = Field(default=0, ge=0)
    person: bool = False


class Strategy(Value):
    """The rules of a step's deployments.

    `rolling`: a Deployment, within `max_surge` and `max_unavailable` (a number or a percentage). `blueGreen`:
    the new release stands beside the old one behind a preview Service until its verdict, and with `person`
    until somebody lets it proceed; the old one stays for `scale_down_delay_seconds` after the switch.
    `canary`: `steps`; `http_route` (empty: none) names the Gateway API route whose weights are set.
    """

    kind: Literal["rolling", "blueGreen", "canary"]
    max_surge: str = "1"
    max_unavailable: str = "0"
    person: bool = False
    scale_down_delay_seconds: int = 30
    steps: tuple[CanaryStep, ...] = ()
    http_route: str = ""

    @property
    def progressive(self) -> bool:
        """Whether old and new stand side by side until the new one has proved itself."""
        return self.kind != "rolling"

    @property
    def stops(self) -> tuple[CanaryStep, ...]:
        """Where the controller waits for a verdict, first to last; a blue-green preview has no traffic yet."""
        if self.kind == "blueGreen":
            return (CanaryStep(weight=100, person=self.person),)
        return self.steps if self.kind == "canary" else ()


def pause_index(stop: int) -> int:
    """The index of a stop's pause among the steps that `canary_steps` gives."""
    return 2 * stop + 1


def canary_steps(strategy: Strategy) -> list[dict[str, Any]]:
    """Argo Rollouts' steps: after each weight a pause without an end, since the engine decides how it ends.

    https://argo-rollouts.readthedocs.io/en/stable/features/canary/
    """
    steps: list[dict[str, Any]] = []
    for step in strategy.steps:
        steps += [{"setWeight": step.weight}, {"pause": {}}]
    return steps


def quantity(text: str) -> int | str:
    """A number as a number and a percentage as a string, as Kubernetes wants them."""
    return text if text.endswith("%") else int(text)
