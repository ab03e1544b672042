"""What is wrong with a manifest before anybody builds or promotes: for whoever admits it, and for `explain`.

Pure: what else is declared is handed in. `None` for environments means that they are not known, and then
what they are needed for is left to the promotion itself.
"""

from collections.abc import Collection, Mapping
from typing import Any

from model import defaults, stated_filters, stated_gates, timed_build
from model.failure import UserFailure
from model.pipeline import in_order
from model.resolve import stated
from model.resources.declared import Metadata, read
from model.resources.deployment_pipeline import DeploymentPipeline
from model.resources.freeze import Freeze
from model.resources.promotion_policy import PromotionPolicy
from model.resources.repository import Repository
from model.value import Value

KINDS = ("PromotionPolicy", "Freeze", "DeploymentPipeline", "Repository", "Component")
ANNOTATIONS = (stated_filters.ANNOTATION, timed_build.ANNOTATION)
"""What of a Component is checked here; for the rest its own Delivery tells what is wrong."""


class Fault(Value):
    """One thing that is wrong; the message names the object and the field."""

    reason: str
    message: str


def faults(obj: Mapping[str, Any], environments: Collection[str] | None = None) -> tuple[Fault, ...]:
    """Why an object must be refused: it cannot be read, can never be met, goes in a circle, or names an
    environment that there is not. Nothing for other kinds than KINDS.
    """
    if environments is not None and not environments:
        # They are made when the first component comes, so that policies for them may come before it.
        environments = [made["metadata"]["name"] for made in defaults.environments("default")]
    checks = {
        "PromotionPolicy": _policy,
        "Freeze": _freeze,
        "DeploymentPipeline": _pipeline,
        "Repository": _repository,
        "Component": _component,
    }
    check = checks.get(str(obj.get("kind", "")))
    if check is None:
        return ()
    try:
        check(dict(obj), environments)
    except UserFailure as failure:
        return (Fault(reason=failure.reason, message=failure.message),)
    return ()


def _policy(obj: dict[str, Any], environments: Collection[str] | None) -> None:
    policy = read(PromotionPolicy, obj)
    where = f"PromotionPolicy {policy.metadata.name}: spec"
    stated(policy)
    stated_gates.freezes(policy.spec, where, policy.metadata.name)
    selector = policy.spec.selector
    _must_exist(selector.environment, environments, f"{where}.selector.environment")
    for index, rule in enumerate(policy.spec.requires or ()):
        field = f"{where}.requires.{index}"
        _must_exist(rule.environment, environments, f"{field}.environment")
        same_place = rule.environment in (None, selector.environment)
        if rule.component == selector.component and same_place:
            raise UserFailure("BadRequirement", f"{field}.component: {rule.component} would wait for itself.")


def _freeze(obj: dict[str, Any], environments: Collection[str] | None) -> None:
    freeze = read(Freeze, obj)
    stated_gates.declared_freeze(freeze)
    field = f"Freeze {freeze.metadata.name}: spec.selector.environment"
    _must_exist(freeze.spec.selector.environment, environments, field)


def _pipeline(obj: dict[str, Any], environments: Collection[str] | None) -> None:
    pipeline = read(DeploymentPipeline, obj)
    name = pipeline.metadata.name
    sources: dict[str, tuple[str, ...]] = {}
    for index, path in enumerate(pipeline.spec.promotion_paths):
        field = f"DeploymentPipeline {name}: spec.promotionPaths.{index}"
        source = path.source_environment_ref.name
        _must_exist(source, environments, f"{field}.sourceEnvironmentRef")
        sources.setdefault(source, ())
        for number, target in enumerate(path.target_environment_refs):
            _must_exist(target.name, environments, f"{field}.targetEnvironmentRefs.{number}")
            sources[target.name] = (*sources.get(target.name, ()), source)
    if not sources:
        raise UserFailure("PipelineEmpty", f"DeploymentPipeline {name}: spec.promotionPaths: name an environment")
    try:
        in_order(name, sources)
    except UserFailure as failure:
        message = f"DeploymentPipeline {name}: spec.promotionPaths: {failure.message}"
        raise UserFailure(failure.reason, message) from None


def _repository(obj: dict[str, Any], environments: Collection[str] | None) -> None:  # noqa: ARG001
    repository = read(Repository, obj)
    where = f"Repository {repository.metadata.name}: spec.filters"
    stated_filters.stated(repository.spec.filters, where)


def _component(obj: dict[str, Any], environments: Collection[str] | None) -> None:  # noqa: ARG001
    annotations = Metadata.model_validate(obj.get("metadata") or {"name": ""}).annotations
    stated_filters.annotated(annotations)
    timed_build.annotated(annotations)


def _must_exist(name: str | None, environments: Collection[str] | None, field: str) -> None:
    if name is None or environments is None or name in environments:
        return
    there = ", ".join(sorted(environments)[:20]) or "none"
    raise UserFailure(
        "UnknownEnvironment", f"{field}: there is no Environment {name!r} in this namespace; there are: {there}."
    )
