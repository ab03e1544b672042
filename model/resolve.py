"""A component's pipeline with every rule resolved, from the objects that declare it."""

from collections.abc import Sequence
from typing import Any, TypeVar

from model import hooks_stated, stated_gates
from model.component import Component
from model.duration import seconds
from model.failure import UserFailure
from model.pipeline import EnvironmentStep, Pipeline, in_order
from model.policy import StepPolicy
from model.resources.declared import read
from model.resources.deployment_pipeline import DeploymentPipeline
from model.resources.environment import Environment
from model.resources.freeze import Freeze
from model.resources.promotion_policy import PromotionPolicy, Selector
from model.stated_gitops import gitops, refuse_together
from model.stated_strategy import strategy
from model.stated_verification import verification
from model.window import Freeze as FreezeRule

T = TypeVar("T")
# A selector's fields by how much they narrow: naming the component outweighs naming all the others.
_WEIGHT = {"component": 8, "project": 4, "environment": 2, "pipeline": 1}


def pipeline(
    component: Component,
    declared: dict[str, Any],
    environments: list[dict[str, Any]],
    policies: list[dict[str, Any]],
    freezes: Sequence[dict[str, Any]] = (),
) -> Pipeline:
    """The steps of a DeploymentPipeline for one component, sources before targets.

    Each rule comes from the most specific PromotionPolicy that states it. For approvals, where no policy
    does, v0.8's flag on the pipeline's target decides, and where that is absent as well: one approval
    before a production environment, none before others. `StepPolicy.source` says which object won. Freezes
    are the exception: all that match count together, of policies and of Freeze objects.

    Raises:
        UserFailure: `InvalidManifest`, `PipelineEmpty`, `PipelineCycle` or `UnknownEnvironment`; the message
            names the object and the field. A policy that cannot be read is not passed over.
    """
    graph = read(DeploymentPipeline, declared)
    name = graph.metadata.name
    known = {
        environment.metadata.name: environment for environment in (read(Environment, e) for e in environments)
    }
    rules = [read(PromotionPolicy, policy) for policy in policies]
    held = [read(Freeze, freeze) for freeze in freezes]
    sources, flags = _paths(graph, known)
    steps = tuple(
        EnvironmentStep(
            environment=environment,
            plane=found.spec.data_plane_ref.name if found.spec.data_plane_ref else "default",
            production=found.spec.is_production,
            sources=sources[environment],
            policy=_policy(component, name, found, flags.get(environment), rules, held),
        )
        for environment in in_order(name, sources)
        for found in (known[environment],)
    )
    return Pipeline(name=name, steps=steps)


def without_ended(found: Pipeline, now: float) -> Pipeline:
    """The pipeline without freezes that are over at `now` (seconds since the epoch)."""
    steps = tuple(
        step.model_copy(
            update={
                "policy": step.policy.model_copy(
                    update={"freezes": stated_gates.lasting(step.policy.freezes, now)}
                )
            }
        )
        for step in found.steps
    )
    return found.model_copy(update={"steps": steps})


def _paths(
    graph: DeploymentPipeline, known: dict[str, Environment]
) -> tuple[dict[str, tuple[str, ...]], dict[str, bool]]:
    sources: dict[str, tuple[str, ...]] = {}
    flags: dict[str, bool] = {}
    for index, path in enumerate(graph.spec.promotion_paths):
        field = f"spec.promotionPaths.{index}"
        source = path.source_environment_ref.name
        _must_exist(graph, known, source, f"{field}.sourceEnvironmentRef")
        sources.setdefault(source, ())
        for number, target in enumerate(path.target_environment_refs):
            _must_exist(graph, known, target.name, f"{field}.targetEnvironmentRefs.{number}")
            before = sources.get(target.name, ())
            sources[target.name] = before if source in before else (*before, source)
            if target.approval is not None:
                flags[target.name] = target.approval or flags.get(target.name, False)
    if not sources:
        raise UserFailure(
            "PipelineEmpty", f"DeploymentPipeline {graph.metadata.name}: spec.promotionPaths: name an environment"
        )
    return sources, flags


def _must_exist(graph: DeploymentPipeline, known: dict[str, Environment], name: str, field: str) -> None:
    if name not in known:
        there = ", ".join(sorted(known)[:20]) or "none"
        raise UserFailure(
            "UnknownEnvironment",
            f"DeploymentPipeline {graph.metadata.name}: {field}: there is no Environment {name!r} "
            f"in this namespace; there are: {there}.",
        )


