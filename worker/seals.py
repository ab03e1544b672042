"""Seals: signals between our own workflows, told from those that anybody who reaches Temporal can send; and
updates that no person sends, whose argument is a `model.statement.Sealed`.

A seal travels as a header: JWS compact (RFC 7515) with HMAC-SHA256 over the workflow, the signal, the time and
a whole copy of the arguments. A copy rather than a hash: while two versions of Towpath run side by side, one may
drop fields that the other has just learnt, and both copies are then read by the same eyes.
"""

import json
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from jwt.exceptions import InvalidTokenError
from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python
from temporalio.api.common.v1 import Payload
from temporalio.client import (
    Interceptor,
    OutboundInterceptor,
    SignalWorkflowInput,
    StartWorkflowInput,
    StartWorkflowUpdateInput,
    WorkflowHandle,
    WorkflowUpdateHandle,
)
from temporalio.converter import PayloadConverter

from model.statement import SKEW_SECONDS, Sealed
from worker.keys import SealKeys

HEADER = "towpath-seal"
ALGORITHM = "HS256"
_JWS = jwt.PyJWS()


def seal(keys: SealKeys, workflow: str, signal: str, args: Sequence[Any], at: float) -> str:
    """The seal of a signal that is sent at `at` (seconds since the epoch)."""
    said = {"workflow": workflow, "signal": signal, "at": at, "args": to_jsonable_python(list(args))}
    payload = zlib.compress(json.dumps(said, separators=(",", ":")).encode())
    return _JWS.encode(payload, keys.secrets[keys.active], ALGORITHM, headers={"kid": keys.active})


def broken(keys: SealKeys, text: str, workflow: str, signal: str, args: Sequence[Any], began: float) -> str | None:
    """Why a seal does not make this signal one of ours; None when it does.

    `began` (seconds since the epoch) is when the workflow began: what an earlier one of the same id was told
    says nothing to this one.
    """
    try:
        secret = keys.secrets.get(str(jwt.get_unverified_header(text).get("kid")))
        if secret is None:
            return "it is sealed with a key that is not known here"
        said = json.loads(zlib.decompress(_JWS.decode(text, secret, algorithms=[ALGORITHM])))
    except InvalidTokenError:
        return "its seal is broken" if text else "it has no seal"
    if (said["workflow"], said["signal"]) != (workflow, signal):
        return f"its seal is for {said['signal']} of {said['workflow']}"
    if said["at"] < began - SKEW_SECONDS:
        return "it was sealed before this workflow began"
    if len(said["args"]) != len(args) or not all(map(_same, said["args"], args)):
        return "its content is not what was sealed"
    return None


def sealed(
    headers: Mapping[str, Payload], keys: SealKeys, workflow: str, signal: str, args: Sequence[Any], at: float
) -> dict[str, Payload]:
    """The headers of a signal with its seal among them."""
    text = seal(keys, workflow, signal, args, at)
    return {**headers, HEADER: PayloadConverter.default.to_payload(text)}


def seal_of(headers: Mapping[str, Payload]) -> str:
    """The seal among a signal's headers; empty when there is none that can be read."""
    payload = headers.get(HEADER)
    if payload is None or payload.metadata.get("encoding") != b"json/plain":
        return ""
    try:
        text = PayloadConverter.default.from_payload(payload, str)
    except (RuntimeError, TypeError, ValueError):
        return ""
    return text if isinstance(text, str) else ""


class Sealing(Interceptor):
    """Seals the signals that a client of ours sends, from activities of the control plane."""

    def __init__(self, keys: SealKeys) -> None:
        self._keys = keys

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        """Wrap the next interceptor (the name of the argument is the SDK's)."""
        return _Outbound(next, self._keys)


class _Outbound(OutboundInterceptor):
    def __init__(self, next: OutboundInterceptor, keys: SealKeys) -> None:
        super().__init__(next)
        self._keys = keys

    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        if input.start_signal is not None:
            args = input.start_signal_args
            input.headers = sealed(input.headers, self._keys, input.id, input.start_signal, args, time.time())
        return await super().start_workflow(input)

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        input.headers = sealed(input.headers, self._keys, input.id, input.signal, input.args, time.time())
        await super().signal_workflow(input)

    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:
        if any(isinstance(arg, Sealed) for arg in input.args):
            input.headers = sealed(input.headers, self._keys, input.id, input.update, input.args, time.time())
        return await super().start_workflow_update(input)


def _same(copy: object, arg: object) -> bool:
    if not isinstance(arg, BaseModel):
        return bool(copy == to_jsonable_python(arg))
    try:
        known = type(arg).model_validate_json(json.dumps(copy))
    except ValidationError:
        return False
    return known == arg
