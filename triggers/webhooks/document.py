"""A sender's JSON, read with guards: size is the body reader's, depth and numbers are the parser's."""

from typing import Any

from pydantic_core import from_json

from triggers.problem import Problem

TEXT_LIMIT = 4096


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

    def optional_text(self, *path: str, limit: int = 200) -> str:
        """The printable part of the string at the path, cut to `limit` characters; empty when there is none.

        For what is only shown to people: a name that is too long or odd is no reason to refuse a push.
        """
        found = self.find(*path)
        return "".join(ch for ch in found[:limit] if ch.isprintable()) if isinstance(found, str) else ""

    def flag(self, *path: str) -> bool:
        """Whether a true is at the path."""
        return self.find(*path) is True
