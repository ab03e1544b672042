"""Sending a new release on its way, whether it was built here or came from elsewhere."""

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from model import ids
    from model.promotion import PromotionRequest
    from model.release import Release
    from workflows.attributes import attributes
    from workflows.promotion import Promotion


async def promote(release: Release) -> None:
    """Start the release's Promotion, which goes on by itself; one that is under way already is that one."""
    try:
        await workflow.start_child_workflow(
            Promotion.run,
            PromotionRequest(release=release),
            id=ids.promotion(release.component, release.name),
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            parent_close_policy=ParentClosePolicy.ABANDON,
            search_attributes=attributes(
                project=release.project,
                component=str(release.component),
                commit=release.commit.id,
                stage="promoting",
            ),
            static_summary=f"Promote {release.name}",
        )
    except WorkflowAlreadyStartedError:
        workflow.logger.info("%s is already being promoted", release.name)
