"""Which pushes a component follows, and which changed paths touch it.

Every pattern is matched in time linear in the text (RE2), whatever it is: patterns are users', and names and paths
are anybody's who can push. Globs of names are GitHub's and GitLab's; those of paths are `.gitignore`'s
(git-scm.com/docs/gitignore); ranges of versions are npm's (docs.npmjs.com/cli/v6/using-npm/semver#ranges).
"""

from collections.abc import Collection, Iterable
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import nodesemver
import re2
from pathspec import PathSpec

from model.failure import UserFailure
from model.repository import branch_of, tag_of
from model.value import Value

PATTERN_LIMIT = 200
VERSION_LIMIT = 128
_SPECIAL = frozenset("[]{}\\!")

Patterns = tuple[str, ...]


class Branches(Value):
    """Globs of branches; `include` None means the branch that the component names."""

    include: Patterns | None = None
    exclude: Patterns = ()


class Tags(Value):
    """Globs of tags and a range of versions; with neither, no tag is followed. `prefix` is before a version."""

    include: Patterns | None = None
    exclude: Patterns = ()
    versions: str = ""
    prefix: str = ""

    @property
    def stated(self) -> bool:
        """Whether any tag can be followed."""
        return bool(self.include or self.versions)


class Paths(Value):
    """Patterns of paths; `include` None means the component's folder."""

    include: Patterns | None = None
    exclude: Patterns = ()
    shared: Patterns = ()


class Filters(Value):
    """What starts a build. The default: the component's branch, no tag, its folder."""

    branches: Branches = Branches()
    tags: Tags = Tags()
    paths: Paths = Paths()

    @property
    def widen(self) -> bool:
        """Whether other refs than the component's own branch may be followed."""
        return self.branches.include is not None or self.tags.stated


class Concern(Value):
    """What touches one component: its folder, and what its filters say of paths."""

    folder: str = "."
    paths: Paths = Paths()


def merged(own: Filters, repository: Filters) -> Filters:
    """A component's filters with its repository's beneath.

    What the component includes takes the place of what the repository includes; what either excludes is
    excluded, and what either shares is shared.
    """
    mine, theirs = own.tags, repository.tags
    chosen = mine if mine.stated or mine.include is not None else theirs
    return Filters(
        branches=Branches(
            include=_first(own.branches.include, repository.branches.include),
            exclude=_both(own.branches.exclude, repository.branches.exclude),
        ),
        tags=Tags(
            include=chosen.include,
            exclude=_both(mine.exclude, theirs.exclude),
            versions=chosen.versions,
            prefix=mine.prefix or theirs.prefix,
        ),
        paths=Paths(
            include=_first(own.paths.include, repository.paths.include),
            exclude=_both(own.paths.exclude, repository.paths.exclude),
            shared=_both(own.paths.shared, repository.paths.shared),
        ),
    )


def follows(filters: Filters, branch: str, ref: str) -> bool:
    """Whether a component that names `branch` follows a ref (a full name)."""
    name = branch_of(ref)
    if name:
        wanted = filters.branches.include
        return (name == branch if wanted is None else _named(wanted, name)) and not _named(
            filters.branches.exclude, name
        )
    tag, tags = tag_of(ref), filters.tags
    if not tag or not tags.stated or _named(tags.exclude, tag):
        return False
    if tags.include is not None and not _named(tags.include, tag):
        return False
    return not tags.versions or _in_range(version_of(tag, tags.prefix), tags.versions)


def version_of(tag: str, prefix: str = "") -> str:
    """The semantic version that a tag stands for, without prefix or `v`; empty when it is none."""
    if prefix and not tag.startswith(prefix):
        return ""
    text = tag.removeprefix(prefix).removeprefix("v")
    if not text[:1].isdigit() or len(text) > VERSION_LIMIT:
        return ""
    found = nodesemver.valid(text, False)
    return text if found else ""


