"""Deletion: a ref was deleted, and what stood for it ends."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from model.ref_deleted import RefDeleted
    from workflows.attributes import stage


@workflow.defn(name="Deletion")
class Deletion:
    """Takes note of it."""

    @workflow.run
    async def run(self, event: RefDeleted) -> str:  # noqa: ARG002  (what is done with it comes next)
        """Ends with its outcome."""
        stage("NotYet")
        return "NotYet"
