"""How our failures travel through Temporal: type by class, reason as first detail, retry by kind."""

from datetime import timedelta
from typing import Any

from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from model.failure import Failure, InfrastructureFailure, UserFailure

MESSAGE_LIMIT = 2000


class FailureInterceptor(Interceptor):
    """Turns a `model.failure` that an activity raises into an ApplicationError."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wrap the next interceptor (the name of the argument is the SDK's)."""
        return _Inbound(super().intercept_activity(next))


def _asked(failure: Failure) -> timedelta | None:
    """How long to wait before the next try, where the other side has said so."""
    after = failure.retry_after if isinstance(failure, InfrastructureFailure) else None
    return timedelta(seconds=after) if after is not None else None


class _Inbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await super().execute_activity(input)
        except Failure as failure:
            raise ApplicationError(
                failure.message[:MESSAGE_LIMIT],
                failure.reason,
                type=type(failure).__name__,
                non_retryable=isinstance(failure, UserFailure),
                next_retry_delay=_asked(failure),
            ) from None
