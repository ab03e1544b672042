"""GitHub's REST API, as far as previews speak on pull requests: https://docs.github.com/rest"""

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from model.failure import Failure, InfrastructureFailure, NotFound, UserFailure
from model.request_report import Report, body, context, description, marker

TIMEOUT_SECONDS = 15.0
ANSWER_LIMIT = 8 * 1024 * 1024
PAGE_SIZE = 50
PAGES_LIMIT = 20
WAIT_LIMIT_SECONDS = 900.0
_SAID_LIMIT = 200
_STATES = {"pending": "pending", "success": "success", "failure": "failure"}


class GitHub:
    """One repository's statuses and comments. Nothing is ever sent to another host than the one given."""

    def __init__(self, http: httpx.AsyncClient, repository: str, token: str) -> None:
        self._http = http
        self._path = f"/repos/{repository}"
        self._token = token

    @classmethod
    @asynccontextmanager
    async def connect(cls, base: str, token: str, repository: str) -> AsyncIterator["GitHub"]:
        """Speak to the API at `base` about a repository (its normalised address).

        Raises:
            UserFailure: `NotOnGitHub`, the address is not `host/owner/name`; `BadApiAddress`.
        """
        owner_and_name = repository.partition("/")[2]
        if owner_and_name.count("/") != 1:
            raise UserFailure("NotOnGitHub", f"{repository} is not HOST/OWNER/NAME, as GitHub has them.")
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {token}",
            "User-Agent": "towpath",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        try:
            http = httpx.AsyncClient(
                base_url=base, headers=headers, timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False
            )
        except (httpx.InvalidURL, ValueError):
            # Without the cause: a header that cannot be sent would be quoted, and that is the token.
            raise UserFailure("BadApiAddress", "Repository: spec.api: no address, or no token.") from None
        async with http:
            yield cls(http, owner_and_name, token)

    async def report(self, report: Report) -> int:
        """As `activities.requests.Provider` says. A name that is no number is no pull request: its commit gets
        a status, and that is all."""
        if report.commit and report.state in _STATES:
            status = {
                "state": _STATES[report.state],
                "context": context(report),
                "description": description(report),
                **({"target_url": report.address} if report.address else {}),
            }
            await self._call("POST", f"{self._path}/statuses/{report.commit}", status)
        if not report.change.isdigit():
            return 0
        return await self._comment(report)

    async def _comment(self, report: Report) -> int:
        text = {"body": body(report)}
        # What is known first; then what is there, since an answer may have been lost on its way.
        known = [report.comment] if report.comment else await self._own_comments(report)
        for comment in known:
            try:
                await self._call("PATCH", f"{self._path}/issues/comments/{comment}", text)
                return comment
            except UserFailure as failure:
                # Deleted, or somebody else's that quotes ours.
                if failure.reason not in ("ProviderNotFound", "ProviderRefused"):
                    raise
        if report.comment:
            return await self._comment(report.model_copy(update={"comment": 0}))
        made = await self._call("POST", f"{self._path}/issues/{report.change}/comments", text)
        return _number(made)

    async def _own_comments(self, report: Report) -> list[int]:
        """The comments that begin with our marker, oldest first."""
        found: list[int] = []
        for page in range(1, PAGES_LIMIT + 1):
            address = f"{self._path}/issues/{report.change}/comments"
            comments = await self._call("GET", address, query={"per_page": str(PAGE_SIZE), "page": str(page)})
            if not isinstance(comments, list):
                break
            found += [_number(each) for each in comments if _begins(each, marker(report)) and _number(each)]
            if len(comments) < PAGE_SIZE:
                break
        return found

    async def _call(
        self, method: str, path: str, content: object = None, query: Mapping[str, str] | None = None
    ) -> Any:
        try:
            async with self._http.stream(method, path, json=content, params=query) as response:
                answer = await _read(response)
                failure = self._failure(response, answer)
        except httpx.HTTPError as error:
            raise InfrastructureFailure(
                "ProviderUnavailable", f"GitHub cannot be reached: {type(error).__name__}."
            ) from None
        if failure is not None:
            raise failure
        try:
            return json.loads(answer) if answer else None
        except ValueError:
            message = "What answered does not speak GitHub's API; is spec.api.url right?"
            raise InfrastructureFailure("ProviderUnavailable", message) from None

    def _failure(self, response: httpx.Response, answer: bytes) -> Failure | None:
        """What a refusal means; https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"""
        status = response.status_code
        if response.is_success:
            return None
        said = f"GitHub answered {status}: {self._shown(answer)}"
        wait = _wait(response.headers) if status in (403, 429) or status >= 500 else None
        if status == 429 or status >= 500 or (status == 403 and wait is not None):
            return InfrastructureFailure("ProviderUnavailable", said, retry_after=wait)
        if status in (404, 410):
            return NotFound("ProviderNotFound", f"{said} Is the name right, and may the token see it?")
        if status in (401, 403):
            reason = "TokenRefused" if status == 401 else "ProviderRefused"
            return UserFailure(reason, f"{said} The token needs to write commit statuses and pull requests.")
        return UserFailure("ProviderRefused", said)

    def _shown(self, answer: bytes) -> str:
        """GitHub's own message on one line, without the token, whoever sends that back."""
        try:
            document = json.loads(answer)
        except ValueError:
            document = None
        message = document.get("message") if isinstance(document, dict) else None
        text = message if isinstance(message, str) else "no message."
        text = text.replace(self._token, "***")[:_SAID_LIMIT]
        return "".join(ch if ch.isprintable() else " " for ch in text)


async def _read(response: httpx.Response) -> bytes:
    content = b""
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > ANSWER_LIMIT:
            raise UserFailure("AnswerTooLarge", f"GitHub's answer exceeds {ANSWER_LIMIT} bytes.")
    return content


def _wait(headers: httpx.Headers) -> float | None:
    """Seconds that the provider asks to wait, at most 15 minutes; None when it does not ask."""
    after = headers.get("retry-after", "")
    if after.isascii() and after.isdigit() and len(after) < 10:
        return min(float(after), WAIT_LIMIT_SECONDS)
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining") == "0" and reset.isascii() and reset.isdigit() and len(reset) < 15:
        return min(max(float(reset) - time.time(), 1.0), WAIT_LIMIT_SECONDS)
    return None


def _begins(comment: Any, text: str) -> bool:
    said = comment.get("body") if isinstance(comment, dict) else None
    return isinstance(said, str) and said.startswith(text)


def _number(comment: Any) -> int:
    found = comment.get("id") if isinstance(comment, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else 0
