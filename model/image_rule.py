"""Which tags of an image a component follows, and which of two is the newer one."""

from typing import Literal

import nodesemver
import re2

from model.failure import UserFailure
from model.image_name import is_beside, is_tag
from model.value import Value

RULE_LIMIT = 200
FORMS = "write tags (`latest, stable`), `semver: >=1.2 <2` or `regex: main-[0-9]+`"


class TagRule(Value):
    """What an annotation says: one of these `tags`, versions in a `semver` range (npm's grammar), or whatever
    matches a `regex` (RE2) as a whole."""

    kind: Literal["tags", "semver", "regex"]
    tags: tuple[str, ...] = ()
    pattern: str = ""

    def takes(self, tag: str) -> bool:
        """Whether this tag is followed."""
        if not is_tag(tag) or is_beside(tag):
            return False
        if self.kind == "tags":
            return tag in self.tags
        if self.kind == "semver":
            return version(tag) != "" and bool(nodesemver.satisfies(version(tag), self.pattern, loose=True))
        return re2.fullmatch(self.pattern, tag) is not None


def rule(text: str, tag: str = "") -> TagRule:
    """The rule that a text says; empty means the one `tag` that the manifest names.

    Raises:
        UserFailure: `BadTagRule`, saying how rules are written.
    """
    kind, colon, pattern = text.partition(":")
    pattern = pattern.strip()
    if len(text) > RULE_LIMIT:
        raise UserFailure("BadTagRule", f"it is longer than {RULE_LIMIT} characters")
    if colon and kind.strip() == "semver":
        return TagRule(kind="semver", pattern=_range(pattern))
    if colon and kind.strip() == "regex":
        return TagRule(kind="regex", pattern=_regex(pattern))
    names = tuple(name.strip() for name in text.split(",")) if text.strip() else (tag,) if tag else ()
    if not all(is_tag(name) for name in names):
        raise UserFailure("BadTagRule", FORMS)
    return TagRule(kind="tags", tags=names)


def version(tag: str) -> str:
    """The semantic version that a tag is, `v` or not; empty when it is none."""
    try:
        return str(nodesemver.valid(tag, loose=True) or "") if tag[:1] in "v0123456789" else ""
    except ValueError:
        return ""


def is_lower(rule: TagRule, tag: str, other: str) -> bool:
    """Whether a tag's version is lower than another's. Only rules about versions know an order of tags."""
    if rule.kind != "semver" or not version(tag) or not version(other):
        return False
    return int(nodesemver.compare(version(tag), version(other), loose=True)) < 0


def highest(rule: TagRule, tags: tuple[str, ...]) -> str:
    """The highest version among tags that the rule takes; empty where the rule knows no order or takes none."""
    best = ""
    for tag in tags if rule.kind == "semver" else ():
        if rule.takes(tag) and (not best or is_lower(rule, best, tag)):
            best = tag
    return best


def _range(text: str) -> str:
    try:
        # What is no range at all may come out as one without bounds.
        known = str(nodesemver.make_range(text, True)) != "" or text == "*"
    except (ValueError, TypeError):
        known = False
    if not known:
        raise UserFailure("BadTagRule", FORMS)
    return text


def _regex(text: str) -> str:
    try:
        options = re2.Options()
        options.log_errors = False
        re2.compile(text, options)
    except re2.error:
        raise UserFailure("BadTagRule", f"the regex cannot be read; {FORMS}") from None
    if not text:
        raise UserFailure("BadTagRule", FORMS)
    return text
