"""One provider's API over HTTP: requests with credentials, answers as documents, refusals as our failures."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from activities.hosted.authorization import Authorization
from model.failure import Failure, InfrastructureFailure, NotFound, UserFailure
from model.hosting import line

PAGE_SIZE = 50
PAGES_LIMIT = 20
WAIT_LIMIT_SECONDS = 900.0
_LIMITED_SECONDS = 60.0
_SAID_LIMIT = 200
Query = Mapping[str, str | int]


@dataclass(frozen=True)
class Answer:
    """What came back: the JSON document (None when there is none), and the headers."""

    document: Any
    headers: httpx.Headers

    @property
    def next(self) -> str:
        """The query of the next page (RFC 8288), empty on the last one. Only the query: no answer leads
        elsewhere."""
        for link in self.headers.get("link", "").split(","):
            address, _, relation = link.partition(";")
            if 'rel="next"' in relation:
                return str(address).strip().strip("<>").partition("?")[2]
        return ""


class Caller:
    """Speaks JSON to one provider.

    Args:
        http: a client that speaks to the provider's host only; the caller of this one closes it.
        provider: the provider's name, for messages.
        authorization: credentials, which no message ever holds.
        needs: what the credentials have to allow, for people whose token is refused.
    """

    def __init__(self, http: httpx.AsyncClient, provider: str, authorization: Authorization, needs: str) -> None:
        self._http = http
        self._provider = provider
        self._authorization = authorization
        self._needs = needs

    async def call(self, method: str, path: str, content: object = None, query: Query | str | None = None) -> Any:
        """The answer's document.

        Raises:
            UserFailure, InfrastructureFailure: as `activities.hosting.Hosting` says.
        """
        return (await self.ask(method, path, content, query)).document

    async def ask(
        self, method: str, path: str, content: object = None, query: Query | str | None = None
    ) -> Answer:
        """The answer with its headers; raises as `call` does."""
        answer = await self._once(method, path, content, query)
        if isinstance(answer, Failure) and answer.reason == "TokenRefused" and self._authorization.refused():
            answer = await self._once(method, path, content, query)
        if isinstance(answer, Failure):
            raise answer
        return answer

    async def pages(self, path: str, query: Query | None = None) -> list[Any]:
        """The entries of a list that is told page by page (`page` from 1), 1,000 at most."""
        found: list[Any] = []
        for page in range(1, PAGES_LIMIT + 1):
            entries = await self.call("GET", path, query={**(query or {}), "page": page})
            if not isinstance(entries, list) or not entries:
                break
            found += entries
            size = (query or {}).get("per_page") or (query or {}).get("limit") or PAGE_SIZE
            if len(entries) < int(size):
                break
        return found

    async def _once(
        self, method: str, path: str, content: object, query: Query | str | None
    ) -> "Answer | Failure":
        headers = {"Authorization": await self._authorization.header()}
        params = httpx.QueryParams(query) if query else None
        try:
            request = self._http.build_request(method, path, json=content, params=params, headers=headers)
        except (httpx.InvalidURL, ValueError, TypeError):
            # Without the cause: a header that cannot be sent would be quoted, and that is the token.
            raise UserFailure(
                "TokenUnusable", f"{self._authorization.source} holds what cannot be sent as a token."
            ) from None
        try:
            response = await self._http.send(request, stream=True)
            try:
                answer = await response.aread()
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise InfrastructureFailure(
                "ProviderUnavailable", f"{self._provider} cannot be reached: {type(error).__name__}."
            ) from None
        failure = self._failure(response, answer)
        if failure is not None:
            return failure
        try:
            return Answer(json.loads(answer) if answer.strip() else None, response.headers)
        except (ValueError, RecursionError):
            message = f"What answered does not speak {self._provider}'s API; is spec.api.url right?"
            raise InfrastructureFailure("ProviderUnavailable", message) from None

    def _failure(self, response: httpx.Response, answer: bytes) -> Failure | None:
        """What a refusal means. Limits of GitHub: https://docs.github.com/rest/using-the-rest-api; others use the
        same headers (RFC 9110, Retry-After)."""
        status = response.status_code
        if response.is_success:
            return None
        shown = self._shown(answer)
        said = f"{self._provider} answered {status}: {shown}"
        if response.is_redirect:
            said = (
                f"{self._provider} answered {status}: what was asked for has moved; is spec.url the present one?"
            )
        wait = waited(response.headers) if status in (403, 429) or status >= 500 else None
        if status in (403, 429) and wait is None and "rate limit" in shown.lower():
            # GitHub's secondary limits do not always say for how long; a minute is what it asks for then.
            wait = _LIMITED_SECONDS
        if status in (408, 429) or status >= 500 or (status == 403 and wait is not None):
            return InfrastructureFailure("ProviderUnavailable", said, retry_after=wait)
        if status in (404, 410):
            return NotFound(
                "ProviderNotFound",
                f"{said} Is the name right, and may the token of {self._authorization.source} see it?",
            )
        if status in (401, 403):
            reason = "TokenRefused" if status == 401 else "ProviderRefused"
            return UserFailure(reason, f"{said} The token in {self._authorization.source} needs {self._needs}.")
        return UserFailure("ProviderInvalid" if status in (400, 409, 422) else "ProviderRefused", said)

    def _shown(self, answer: bytes) -> str:
        """The provider's own message on one line, without secrets."""
        try:
            document = json.loads(answer)
        except (ValueError, RecursionError):
            document = None
        text = self._authorization.hide(_message(document) or "no message.")
        return line(text, _SAID_LIMIT)


def waited(headers: httpx.Headers) -> float | None:
    """Seconds that the provider asks to wait, at most 15 minutes; None when it does not ask."""
    after = headers.get("retry-after", "")
    if after.isascii() and after.isdigit() and len(after) < 10:
        return min(float(after), WAIT_LIMIT_SECONDS)
    left = headers.get("x-ratelimit-remaining") or headers.get("ratelimit-remaining")
    reset = headers.get("x-ratelimit-reset") or headers.get("ratelimit-reset") or ""
    if left == "0" and reset.isascii() and reset.isdigit() and len(reset) < 15:
        return min(max(float(reset) - time.time(), 1.0), WAIT_LIMIT_SECONDS)
    return None


def _message(document: Any) -> str:
    """Where providers put their message: `message`, `error.message`, `errors[0].message`."""
    if not isinstance(document, dict):
        return ""
    for candidate in (document.get("message"), document.get("error"), *_listed(document.get("errors"))):
        if isinstance(candidate, dict):
            candidate = candidate.get("message")
        if isinstance(candidate, str) and candidate:
            return candidate
    return ""


def _listed(errors: Any) -> list[Any]:
    return errors[:1] if isinstance(errors, list) else []
