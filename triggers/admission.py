"""Admission: what is wrong with a pipeline, a policy, a freeze or a filter is told to whoever applies it, at once.

A validating webhook of Kubernetes (`admission.k8s.io/v1`). What the definitions' own rules can say is said there;
here is what needs the other objects, or more than one field. The cluster asks with `failurePolicy: Ignore`:
while the server is away, faults are found where they matter, by the promotion.
"""

from collections.abc import Collection
from typing import Annotated, Any, Protocol

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from activities.informer import Object
from model.failure import Failure
from model.policy_check import ANNOTATIONS, Fault, faults
from triggers.body import BodyReader
from triggers.problem import Problem

PATH = "/admission"
OPENCHOREO = "openchoreo.dev/v1alpha1"
# An object and the one that it replaces, each at most what etcd takes, and room around them.
BODY_LIMIT = 8 * 1024 * 1024
TOTAL_LIMIT = 64 * 1024 * 1024
BODY_SECONDS = 2.0
MESSAGE_LIMIT = 1000
WARNING_LIMIT = 250

log = structlog.get_logger(__name__)


class Listing(Protocol):
    """The part of the API server that is asked."""

    async def list(
        self, api_version: str, kind: str, namespace: str = "", labels: str = "", fields: str = ""
    ) -> list[Object]:
        """All objects that match. Raises InfrastructureFailure."""
        ...


class _Question(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    uid: Annotated[str, Field(max_length=200)]
    operation: str = ""
    namespace: str = ""
    obj: Annotated[dict[str, Any] | None, Field(alias="object")] = None
    old: Annotated[dict[str, Any] | None, Field(alias="oldObject")] = None


class _Review(BaseModel):
    request: _Question


class Admission:
    """Answers the cluster's questions; `bodies` bounds what anybody may send."""

    def __init__(self, cluster: Listing, bodies: BodyReader | None = None) -> None:
        self._cluster = cluster
        self._bodies = bodies or BodyReader(BODY_LIMIT, BODY_SECONDS, TOTAL_LIMIT)

    def application(self) -> Starlette:
        """The one route, as an application of its own: it is served with a certificate, for the cluster only."""
        return Starlette(
            routes=[Route(PATH, self._answer, methods=["POST"])],
            exception_handlers={Problem: _problem},
        )

    async def review(self, namespace: str, obj: Object) -> tuple[Fault | None, str]:
        """Why an object must be refused (None: it need not be), and what to warn of.

        An environment that is missing from a namespace with others is a mistake; where there are none at
        all yet, the pipeline may simply come first, and a warning will do.
        """
        try:
            listed = await self._cluster.list(OPENCHOREO, "Environment", namespace)
        except Failure as failure:
            log.warning("environments unknown", namespace=namespace, reason=failure.reason)
            return _first(obj, None), "Towpath could not look which environments there are; it did not check them."
        names = [each["metadata"]["name"] for each in listed]
        if names:
            return _first(obj, names), ""
        refused = _first(obj, None)
        missing = None if refused else _first(obj, ())
        return refused, missing.message if missing else ""

    async def _answer(self, request: Request) -> Response:
        body = await self._bodies.read(request.headers, request.stream())
        try:
            asked = _Review.model_validate_json(body).request
        except ValidationError as error:
            # Nothing of what was sent is sent back.
            raise Problem(
                400, "BadReview", f"This is no AdmissionReview ({error.error_count()} faults)."
            ) from None
        obj = asked.obj
        if obj is None or asked.operation not in ("CREATE", "UPDATE") or _nothing_new(obj, asked.old):
            return _response(asked.uid, None, "")
        refused, warning = await self.review(asked.namespace, obj)
        if refused is not None:
            log.info("manifest refused", namespace=asked.namespace, kind=obj.get("kind"), reason=refused.reason)
        return _response(asked.uid, refused, warning)


def _first(obj: Object, environments: Collection[str] | None) -> Fault | None:
    return next(iter(faults(obj, environments)), None)


def _nothing_new(obj: Object, old: Object | None) -> bool:
    """Metadata may change on what was there before, and what is being deleted may go."""
    deleting = (obj.get("metadata") or {}).get("deletionTimestamp")
    return bool(deleting) or (old is not None and _said(old) == _said(obj))


def _said(obj: Object) -> tuple[Any, ...]:
    """What of an object is checked."""
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    return obj.get("spec"), *(annotations.get(each) for each in ANNOTATIONS)


def _response(uid: str, refused: Fault | None, warning: str) -> Response:
    response: dict[str, Any] = {"uid": uid, "allowed": refused is None}
    if refused is not None:
        message = f"{refused.reason}: {refused.message}"[:MESSAGE_LIMIT]
        response["status"] = {"code": 422, "reason": "Invalid", "message": message}
    if warning:
        response["warnings"] = [warning[:WARNING_LIMIT]]
    return JSONResponse({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101  (registered for it)
    return error.response()
