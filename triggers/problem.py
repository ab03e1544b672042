"""Errors as RFC 9457 problem documents: the one way in which the server says no."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse

from model.failure import Conflict, Failure, NotFound, Refused, UserFailure

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2


class Problem(Exception):
    """A refusal: HTTP status, stable CamelCase reason, and a detail that says what to do next.

    `headers` go into the answer (Retry-After, WWW-Authenticate); `errors` name the fields at fault.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        errors: tuple[dict[str, str], ...] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = errors

    def __repr__(self) -> str:
        return f"Problem(status={self.status}, reason={self.reason!r}, detail={self.detail!r})"

    def document(self) -> dict[str, object]:
        """The members of RFC 9457 section 3.1, plus `reason` for scripts and `errors` where fields are wrong."""
        document: dict[str, object] = {
            "type": f"urn:towpath:problem:{self.reason}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "reason": self.reason,
        }
        if self.errors:
            document["errors"] = list(self.errors)
        return document

    def response(self) -> JSONResponse:
        """The problem as an answer."""
        headers = dict(self.headers)
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
        return JSONResponse(self.document(), self.status, headers, MEDIA_TYPE)


def of_failure(failure: Failure) -> Problem:
    """A failure of ours as a problem: what is gone 404, contradictions 409, refusals 403, other mistakes 400,
    and whatever may pass 503."""
    if isinstance(failure, NotFound):
        status = HTTPStatus.NOT_FOUND
    elif isinstance(failure, Conflict):
        status = HTTPStatus.CONFLICT
    elif isinstance(failure, Refused):
        status = HTTPStatus.FORBIDDEN
    elif isinstance(failure, UserFailure):
        status = HTTPStatus.BAD_REQUEST
    else:
        status = HTTPStatus.SERVICE_UNAVAILABLE
    return Problem(status, failure.reason, failure.message)
