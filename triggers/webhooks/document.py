"""A sender's JSON, read with guards: size is the body reader's, depth and numbers are the parser's."""

from datetime import datetime
from typing import Any

from pydantic_core import from_json

from triggers.problem import Problem

TEXT_LIMIT = 4096
NAME_LIMIT = 200
NUMBER_LIMIT = 10**12
LIST_LIMIT = 2001
"""One more than what is ever named of one delivery, so that it is seen that there were more."""
_MOMENT_LIMIT = 10**14


class Document:
    """A JSON object of which fields are asked for by path and type."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    @classmethod
    def read(cls, body: bytes) -> "Document":
        """Parse a body. Nesting beyond 200 levels, invalid UTF-8 and anything but an object are refused.

        Raises:
            Problem: 400 `MalformedPayload`.
        """
        try:
            content = from_json(body, allow_inf_nan=False)
        except ValueError:
            raise Problem(400, "MalformedPayload", "The body is not valid JSON.") from None
        if not isinstance(content, dict):
            raise Problem(400, "MalformedPayload", "The body is not a JSON object.")
        return cls(content)

    def find(self, *path: str) -> Any:
        """What is at the path, or None."""
        found: Any = self._content
        for name in path:
            if not isinstance(found, dict):
                return None
            found = found.get(name)
        return found

    def text(self, *path: str) -> str:
        """The non-empty string at the path.

        Raises:
            Problem: 400 `MalformedPayload`, naming the field.
        """
        found = self.find(*path)
        if not isinstance(found, str) or not 0 < len(found) <= TEXT_LIMIT:
            field = ".".join(path)
            detail = f"Field {field} must be a text of 1 to {TEXT_LIMIT} characters."
            raise Problem(400, "MalformedPayload", detail)
        return found

    def optional_text(self, *path: str, limit: int = NAME_LIMIT) -> str:
        """The printable part of the string at the path, cut to `limit` characters; empty when there is none.

        For what is only shown to people: a name that is too long or odd is no reason to refuse a push.
        """
        found = self.find(*path)
        return "".join(ch for ch in found[:limit] if ch.isprintable()) if isinstance(found, str) else ""

    def number(self, *path: str) -> int:
        """The positive whole number at the path.

        Raises:
            Problem: 400 `MalformedPayload`, naming the field.
        """
        found = self.find(*path)
        if isinstance(found, bool) or not isinstance(found, int) or not 0 < found <= NUMBER_LIMIT:
            field = ".".join(path)
            raise Problem(400, "MalformedPayload", f"Field {field} must be a number from 1 to {NUMBER_LIMIT}.")
        return found

    def moment(self, *path: str) -> int:
        """The RFC 3339 time at the path, in milliseconds since the epoch; 0 when there is none to be read."""
        found = self.find(*path)
        try:
            # GitLab writes "2026-11-21 17:24:00 UTC" in some of its events.
            written = found.replace(" UTC", "+00:00") if isinstance(found, str) and len(found) < 64 else ""
            at = datetime.fromisoformat(written) if written else None
            return int(at.timestamp() * 1000) if at is not None and at.tzinfo is not None and at.year > 1970 else 0
        except (ValueError, OverflowError):
            return 0

    def milliseconds(self, *path: str) -> int:
        """The positive number of milliseconds since the epoch at the path; 0 when there is none to be read."""
        found = self.find(*path)
        whole = isinstance(found, int) and not isinstance(found, bool) and 0 < found < _MOMENT_LIMIT
        return int(found) if whole else 0

    def said(self, *path: str, limit: int) -> str:
        """What a person wrote at the path, over several lines perhaps, cut to `limit` characters; empty when there
        is nothing. Of what cannot be printed only line ends and tabs are kept."""
        found = self.find(*path)
        if not isinstance(found, str):
            return ""
        return "".join(ch for ch in found[:limit] if ch.isprintable() or ch in "\n\t")

    def login(self, *path: str) -> str:
        """The name at the path that somebody acts under: taken as it is or not at all.

        Raises:
            Problem: 400 `MalformedPayload`, naming the field.
        """
        found = self.text(*path)
        if len(found) > NAME_LIMIT or not found.isprintable() or found != found.strip():
            field = ".".join(path)
            raise Problem(400, "MalformedPayload", f"Field {field} is nobody's login.")
        return found

    def documents(self, *path: str, limit: int = LIST_LIMIT) -> list["Document"]:
        """The first `limit` of the objects in the list at the path.

        Raises:
            Problem: 400 `MalformedPayload`: no list, or something else than objects in it.
        """
        found = self.find(*path)
        field = ".".join(path)
        if not isinstance(found, list):
            raise Problem(400, "MalformedPayload", f"Field {field} must be a list.")
        if not all(isinstance(each, dict) for each in found[:limit]):
            raise Problem(400, "MalformedPayload", f"Field {field} must hold objects only.")
        return [Document(each) for each in found[:limit]]

    def flag(self, *path: str) -> bool:
        """Whether a true is at the path."""
        return self.find(*path) is True
