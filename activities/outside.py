"""Asking a webhook whether a release may go in. An answer that cannot be understood is no yes."""

import asyncio
import ipaddress
import json
import socket
from typing import Protocol

import httpx
import structlog
from temporalio import activity

from model.external import External
from model.failure import UserFailure
from model.question import ExternalAnswer, ExternalQuestion

BODY_LIMIT = 64 * 1024
MESSAGE_LIMIT = 300
# Clouds tell machines their credentials here, for IPv6 at an address that is not link-local
# (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html).
_METADATA = (ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200"))

log = structlog.get_logger(__name__)


class SecretReader(Protocol):
    """Reads one key of a Kubernetes Secret."""

    async def read(self, namespace: str, name: str, key: str) -> str | None:
        """The text; None when there is no such Secret or key."""
        ...


class Outside:
    """Asks people's own services.

    Args:
        secrets: where bearer tokens are read; what is read stays here.
        loopback: whether a webhook on this very machine may be asked (in tests).
    """

    def __init__(self, secrets: SecretReader, loopback: bool = False) -> None:
        self._secrets = secrets
        self._loopback = loopback

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
        url = httpx.URL(external.url)
        if url.scheme not in ("http", "https") or not url.host or url.userinfo:
            raise UserFailure("BadAddress", "Its url must be http:// or https://, without credentials.")
        address = await self._address(url)
        # To the address that was looked at, whatever its name leads to a moment later; certificates are
        # still checked against the name.
        extensions = {"sni_hostname": url.host}
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
        # A proxy would look the name up itself, and where that leads is not checked there: trust_env is off.
        async with httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=None) as client:  # noqa: S113
            request = client.build_request(
                "POST",
                url.copy_with(host=address),
                json=body,
                headers={**headers, "Host": url.netloc.decode()},
                extensions=extensions,
            )
            response = await client.send(request, stream=True)
            try:
                if not response.is_success:
                    raise UserFailure("NoAnswer", f"It answered {response.status_code}.")
                return _answer(external, await _body(response))
            finally:
                await response.aclose()

    async def _address(self, url: httpx.URL) -> str:
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
        except OSError:
            raise UserFailure("NameUnknown", f"{url.host} has no address.") from None
        for _, _, _, _, (text, *_rest) in found:
            if not self._may(ipaddress.ip_address(str(text).partition("%")[0])):
                log.warning("webhook refused for its address", host=url.host)
                raise UserFailure("AddressRefused", f"{url.host} leads to an address that may not be asked.")
        return str(found[0][4][0])

    def _may(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if address.is_loopback:
            return self._loopback
        refused = address.is_link_local or address.is_multicast or address.is_unspecified
        return not refused and address not in _METADATA


async def _body(response: httpx.Response) -> bytes:
    content = b""
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > BODY_LIMIT:
            raise UserFailure("AnswerTooLarge", f"Its answer is larger than {BODY_LIMIT // 1024} KiB.")
    return content


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
