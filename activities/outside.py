"""Asking a webhook whether a release may go in. An answer that cannot be understood is no yes."""

import asyncio
import json
from typing import Protocol

import httpx
from temporalio import activity

from activities.outbound import Outbound
from model.external import External
from model.failure import UserFailure
from model.question import ExternalAnswer, ExternalQuestion

BODY_LIMIT = 64 * 1024
MESSAGE_LIMIT = 300


class SecretReader(Protocol):
    """Reads one key of a Kubernetes Secret."""

    async def read(self, namespace: str, name: str, key: str) -> str | None:
        """The text; None when there is no such Secret or key."""
        ...


class Outside:
    """Asks people's own services.

    Args:
        secrets: where bearer tokens are read; what is read stays here.
        outbound: calls webhooks, as far as they may be called.
    """

    def __init__(self, secrets: SecretReader, outbound: Outbound) -> None:
        self._secrets = secrets
        self._outbound = outbound

    @activity.defn(name="outside.ask")
    async def ask(self, question: ExternalQuestion) -> ExternalAnswer:
        """POST the question as JSON, with its id as Idempotency-Key; expects `{"allow": true|false, "reason"}`.

        Whatever goes wrong is an answer of kind `error`: the gate asks again, and stays closed.
        """
        external = question.external
        try:
            headers = {"Idempotency-Key": question.id, "User-Agent": "towpath"}
            if external.secret:
                headers["Authorization"] = f"Bearer {await self._token(question)}"
            async with asyncio.timeout(external.timeout_seconds):
                return await self._post(question, headers)
        except TimeoutError:
            return _error(external, "Timeout", f"There was no answer within {external.timeout_seconds:g} s.")
        except UserFailure as failure:
            return _error(external, failure.reason, failure.message)
        except httpx.HTTPError as error:
            # Not its text: it may quote the address with what somebody put into it.
            return _error(external, "Unreachable", f"It could not be asked: {type(error).__name__}.")

    async def _token(self, question: ExternalQuestion) -> str:
        external, namespace = question.external, question.component.namespace
        text = await self._secrets.read(namespace, external.secret, external.secret_key)
        if text is None:
            raise UserFailure(
                "SecretNotFound", f"There is no key {external.secret_key} in Secret {namespace}/{external.secret}."
            )
        return text

    async def _post(self, question: ExternalQuestion, headers: dict[str, str]) -> ExternalAnswer:
        external = question.external
        body = {
            "id": question.id,
            "gate": external.name,
            "component": question.component.name,
            "namespace": question.component.namespace,
            "environment": question.environment,
            "release": question.release,
            "digest": question.digest,
            "commit": question.commit,
        }
        seconds = external.timeout_seconds
        async with self._outbound.client(external.url, headers, seconds, BODY_LIMIT) as client:
            response = await client.post(external.url, json=body)
        if not response.is_success:
            raise UserFailure("NoAnswer", f"It answered {response.status_code}.")
        return _answer(external, response.content)


def _answer(external: External, content: bytes) -> ExternalAnswer:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("allow"), bool):
        raise UserFailure("NoAnswer", 'Its answer is not {"allow": true} or {"allow": false}.')
    said = "".join(ch for ch in str(document.get("reason") or "") if ch.isprintable())[:MESSAGE_LIMIT]
    if document["allow"]:
        return ExternalAnswer(name=external.name, answer="yes", reason="Allowed", message=said or "It agrees.")
    return ExternalAnswer(name=external.name, answer="no", reason="Denied", message=said or "It does not agree.")


def _error(external: External, reason: str, message: str) -> ExternalAnswer:
    return ExternalAnswer(name=external.name, answer="error", reason=reason, message=message)
