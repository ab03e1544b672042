"""CommentDelivery: a comment on a change request, and what it asks for."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from model.comment import Comment
    from workflows.attributes import stage


@workflow.defn(name="CommentDelivery")
class CommentDelivery:
    """Takes note of it."""

    @workflow.run
    async def run(self, event: Comment) -> str:  # noqa: ARG002  (what is done with it comes next)
        """Ends with its outcome."""
        stage("NotYet")
        return "NotYet"