def touched(paths: Collection[str] | None, concerns: Iterable[Concern]) -> list[bool]:
    """For each concern whether what has changed touches it; unknown paths (None) touch everything.

    Takes time linear in the paths for every *different* set of patterns, and next to none for those who only
    have a folder.
    """
    asked = list(concerns)
    if paths is None:
        return [True for _ in asked]
    # Most components have the same exclusions, or none: what is left over is found once for each.
    left: dict[Patterns, tuple[Collection[str], frozenset[str]]] = {}
    answers: dict[tuple[Patterns, Patterns], bool] = {}
    found = []
    for concern in asked:
        wanted, excluded = concern.paths, concern.paths.exclude
        if excluded not in left:
            kept = [path for path in paths if not _spec(excluded).match_file(path)] if excluded else paths
            left[excluded] = (kept, _folders(kept))
        remaining, folders = left[excluded]
        patterns = (*(wanted.include or ()), *wanted.shared)
        if (hit := answers.get((excluded, patterns))) is None:
            hit = any(_any_of(group, remaining) for group in (wanted.include or (), wanted.shared) if group)
            answers[excluded, patterns] = hit
        in_folder = wanted.include is None and _folder(concern.folder) in folders
        found.append(hit or in_folder)
    return found


def check_name(pattern: str) -> str:
    """A branch or tag glob itself.

    Raises:
        UserFailure: `BadPattern`.
    """
    if pattern.startswith("refs/"):
        raise UserFailure("BadPattern", "leave refs/heads/ and refs/tags/ out")
    if len(pattern) > PATTERN_LIMIT or _SPECIAL & set(pattern):
        raise UserFailure("BadPattern", "only *, ** and ? are special in a name; [ ] { } ! and \\ are not allowed")
    return pattern


def check_path(pattern: str) -> str:
    """A pattern of paths itself.

    Raises:
        UserFailure: `BadPattern`.
    """
    if not pattern.strip() or pattern.startswith("#") or len(pattern) > PATTERN_LIMIT:
        raise UserFailure("BadPattern", "a pattern is not empty, no comment, and 200 characters at most")
    if ".." in pattern.split("/"):
        raise UserFailure("BadPattern", "a path may not leave the repository")
    try:
        matched = _spec((pattern,)).patterns[0].include is not None
    except (ValueError, re2.error):
        matched = False
    if not matched:
        raise UserFailure("BadPattern", "this is no pattern as in .gitignore")
    return pattern


def check_versions(text: str) -> str:
    """A range of versions itself.

    Raises:
        UserFailure: `BadPattern`.
    """
    try:
        _range(text)
    except ValueError:
        raise UserFailure(
            "BadPattern", "this is no range of semantic versions, such as '>=1.2 <2', '^1.4' or '1.x'"
        ) from None
    return text


def _named(patterns: Patterns, name: str) -> bool:
    return any(_glob(pattern).fullmatch(name) is not None for pattern in patterns)


@lru_cache(maxsize=2048)
def _glob(pattern: str) -> Any:
    parts = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces, rest = [], pattern
    while rest:
        token = next((each for each in parts if rest.startswith(each)), rest[0])
        pieces.append(parts.get(token) or re2.escape(token))
        rest = rest[len(token) :]
    return re2.compile("".join(pieces))


@lru_cache(maxsize=2048)
def _spec(patterns: Patterns) -> PathSpec[Any]:
    return PathSpec.from_lines("gitignore", patterns, backend="re2")


@lru_cache(maxsize=512)
def _range(text: str) -> Any:
    # The library's own expressions take long over long spaces.
    return nodesemver.make_range(" ".join(text.split()), False)


def _in_range(version: str, wanted: str) -> bool:
    return bool(version) and bool(_range(wanted).test(nodesemver.make_semver(version, False)))


def _any_of(patterns: Patterns, paths: Collection[str]) -> bool:
    spec = _spec(patterns)
    return any(spec.match_file(path) for path in paths)


def _folders(paths: Iterable[str]) -> frozenset[str]:
    """The changed paths themselves and all folders above them, the root as an empty text."""
    found: set[str] = set()
    for path in paths:
        while path not in found:
            found.add(path)
            path = path.rpartition("/")[0]
    return frozenset(found)


def _folder(path: str) -> str:
    return "/".join(part for part in PurePosixPath(path).parts if part not in ("/", "."))


def _first(own: Patterns | None, other: Patterns | None) -> Patterns | None:
    return other if own is None else own


def _both(own: Patterns, other: Patterns) -> Patterns:
    return tuple(dict.fromkeys((*other, *own)))
