"""Registration: a repository's webhook is made, checked or taken away, because a person says so."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.webhooks import Webhooks
    from model.registration import Fault, Registered, RegistrationRequest
    from workflows.attributes import stage
    from workflows.cause import cause_of
    from workflows.effort import perform


@workflow.defn(name="Registration")
class Registration:
    """One at a time for a Repository, so that two calls at once never make two webhooks."""

    @workflow.init
    def __init__(self, request: RegistrationRequest) -> None:
        self._state = Registered(namespace=request.namespace, name=request.name, message="It is under way.")

    @workflow.query
    def state(self) -> Registered:
        """How it is."""
        return self._state

    @workflow.run
    async def run(self, request: RegistrationRequest) -> Registered:
        """Do it; what keeps it from being done is told as a fault."""
        stage(request.action)
        step = {
            "register": Webhooks.register,
            "unregister": Webhooks.unregister,
            "check": Webhooks.check,
        }[request.action]
        try:
            self._state = await perform(step, request, summary=f"{request.action} by {request.actor.name}")
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            cause = cause_of(error)
            fault = Fault(reason=cause.reason, message=cause.message)
            self._state = self._state.model_copy(update={"faults": (fault,), "message": cause.message})
        stage("faulty" if self._state.faults else "done")
        return self._state
