"""PromQL with blanks, `{{release}}` and the like, filled in inside strings, which no value can leave. Pure.

The strings of the language: https://prometheus.io/docs/prometheus/latest/querying/basics/#string-literals
"""

import re
from collections.abc import Mapping

VARIABLES = ("namespace", "project", "component", "environment", "release", "commit")
_BLANK = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_SAFE = re.compile(r"[A-Za-z0-9_]")


def problem(query: str) -> str:
    """What is wrong with the blanks of a query; empty when nothing is."""
    try:
        fill(query, dict.fromkeys(VARIABLES, ""))
    except ValueError as error:
        return str(error)
    return ""


def uses(query: str, variable: str) -> bool:
    """Whether the query has a blank of that name."""
    return any(found.group(1).strip() == variable for found in _BLANK.finditer(query))


def fill(query: str, values: Mapping[str, str]) -> str:
    """The query with every blank filled in: escaped as the string around it wants, and as a regular expression
    (RE2) where the string is what `=~` or `!~` compares with.

    Raises:
        ValueError: a blank of an unknown name, or one that is not inside a string of single or double quotes.
    """
    made: list[str] = []
    quote, regular, position = "", False, 0
    while position < len(query):
        blank = _BLANK.match(query, position)
        if blank is not None:
            made.append(_filled(blank.group(1).strip(), values, quote, regular))
            position = blank.end()
            continue
        character = query[position]
        if not quote and character == "#":
            end = query.find("\n", position)
            position = end if end >= 0 else len(query)
            continue
        if quote in ("'", '"') and character == "\\":
            made.append(query[position : position + 2])
            position += 2
            continue
        if quote == character:
            quote = ""
        elif not quote and character in ("'", '"', "`"):
            quote = character
            regular = "".join(made).rstrip().endswith(("=~", "!~"))
        made.append(character)
        position += 1
    return "".join(made)


def _filled(name: str, values: Mapping[str, str], quote: str, regular: bool) -> str:
    if name not in VARIABLES:
        known = ", ".join("{{" + variable + "}}" for variable in VARIABLES)
        raise ValueError(f"there is no {{{{{name[:50]}}}}}; there are {known}")
    if quote not in ("'", '"'):
        raise ValueError(f'{{{{{name}}}}} must stand inside quotes, as in {name}="{{{{{name}}}}}"')
    value = values[name]
    if regular:
        value = "".join(one if _SAFE.match(one) or ord(one) > 127 else f"\\x{{{ord(one):x}}}" for one in value)
    return "".join(_escaped(one) for one in value)


def _escaped(character: str) -> str:
    """One character inside a string of single or double quotes (Go's escapes, which PromQL has)."""
    if character in ("\\", "'", '"') or not character.isprintable():
        number = ord(character)
        return f"\\x{number:02x}" if number < 0x80 else f"\\U{number:08x}"
    return character
