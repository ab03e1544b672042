"""`openchoreo.dev/v1alpha1` DeploymentPipeline: which environment follows which."""

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, WithJsonSchema

from model.resources.declared import AGE, OPENCHOREO, AnyReference, Block, Declared, Kind, Status, Word


class Target(Block):
    """An environment to promote to. The two approval flags are v0.8's: there no controller read them."""

    kind: Word | None = None
    name: Word
    requires_approval: bool | None = None
    is_manual_approval_required: bool | None = None

    @property
    def approval(self) -> bool | None:
        """Whether the pipeline itself asks for an approval; None when it does not say."""
        said = [flag for flag in (self.requires_approval, self.is_manual_approval_required) if flag is not None]
        return any(said) if said else None


AnyTarget = Annotated[
    Target,
    BeforeValidator(lambda value: {"name": value} if isinstance(value, str) else value),
    WithJsonSchema(
        {
            "x-kubernetes-preserve-unknown-fields": True,
            "minLength": 1,
            "maxLength": 253,
            "required": ["name"],
            "properties": {
                "kind": {"type": "string", "maxLength": 253},
                "name": {"type": "string", "minLength": 1, "maxLength": 253},
                "requiresApproval": {"type": "boolean"},
                "isManualApprovalRequired": {"type": "boolean"},
            },
        }
    ),
]


class PromotionPath(Block):
    """From one environment to others."""

    source_environment_ref: AnyReference
    target_environment_refs: Annotated[list[AnyTarget], Field(max_length=50)] = []


class DeploymentPipelineSpec(Block):
    """`promotionPaths` may branch and join again; circles are refused when the pipeline is used."""

    promotion_paths: Annotated[list[PromotionPath], Field(max_length=50)] = []
    parameters: dict[str, Any] | None = None


class DeploymentPipeline(Declared):
    """The graph that releases walk."""

    declared_as: ClassVar[Kind] = Kind(
        group=OPENCHOREO, kind="DeploymentPipeline", plural="deploymentpipelines", columns=(AGE,)
    )

    spec: DeploymentPipelineSpec = DeploymentPipelineSpec()
    status: Status | None = None
