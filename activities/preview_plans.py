"""Which components want previews of a change request, and how a preview is made."""

import asyncio
from typing import Any

from temporalio import activity

from activities.apiserver import ApiServer
from activities.declarations import OPENCHOREO, Declarations
from activities.resources import Resources
from model import preview_rules
from model.change_request import ChangeRequest
from model.component import Component
from model.failure import UserFailure
from model.key import ComponentKey
from model.preview import Candidates, PreviewPlan, PreviewRules, Unwanted
from model.repository import normalise
from model.value import Value


class PlanRequest(Value):
    """Ask how a component's preview of a change is made; `untrusted`: of code that nobody here answers for."""

    component: ComponentKey
    change: str
    untrusted: bool = False


class PreviewPlans:
    """Reads components, their projects and their pipelines.

    Args:
        server: the control plane's API server.
        resources: reads pipelines.
    """

    def __init__(self, server: ApiServer, resources: Resources) -> None:
        self._server = server
        self._resources = resources
        self._declarations = Declarations(server)

    @activity.defn(name="previews.candidates")
    async def candidates(self, change: ChangeRequest) -> Candidates:
        """The components of the change's repository: those that want a preview of it, and the rest with why not.

        A component wants one when its previews are switched on and the request is to be taken into the branch
        that it follows; one that a person names is always wanted.
        """
        every = [component for component in await self._declarations.all() if _is_of(component, change)]
        named = set(change.components)
        wanted: list[Component] = []
        unwanted: list[Unwanted] = []
        answers = await asyncio.gather(*(self._against(component, change) for component in every))
        for component, against in zip(every, answers, strict=True):
            if named:
                wanted += [component] if component.key in named else []
            elif against is None:
                wanted.append(component)
            else:
                unwanted.append(against)
        return Candidates(wanted=tuple(wanted), unwanted=tuple(unwanted))

    @activity.defn(name="previews.plan")
    async def plan(self, request: PlanRequest) -> PreviewPlan | None:
        """How a preview is made now; None when the component is gone.

        Raises:
            UserFailure: the component, its annotations or its pipeline cannot be read; names the field.
            NotFound: its project or pipeline does not exist.
        """
        component = await self._declarations.one(request.component)
        if component is None:
            return None
        pipeline, rules = await asyncio.gather(self._resources.pipeline(component), self._rules(component))
        return PreviewPlan(
            component=component,
            step=preview_rules.step(pipeline.steps[0], request.change, request.untrusted),
            rules=rules,
        )

    async def _against(self, component: Component, change: ChangeRequest) -> Unwanted | None:
        """Why a component wants no preview of a change; None when it does."""
        key, source = component.key, component.source
        assert source is not None  # noqa: S101  (`_is_of` has looked)
        try:
            rules = await self._rules(component)
        except UserFailure as failure:
            return Unwanted(
                component=key,
                api_version=component.api_version,
                reason=failure.reason,
                message=failure.message,
                unclear=True,
            )
        if not rules.enabled:
            message = f'Annotation {preview_rules.PREVIEWS} is not "true" on the component or its project.'
            return Unwanted(component=key, reason="PreviewsOff", message=message)
        if change.base != source.branch:
            message = f"The request is no longer one to {source.branch}, but to {change.base}."
            return Unwanted(component=key, reason="OtherBase", message=message)
        if component.build.kind == "image":
            return Unwanted(component=key, reason="NothingToBuild", message="The component builds nothing.")
        return None

    async def _rules(self, component: Component) -> PreviewRules:
        obj, project = await asyncio.gather(
            self._declarations.object(component.key),
            self._server.get(OPENCHOREO, "Project", component.project, component.key.namespace),
        )
        return preview_rules.rules(_annotations(obj), _annotations(project))


def _is_of(component: Component, change: ChangeRequest) -> bool:
    return component.source is not None and normalise(component.source.url) == change.repository


def _annotations(obj: dict[str, Any] | None) -> dict[str, str]:
    return dict((obj or {}).get("metadata", {}).get("annotations") or {})
