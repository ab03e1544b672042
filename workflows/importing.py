"""Starting the import of what a manifest names where nothing is built."""

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ChildWorkflowError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from model import ids, image_import
    from model.component import Component
    from model.failure import UserFailure
    from model.image_import import ImageDeliveryState
    from model.image_push import ImagePush
    from model.push import Push
    from workflows.attributes import attributes
    from workflows.cause import cause_of
    from workflows.image_delivery import ImageDelivery


async def import_image(push: Push, component: Component) -> tuple[str, str]:
    """Have the image that an applied (or triggered) component names taken in: outcome and message."""
    try:
        name, _ = image_import.rule_of(component)
    except UserFailure as failure:
        return failure.reason, failure.message
    own = workflow.info().workflow_id
    asked = ImagePush(
        cause=push.cause,
        provider=push.provider,
        delivery=own,
        repository=name.repository,
        tag=name.tag,
        digest=name.digest,
        sequence=push.sequence,
        actor=push.actor,
        components=(component.key,),
    )
    try:
        ended: ImageDeliveryState = await workflow.execute_child_workflow(
            ImageDelivery.run,
            asked,
            id=ids.image(name.repository, "", name.tag, own),
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            parent_close_policy=ParentClosePolicy.ABANDON,
            search_attributes=attributes(
                project=component.project,
                component=str(component.key),
                repository=name.repository,
                stage="importing",
            ),
            static_summary=f"Import {name.repository} for {component.key}"[:200],
        )
    except WorkflowAlreadyStartedError:
        return "AlreadyImported", "This was asked for before."
    except ChildWorkflowError as error:
        cause = cause_of(error)
        return cause.reason, cause.message
    return ended.outcome, ended.message
