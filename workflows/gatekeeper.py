"""The gatekeeper: stands at one gate with what waits there, until it opens or is closed for good."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError, is_cancelled_exception

from workflows.cause import cause_of
from workflows.effort import perform

with workflow.unsafe.imports_passed_through():
    from activities.jobs import Jobs
    from activities.outside import Outside
    from activities.resources import Resources
    from activities.soaking import Soaking
    from activities.standings import Standings
    from activities.timetable import Timetable
    from model import ids, names
    from model.component import Component
    from model.external import External
    from model.failure import UserFailure
    from model.gate import OVERRIDE, REVOKED, Approval, GateItem, GateState, GateSubject, Recheck, refusal
    from model.gate_rules import PROBLEM_PAUSE, GateFacts, asks_outside, gate_state, soaks_since
    from model.job import JobRequest
    from model.lane import Answer
    from model.pipeline import EnvironmentStep, Pipeline
    from model.policy import fingerprint
    from model.question import ExternalAnswer, ExternalQuestion
    from model.release import Release
    from model.soak import Soak, SteadinessQuestion
    from model.standing import Standing, StandingQuestion
    from model.timetable import Opening, TimetableQuestion

APPROVALS_KEPT = 200
FRESH_SECONDS = 10.0
"""What was looked up longer ago is looked up once more before anybody is let through."""
RULES_AGAIN = 86_400.0
"""Changed rules are told at once (`recheck`); where that went wrong they are read again after a day."""


class Gatekeeper:
    """One gate, and one subject before it.

    How it is used, by a Promotion and by a set of releases:

        keeper = Gatekeeper(GateSubject.of(release), (component,), pipeline, "production", told, approvals)
        gate = await keeper.wait(leave=lambda: superseded)   # gate.open, gate.closed (for good), or it left
        await deploy(keeper.step)                            # the rules as they were read last

    `wait` is idle: it sleeps until the next moment at which a rule changes by itself, a word of a person
    (`take`), or `recheck`. Before it says open it reads the rules and looks at the world once more, and
    decides in one go after that. The workflow's update validator asks `refusal` first; `told` is called with
    each state that is reached while it waits; `approvals` is the caller's own list, which it keeps.

    Args:
        subject: what waits; several releases are one subject with one digest.
        components: the components of the subject's releases; the first one's pipeline is read again.
        pipeline: the pipeline as it was read, with the gate's environment and its sources.
        environment: whose gate.
    """

    def __init__(
        self,
        subject: GateSubject,
        components: tuple[Component, ...],
        pipeline: Pipeline,
        environment: str,
        told: Callable[[GateState], None],
        approvals: list[Approval],
    ) -> None:
        self._subject = subject
        self._components = components
        self._pipeline = pipeline
        self._environment = environment
        self._told = told
        self._approvals = approvals
        self._facts = GateFacts()
        self._rules_read = workflow.time()
        self._asked = 0
        self._recheck = False
        self._gone = False
        self.passed = False

    @property
    def step(self) -> EnvironmentStep:
        """The step with its rules as they were read last."""
        return self._pipeline.step(self._environment)

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline as it was read last."""
        return self._pipeline

    def state(self) -> GateState:
        """The gate as far as it is known now."""
        if self._gone:
            message = f"Pipeline {self._pipeline.name} has no {self._environment} any more."
            return self._closed("EnvironmentGone", message)
        return gate_state(self._subject, self.step, tuple(self._approvals), self._facts, workflow.time())

    def refusal(self, approval: Approval) -> tuple[str, str] | None:
        """Why a person's word must be refused (reason, message); None when `take` may have it. Reads only."""
        if any(known.id == approval.id for known in self._approvals):
            return None
        if self.passed:
            return "GatePassed", f"{self._subject.name} has passed the gate of {self._environment}."
        against = refusal(approval, self._subject, self.step.policy)
        if against is None and len(self._approvals) >= APPROVALS_KEPT:
            against = ("TooManyApprovals", f"A gate takes {APPROVALS_KEPT} answers at most.")
        if against is None and approval.kind == REVOKED and not self._has_answered(approval.actor.name):
            against = ("NothingToRevoke", f"{approval.actor.name} has said nothing at {self._environment}.")
        return against

    def take(self, approval: Approval) -> Answer:
        """Let a person's word count; sent twice it counts once. `refusal` had nothing against it."""
        if any(known.id == approval.id for known in self._approvals):
            return Answer(accepted=True, reason="AlreadyAccepted", message="This was accepted before.")
        rules = fingerprint(self.step.policy)
        self._approvals.append(approval.model_copy(update={"at": workflow.time(), "policy": rules}))
        reasons = {REVOKED: "Revoked", OVERRIDE: "Overridden"}
        reason = reasons.get(approval.kind, "Approved" if approval.approve else "Rejected")
        message = self.state().message
        return Answer(accepted=True, reason=reason, message=message, workflow=workflow.info().workflow_id)

    def shut(self) -> None:
        """What went through could not go on: people may speak again, and the gate is judged anew."""
        self.passed = False
        self._recheck = True

    def recheck(self, asked: Recheck | None = None) -> None:
        """Something outside has changed: read the rules again, and look at the world."""
        policy = self.step.policy
        watched = {requirement.component for requirement in policy.requires}
        if policy.soak_seconds:
            watched |= {release.component.name for release in self._subject.releases}
        if asked is None or not asked.component or asked.component in watched:
            self._recheck = True

    async def reread(self) -> None:
        """Read the rules again. Rules that cannot be read keep the gate shut, and say why."""
        try:
            pipeline = await perform(Resources.pipeline, self._components[0], summary="rules")
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            cause = cause_of(error)
            until = workflow.time() + PROBLEM_PAUSE
            item = GateItem(kind="policy", met=False, reason=cause.reason, message=cause.message, until=until)
            self._facts = self._facts.model_copy(update={"problem": item})
            return
        self._rules_read = workflow.time()
        try:
            rules = pipeline.step(self._environment).policy
        except UserFailure:
            self._gone = True
            return
        # Times are looked up anew under other windows; what runs elsewhere is as it was.
        changed = rules != self.step.policy
        opening = None if changed else self._facts.opening
        self._facts = self._facts.model_copy(update={"problem": None, "opening": opening})
        self._pipeline = pipeline

    async def look(self) -> GateState:
        """The gate as it is when one arrives there; nobody outside is asked yet."""
        await self._find_out(outside=False)
        return self.state()

    async def wait(self, leave: Callable[[], bool] = lambda: False) -> GateState:
        """Wait until the gate is open, or closed for good (`closed`), or `leave` says so."""
        began = workflow.time()
        while True:
            await self._find_out()
            state = self.state()
            if leave() or state.closed:
                return state
            if state.open:
                if await self._still_open() and not leave():
                    self.passed = True
                    return self.state()
                continue
            left = began + self.step.policy.gate_lasts_seconds - workflow.time()
            if left <= 0:
                return self._closed("GateExpired", _expired(state))
            self._told(state)
            await self._sleep(state, left, leave)

    async def _sleep(self, state: GateState, left: float, leave: Callable[[], bool]) -> None:
        seen = len(self._approvals)
        now = workflow.time()
        moments = [left, max(self._rules_read + RULES_AGAIN - now, 1.0)]
        if state.changes_at:
            moments.append(max(state.changes_at - now, 0.0))
        try:
            await workflow.wait_condition(
                lambda: len(self._approvals) != seen or self._recheck or leave(),
                timeout=timedelta(seconds=min(moments)),
                timeout_summary=f"gate of {self._environment}",
            )
        except TimeoutError:
            return

    async def _still_open(self) -> bool:
        """Nobody goes in under rules, or by facts, that have changed meanwhile."""
        if not workflow.patched("gate-looks-again"):
            return True
        before = len(self._approvals)
        await self.reread()
        await self._find_out(older_than=FRESH_SECONDS)
        return self.state().open and not self._recheck and len(self._approvals) == before

    async def _find_out(self, older_than: float = 0.0, outside: bool = True) -> None:
        """Look up whatever the present rules need to know and is not known (any more).

        With `older_than` (seconds) also what is known and met for longer than that. `outside`: whether
        outside answers may be asked for now.
        """
        now = workflow.time()
        anew, self._recheck = self._recheck, False
        old = self._rules_read + RULES_AGAIN <= now
        unread = self._facts.problem is not None and self._facts.problem.until <= now
        if anew or unread or old:
            # A gate from before that keeps its rules until it opens, and is not asked every second for them.
            self._rules_read = now
            if workflow.patched("gate-rules-again"):
                await self.reread()
        items = self.state().requirements
        due = {item.kind for item in items if not item.met and item.until <= now}
        if anew:
            due |= {item.kind for item in items}
        await asyncio.gather(
            self._look_at_clocks(anew or bool(due & {"window", "freeze"})),
            self._look_at_soaks("soak" in due, older_than),
            self._look_at_standings("requires" in due, older_than),
        )
        if outside and asks_outside(self.state()):
            self._told(self.state())
            await self._ask_outside()

    async def _look_at_clocks(self, due: bool) -> None:
        policy = self.step.policy
        if not due or not (policy.windows or policy.freezes):
            return
        question = TimetableQuestion(windows=policy.windows, freezes=policy.freezes, now=workflow.time())
        try:
            opening = await perform(Timetable.look, question, summary="windows")
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            cause, until = cause_of(error), workflow.time() + PROBLEM_PAUSE
            opening = Opening(open=False, reason=cause.reason, message=cause.message, until=until)
        self._facts = self._facts.model_copy(update={"opening": opening})

    async def _look_at_soaks(self, due: bool, older_than: float) -> None:
        step, now = self.step, workflow.time()
        aged = bool(older_than) and any(now - soak.at > older_than for soak in self._facts.soaks)
        if not step.policy.soak_seconds or not (due or aged):
            return
        soaks = await asyncio.gather(*(self._soak(source) for source in step.sources))
        self._facts = self._facts.model_copy(update={"soaks": tuple(soaks)})

    async def _soak(self, source: str) -> Soak:
        """The worst of the subject's releases in one source environment."""
        found = [await self._soak_of(release, source) for release in self._subject.releases]
        unwell = [soak for soak in found if not soak.well]
        return unwell[0] if unwell else max(found, key=lambda soak: soak.since)

    async def _soak_of(self, release: Release, source: str) -> Soak:
        standing = await self._standing(StandingQuestion(component=release.component, environment=source))
        soak = soaks_since(release.name, source, standing)
        component = next((each for each in self._components if each.key == release.component), None)
        if not soak.well or component is None:
            return soak
        step = self._pipeline.step(source)
        question = SteadinessQuestion.model_validate(
            {
                "target": {
                    "component": component,
                    "step": step,
                    "namespace": names.data_namespace(component.key.namespace, component.project, source),
                },
                "digest": release.digest,
                "since": soak.since,
                "pods": release.workload.kind != "scheduled-task" and release.workload.replicas > 0,
            }
        )
        try:
            steady = await perform(Soaking.steady, question, ids.data_queue(step.plane), summary=source)
        except ActivityError as error:
            cause = cause_of(error)
            return soak.model_copy(update={"well": False, "reason": cause.reason, "message": cause.message})
        return soak.model_copy(
            update={
                "well": steady.steady,
                "since": max(soak.since, steady.since),
                "reason": steady.reason,
                "message": steady.message,
            }
        )

    async def _look_at_standings(self, due: bool, older_than: float) -> None:
        step, now = self.step, workflow.time()
        aged = bool(older_than) and any(now - standing.at > older_than for standing in self._facts.standings)
        if not step.policy.requires or not (due or aged):
            return
        namespace = self._components[0].key.namespace
        standings = await asyncio.gather(
            *(
                self._standing(
                    StandingQuestion.model_validate(
                        {
                            "component": {"namespace": namespace, "name": requirement.component},
                            "environment": requirement.environment or step.environment,
                            "release": requirement.release,
                        }
                    )
                )
                for requirement in step.policy.requires
            )
        )
        self._facts = self._facts.model_copy(update={"standings": tuple(standings)})

    async def _standing(self, question: StandingQuestion) -> Standing:
        try:
            found = await perform(Standings.of, question, summary=question.environment)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            found = Standing(
                component=question.component, environment=question.environment, message=cause_of(error).message
            )
        return found.model_copy(update={"at": workflow.time()})

    async def _ask_outside(self) -> None:
        """Ask whoever has not agreed, one after the other; nobody is asked again before it is time."""
        for external in self.step.policy.external:
            item = next((item for item in self.state().requirements if _is(item, external)), None)
            if item is None or item.met or item.until > workflow.time():
                continue
            before = next((known for known in self._facts.answers if known.name == external.name), None)
            answer = await self._answer(external)
            now = workflow.time()
            # The limit runs from the first time that nobody agreed; a yes that has lapsed begins anew.
            again = before is not None and before.answer != "yes" and answer.answer != "yes"
            first, asked = (before.first, before.asked + 1) if before is not None and again else (now, 1)
            answer = answer.model_copy(update={"at": now, "first": first, "asked": asked})
            others = tuple(known for known in self._facts.answers if known.name != external.name)
            self._facts = self._facts.model_copy(update={"answers": (*others, answer)})

    async def _answer(self, external: External) -> ExternalAnswer:
        self._asked += 1
        release, step = self._subject.releases[0], self.step
        asking = f"{workflow.info().run_id}/{self._environment}/{external.name}/{self._asked}"
        try:
            if external.url:
                question = ExternalQuestion(
                    id=asking,
                    external=external,
                    component=self._components[0].key,
                    environment=self._environment,
                    release=self._subject.name,
                    digest=self._subject.digest,
                    commit=release.commit.id,
                )
                return await perform(Outside.ask, question, summary=external.name)
            job = self._job(external, asking, release)
            done = await perform(Jobs.run, job, ids.data_queue(step.plane), summary=external.name)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            cause = cause_of(error)
            return ExternalAnswer(name=external.name, answer="error", reason=cause.reason, message=cause.message)
        answer = {"succeeded": "yes", "failed": "no"}.get(done.result, "error")
        last = done.log.rsplit("\n", 1)[-1][:300]
        said = f"{done.message} {last}".strip()
        return ExternalAnswer.model_validate(
            {"name": external.name, "answer": answer, "reason": done.reason, "message": said}
        )

    def _job(self, external: External, asking: str, release: Release) -> JobRequest:
        component = self._components[0]
        namespace = names.data_namespace(component.key.namespace, component.project, self._environment)
        return JobRequest.model_validate(
            {
                "id": asking,
                "name": external.name,
                "target": {"component": component, "step": self.step, "namespace": namespace},
                "release": release,
                "command": external.command,
                "image": external.image,
                "deadline_seconds": external.timeout_seconds,
            }
        )

    def _has_answered(self, name: str) -> bool:
        words = [
            word
            for word in self._approvals
            if word.environment == self._environment and word.actor.name == name and word.kind != OVERRIDE
        ]
        return bool(words) and words[-1].kind != REVOKED

    def _closed(self, reason: str, message: str) -> GateState:
        return GateState(environment=self._environment, open=False, reason=reason, message=message, closed=True)


def _is(item: GateItem, external: External) -> bool:
    return item.kind == "external" and item.name == external.name


def _expired(state: GateState) -> str:
    if all(item.kind == "approvals" for item in state.requirements):
        return "Nobody approved it in time."
    return f"It did not open in time: {state.message}"
