"""Poison: a delivery on which reading broke is set aside where people find it, and stops nothing."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from model.poison import Poison as SetAside
    from workflows.attributes import stage


@workflow.defn(name="Poison")
class Poison:
    """Only there to be found."""

    @workflow.run
    async def run(self, delivery: SetAside) -> str:
        """Ends at once. The body is not kept: the sender has it, and it may hold secrets."""
        stage("SetAside")
        workflow.set_current_details(
            f"A delivery of {delivery.provider} ({delivery.event or 'unknown event'}, id `{delivery.delivery}`) "
            f"broke our reading of it: {delivery.error} at `{delivery.place}`. Redeliver it once that is mended."
        )
        return "SetAside"
