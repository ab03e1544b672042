"""The gate before a release set: the rules of all its components, and one approval for them all."""

import asyncio
from collections.abc import Callable

from temporalio import workflow

from workflows.gatekeeper import Gatekeeper

with workflow.unsafe.imports_passed_through():
    from model.component import Component
    from model.gate import OVERRIDE, Approval, GateState, GateSubject
    from model.lane import Answer
    from model.policy import fingerprint
    from model.release_set import ReleaseSetState


class SetGate:
    """One gate for the whole set.

    Components under the same rules stand before one gatekeeper; where rules differ, there is one for each,
    and all of them must agree. A person's word is for the whole set and so goes to each of them that asks
    for it: it counts when none refuses it.
    """

    def __init__(self, state: ReleaseSetState, environment: str, told: Callable[[GateState], None]) -> None:
        self.environment = environment
        self._told = told
        self._set = state
        self._keepers: list[Gatekeeper] = []
        groups: dict[str, list[str]] = {}
        for name, pipeline in state.pipelines.items():
            policy = pipeline.step(environment).policy
            if policy.gated:
                rules = f"{fingerprint(policy)}/{policy.windows}/{policy.freezes}/{policy.override_roles}"
                groups.setdefault(rules, []).append(name)
        for names in groups.values():
            releases = tuple(release for release in state.request.releases if release.component.name in names)
            self._keepers.append(
                Gatekeeper(
                    GateSubject(name=f"set {state.request.name}", digest=state.request.digest, releases=releases),
                    self._components(names),
                    state.pipelines[names[0]],
                    environment,
                    lambda _: told(self.state()),
                    [],
                )
            )

    @property
    def stands(self) -> bool:
        """Whether there is a gate at all."""
        return bool(self._keepers)

    def state(self) -> GateState:
        """The gatekeepers' states as one: open when all are, and whoever keeps it shut speaks."""
        states = [keeper.state() for keeper in self._keepers]
        shut = [state for state in states if not state.open]
        speaks = next((state for state in states if state.closed), shut[0] if shut else states[0])
        return speaks.model_copy(
            update={
                "open": not shut,
                "requirements": tuple(item for state in states for item in state.requirements),
                "message": " ".join(dict.fromkeys(state.message for state in shut)) or speaks.message,
            }
        )

    def refusal(self, approval: Approval) -> tuple[str, str] | None:
        """Why a person's word must be refused (reason, message), or None."""
        concerned = self._concerned(approval)
        if not concerned:
            what = "no windows or freezes" if approval.kind == OVERRIDE else "nobody's approval"
            return "NothingToApprove", f"The gate of {self.environment} asks for {what}."
        return next((against for keeper in concerned if (against := keeper.refusal(approval))), None)

    def take(self, approval: Approval) -> Answer:
        """Let a person's word count, for all of the set."""
        answers = [keeper.take(approval) for keeper in self._concerned(approval)]
        self._set.approvals.append(approval.model_copy(update={"at": workflow.time()}))
        return answers[0].model_copy(update={"message": self.state().message})

    def recheck(self) -> None:
        """Something outside has changed."""
        for keeper in self._keepers:
            keeper.recheck()

    async def wait(self, leave: Callable[[], bool]) -> GateState:
        """Wait until all are open at once, one is closed for good, or `leave` says so."""
        ended: list[GateState] = []

        async def stand(keeper: Gatekeeper) -> None:
            state = await keeper.wait(lambda: bool(ended) or leave())
            if not state.open:
                ended.append(state)

        while True:
            for keeper in self._keepers:
                keeper.passed = False
            await asyncio.gather(*(stand(keeper) for keeper in self._keepers))
            if ended:
                return next((state for state in ended if state.closed), ended[0])
            # While the last one opened, the first may have shut again.
            if leave() or all(keeper.state().open for keeper in self._keepers):
                return self.state()

    def _concerned(self, approval: Approval) -> list[Gatekeeper]:
        # Who has let it pass already wants to hear no more.
        asking = [keeper for keeper in self._keepers if not keeper.passed]
        if approval.kind == OVERRIDE:
            return [keeper for keeper in asking if _timed(keeper)]
        return [keeper for keeper in asking if keeper.step.policy.approvals]

    def _components(self, names: list[str]) -> tuple[Component, ...]:
        return tuple(self._set.components[name] for name in names)


def _timed(keeper: Gatekeeper) -> bool:
    return bool(keeper.step.policy.windows or keeper.step.policy.freezes)
