"""ImageDelivery: an image has come to a registry, and which components it concerns."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from model.image_push import ImagePush
    from workflows.attributes import stage


@workflow.defn(name="ImageDelivery")
class ImageDelivery:
    """Takes note of it."""

    @workflow.run
    async def run(self, event: ImagePush) -> str:  # noqa: ARG002  (what is done with it comes next)
        """Ends with its outcome."""
        stage("NotYet")
        return "NotYet"
