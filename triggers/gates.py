"""Gates as people ask about them: which rules there are, what is missing, what would happen to a release now."""

import asyncio
from typing import Protocol

from model import forecast, ids, timetable
from model.component import Component
from model.failure import Failure, NotFound
from model.forecast import Forecast
from model.gate_rules import GateFacts, soaks_since
from model.key import ComponentKey
from model.lane import LaneRequest, LaneState
from model.pipeline import EnvironmentStep, Pipeline, up_to
from model.promotion import PromotionState
from model.release import Release
from model.standing import Standing, StandingQuestion, standing
from triggers.runs import Runs
from triggers.sequence import Clock
from triggers.views import DryRun, Explanation, GateExplained


class Rules(Protocol):
    """The part of `activities.resources.Resources` that tells of rules."""

    async def component(self, key: ComponentKey) -> Component | None:
        """The component as declared. Raises UserFailure."""
        ...

    async def pipeline(self, component: Component) -> Pipeline:
        """Its pipeline with every rule resolved. Raises NotFound and UserFailure."""
        ...

    async def release(self, key: ComponentKey, name: str) -> Release | None:
        """One release, or None."""
        ...


class Gates:
    """Reads rules and lanes; changes nothing."""

    def __init__(self, rules: Rules, runs: Runs, clock: Clock) -> None:
        self._rules = rules
        self._runs = runs
        self._clock = clock

    async def explain(self, key: ComponentKey, environment: str, newest: Release | None) -> Explanation:
        """The rules of a step, and for each release that waits there (else for the newest one) what is missing.

        Raises:
            NotFound: `ComponentNotFound`, or what the pipeline lacks.
            UserFailure: a rule cannot be read, or there is no such environment; the message names it.
        """
        component, pipeline = await self._read(key)
        step = pipeline.step(environment)
        lane = await self._lane(key, environment)
        waiting = [await self._waits(candidate.promotion, environment) for candidate in _candidates(lane)]
        found = tuple(each for each in waiting if each is not None)
        if not found and newest is not None:
            would = (await self._forecasts(component, pipeline, newest, environment))[-1]
            message = f"{would.outcome}: {would.message}"
            found = (GateExplained(release=newest.name, reason=would.reason, message=message, gate=would.gate),)
        return Explanation(
            component=str(key),
            environment=environment,
            pipeline=pipeline.name,
            sources=step.sources,
            rules=forecast.shown(step.policy),
            releases=found,
        )

    async def dry_run(self, release: Release, until: str) -> DryRun:
        """What would happen to a release now, in each environment on its way.

        Raises:
            NotFound: `ComponentNotFound`, or what the pipeline lacks.
            UserFailure: a rule cannot be read, or there is no environment `until`.
        """
        component, pipeline = await self._read(release.component)
        return DryRun(release=release.name, steps=await self._forecasts(component, pipeline, release, until))

    async def _read(self, key: ComponentKey) -> tuple[Component, Pipeline]:
        component = await self._rules.component(key)
        if component is None:
            raise NotFound("ComponentNotFound", f"There is no component {key}; `towpath get` lists them.")
        return component, await self._rules.pipeline(component)

    async def _forecasts(
        self, component: Component, pipeline: Pipeline, release: Release, until: str
    ) -> tuple[Forecast, ...]:
        steps = up_to(pipeline, until).steps
        made: tuple[Forecast, ...] = ()
        for step in steps:
            lane = await self._lane(release.component, step.environment)
            facts = await self._facts(release, step)
            made += (forecast.forecast(release, component, step, made, lane, facts, self._clock()),)
        return made

    async def _facts(self, release: Release, step: EnvironmentStep) -> GateFacts:
        now, policy = self._clock(), step.policy
        sources = step.sources if policy.soak_seconds else ()
        soaks = await asyncio.gather(
            *(self._standing(StandingQuestion(component=release.component, environment=name)) for name in sources)
        )
        standings = await asyncio.gather(
            *(
                self._standing(
                    StandingQuestion(
                        component=ComponentKey(namespace=release.component.namespace, name=wanted.component),
                        environment=wanted.environment or step.environment,
                        release=wanted.release,
                    )
                )
                for wanted in policy.requires
            )
        )
        timed = policy.windows or policy.freezes
        return GateFacts(
            opening=timetable.look(policy.windows, policy.freezes, now) if timed else None,
            soaks=tuple(
                soaks_since(release.name, name, found) for name, found in zip(sources, soaks, strict=True)
            ),
            standings=tuple(standings),
        )

    async def _standing(self, question: StandingQuestion) -> Standing:
        found = standing(question, await self._lane(question.component, question.environment))
        found = found.model_copy(update={"at": self._clock()})
        if not question.release:
            return found
        wanted = await self._rules.release(question.component, question.release)
        return found.model_copy(update={"wanted": wanted.sequence if wanted is not None else 0})

    async def _lane(self, key: ComponentKey, environment: str) -> LaneState | None:
        try:
            return await self._runs.query(ids.lane(key, environment), "state", LaneState)
        except NotFound:
            return None

    async def _waits(self, promotion: str, environment: str) -> GateExplained | None:
        """What a promotion says of its own gate, with all that it has looked up."""
        try:
            state = await self._runs.query(promotion, "state", PromotionState)
        except NotFound:
            return None
        except Failure as failure:
            name = promotion.rpartition("/")[2]
            return GateExplained(release=name, promotion=promotion, reason=failure.reason, message=failure.message)
        step = state.steps.get(environment)
        if step is None:
            return None
        return GateExplained(
            release=state.request.release.name,
            promotion=promotion,
            waiting=step.phase in ("at-gate", "held"),
            reason=step.reason,
            message=step.message,
            gate=step.gate,
        )


def _candidates(lane: LaneState | None) -> tuple[LaneRequest, ...]:
    return () if lane is None else tuple(lane.candidates)