def _policy(
    component: Component,
    pipeline_name: str,
    environment: Environment,
    flag: bool | None,
    policies: list[PromotionPolicy],
    held: Sequence[Freeze] = (),
) -> StepPolicy:
    facts = {
        "component": component.key.name,
        "project": component.project,
        "environment": environment.metadata.name,
        "pipeline": pipeline_name,
    }
    ranked = sorted(
        (policy for policy in policies if _weight(policy.spec.selector, facts) is not None),
        key=lambda policy: (-(_weight(policy.spec.selector, facts) or 0), policy.metadata.name),
    )
    chosen: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for policy in ranked:
        for rule, value in stated(policy).items():
            if rule not in chosen:
                chosen[rule] = value
                origins[rule] = f"PromotionPolicy {policy.metadata.name}"
    if "approvals" not in chosen and flag is not None:
        chosen["approvals"] = int(flag)
        origins["approvals"] = f"DeploymentPipeline {pipeline_name}"
    elif "approvals" not in chosen and environment.spec.is_production:
        chosen["approvals"] = 1
        origins["approvals"] = "default for production"
    chosen["freezes"], origins["freezes"] = _freezes(ranked, held, facts)
    if not chosen["freezes"]:
        del chosen["freezes"], origins["freezes"]
    source = "; ".join(f"{rule}: {origin}" for rule, origin in sorted(origins.items()))
    where = f"Environment {environment.metadata.name}: {origins.get('gitops', '')}"
    refuse_together(chosen.get("gitops"), chosen.get("strategy"), where)
    return StepPolicy(**chosen, source=source or "default", origins=origins)


def _freezes(
    policies: Sequence[PromotionPolicy], held: Sequence[Freeze], facts: dict[str, str]
) -> tuple[tuple[FreezeRule, ...], str]:
    """Every freeze that matches, and the objects they come from: no narrower policy can lift a wider freeze."""
    found: list[FreezeRule] = []
    for policy in policies:
        name = f"PromotionPolicy {policy.metadata.name}"
        found += stated_gates.freezes(policy.spec, f"{name}: spec", name)
    found += [
        stated_gates.declared_freeze(each) for each in held if _weight(each.spec.selector, facts) is not None
    ]
    return tuple(found), ", ".join(dict.fromkeys(freeze.source for freeze in found))


def _weight(selector: Selector, facts: dict[str, str]) -> int | None:
    """How specific the selector is; None when it does not match."""
    total = 0
    for field, weight in _WEIGHT.items():
        wanted = getattr(selector, field)
        if wanted is None:
            continue
        if wanted != facts[field]:
            return None
        total += weight
    return total


def stated(policy: PromotionPolicy) -> dict[str, Any]:
    """The rules that a policy states, under `StepPolicy`'s names."""
    spec, where = policy.spec, f"PromotionPolicy {policy.metadata.name}: spec"
    stated: dict[str, Any] = {}
    if spec.approvals is not None:
        asked = spec.approvals
        stated["approvals"] = asked.required
        stated["approver_roles"] = tuple(asked.roles) if asked.roles is not None else None
        stated["allow_own_commit"] = asked.allow_own_commit
        stated["approval_lasts_seconds"] = _seconds(asked.expires_after, f"{where}.approvals.expiresAfter")
        stated["gate_lasts_seconds"] = _seconds(asked.gate_expires_after, f"{where}.approvals.gateExpiresAfter")
    stated.update(stated_gates.stated(spec, where))
    stated["stability_seconds"] = _seconds(spec.stability, f"{where}.stability")
    stated["deadline_seconds"] = _seconds(spec.deadline, f"{where}.deadline")
    stated.update(verification(spec.verification, f"{where}.verification"))
    if spec.gitops is not None:
        stated["gitops"] = gitops(spec.gitops, f"{where}.gitops", policy.metadata.namespace or "default")
    if spec.strategy is not None:
        stated["strategy"] = strategy(spec.strategy, f"{where}.strategy")
    stated.update(hooks_stated.stated(spec.hooks, f"{where}.hooks"))
    return {rule: value for rule, value in stated.items() if value is not None}


def _seconds(text: str | None, field: str) -> float | None:
    return None if text is None else seconds(text, field)
