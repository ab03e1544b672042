"""The guard before every workflow: people's updates carry a proof, our own signals a seal.

**Updates.** A validator runs before an update is in the history, and never on replay, so it may look at keys
that change. The workflow's own validator comes after it. What our own activities tell by an update (its argument
is a `Sealed`) is sealed as signals are.

**Signals** are in the history before anybody looks at them, so what is made of one must be the same on every
replay, whatever has become of the keys. Hence a refusal, which only an attack brings about, is itself recorded
(a patch marker, numbered by the signal); on replay that marker alone decides. What was accepted leaves nothing,
so histories from before there were seals replay, and a key may be removed as soon as no signal is under way
that it sealed.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, NoReturn

import jwt
from jwt.exceptions import InvalidTokenError
from pydantic import BaseModel, ValidationError
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadConverter
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ContinueAsNewInput,
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    SignalChildWorkflowInput,
    SignalExternalWorkflowInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from model.failure import UserFailure
from model.statement import INVALID, MISSING, PROOF, Against, Sealed, Statement, against
from worker.keys import ProofKeys, SealKeys
from worker.seals import broken, seal_of, sealed

BEGAN = "towpath-began"
REFUSED_SIGNALS = "towpath_refused_signals_total"
ALGORITHMS = ["EdDSA"]


class Guard(Interceptor):
    """Refuses updates without a proof and signals without a seal."""

    def __init__(self, proofs: ProofKeys, seals: SealKeys) -> None:
        self._keys = {"proofs": proofs, "seals": seals}

    def workflow_interceptor_class(
        self, _input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        """The SDK makes one interceptor a workflow, of a class that knows the keys."""
        return type("Guarded", (_Inbound,), self._keys)


def require_guarded(workflows: Iterable[type]) -> None:
    """See to it that no update goes round the guard: without a validator of its own it would not be asked.

    Raises:
        UserFailure: `UpdateUnguarded`, naming the update.
    """
    for each in workflows:
        definition = workflow._Definition.must_from_class(each)
        for name, update in definition.updates.items():
            said = update.arg_types[0] if update.arg_types else None
            proven = isinstance(said, type) and issubclass(said, BaseModel) and PROOF in said.model_fields
            ours = isinstance(said, type) and issubclass(said, Sealed)
            if name is None or update.validator is None or not (proven or ours):
                raise UserFailure(
                    "UpdateUnguarded",
                    f"{definition.name}.{name} needs a validator, and a model with a `{PROOF}` as its argument "
                    "(or a Sealed one, if only Towpath itself says it).",
                )


def checked(
    keys: ProofKeys, said: object, workflow_id: str, update: str, now: float, began: float
) -> Against | None:
    """Why an update is refused; None when its proof allows it. Times in seconds since the epoch."""
    proof = getattr(said, PROOF, "")
    if not proof or not isinstance(said, BaseModel):
        return MISSING
    try:
        key = keys.get(str(jwt.get_unverified_header(proof).get("kid")))
        if key is None:
            return INVALID
        # Temporal's clock decides over what is old, not this machine's.
        options: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
        statement = Statement.model_validate(jwt.decode(proof, key, algorithms=ALGORITHMS, options=options))
    except (InvalidTokenError, ValidationError):
        return INVALID
    return against(statement, workflow_id, update, said, now, began)


class _Inbound(WorkflowInboundInterceptor):
    proofs: ClassVar[ProofKeys]
    seals: ClassVar[SealKeys]

    def __init__(self, next: WorkflowInboundInterceptor) -> None:
        super().__init__(next)
        self._signals = 0

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound, self.seals))

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        info = workflow.info()
        said = input.args[0] if len(input.args) == 1 else None
        if isinstance(said, Sealed):
            self._require_seal(input, info.workflow_id)
            super().handle_update_validator(input)
            return
        with workflow.unsafe.sandbox_unrestricted(), workflow.unsafe.imports_passed_through():
            refused = checked(
                self.proofs, said, info.workflow_id, input.update, workflow.time(), _began(info.headers)
            )
        if refused is not None:
            _refuse(refused)
        super().handle_update_validator(input)

    def _require_seal(self, input: HandleUpdateInput, workflow_id: str) -> None:
        began = _began(workflow.info().headers)
        with workflow.unsafe.sandbox_unrestricted(), workflow.unsafe.imports_passed_through():
            why = broken(self.seals, seal_of(input.headers), workflow_id, input.update, input.args, began)
        if why is not None:
            _refuse(("SealBroken", f"Only Towpath itself says this, and {why}."))

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        # It has served, and has no business in states and answers.
        input.args = [_without_proof(each) for each in input.args]
        return await super().handle_update_handler(input)

    async def handle_signal(self, input: HandleSignalInput) -> None:
        self._signals += 1
        why = "it was refused when it came" if workflow.unsafe.is_replaying() else self._broken(input)
        if why is not None and workflow.patched(f"refused-signal-{self._signals}"):
            workflow.logger.warning("signal %s refused: %s", input.signal, why)
            meter = workflow.metric_meter()
            meter.create_counter(REFUSED_SIGNALS, "Signals that were not ours.").add(1, {"signal": input.signal})
            return
        await super().handle_signal(input)

    def _broken(self, input: HandleSignalInput) -> str | None:
        info = workflow.info()
        # A signal that starts its workflow shares its headers with the start, and some servers keep them there.
        text = seal_of(input.headers) or seal_of(info.headers)
        with workflow.unsafe.sandbox_unrestricted(), workflow.unsafe.imports_passed_through():
            return broken(self.seals, text, info.workflow_id, input.signal, input.args, _began(info.headers))


class _Outbound(WorkflowOutboundInterceptor):
    def __init__(self, next: WorkflowOutboundInterceptor, keys: SealKeys) -> None:
        super().__init__(next)
        self._keys = keys

    async def signal_external_workflow(self, input: SignalExternalWorkflowInput) -> None:
        input.headers = self._sealed(input, input.workflow_id)
        await super().signal_external_workflow(input)

    async def signal_child_workflow(self, input: SignalChildWorkflowInput) -> None:
        input.headers = self._sealed(input, input.child_workflow_id)
        await super().signal_child_workflow(input)

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:
        began = PayloadConverter.default.to_payload(_began(workflow.info().headers))
        input.headers = {**input.headers, BEGAN: began}
        super().continue_as_new(input)

    def _sealed(
        self, input: SignalExternalWorkflowInput | SignalChildWorkflowInput, receiver: str
    ) -> Mapping[str, Payload]:
        with workflow.unsafe.sandbox_unrestricted(), workflow.unsafe.imports_passed_through():
            return sealed(input.headers, self._keys, receiver, input.signal, input.args, workflow.time())


def _began(headers: Mapping[str, Payload]) -> float:
    """When the first run of this workflow began; runs that continue it carry it along."""
    payload = headers.get(BEGAN)
    if payload is None or workflow.info().continued_run_id is None:
        # Not `start_time`, which is when a worker first had it, perhaps long after it was told things.
        began: datetime = workflow.info().workflow_start_time
        return began.timestamp()
    return float(PayloadConverter.default.from_payload(payload, float))


def _without_proof(said: Any) -> Any:
    return said.model_copy(update={PROOF: ""}) if getattr(said, PROOF, "") else said


def _refuse(refused: Against) -> NoReturn:
    reason, message = refused
    raise ApplicationError(message, type=reason, non_retryable=True)
