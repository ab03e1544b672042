"""Filters as people state them (a Repository's block, a component's annotation), as the engine's."""

from collections.abc import Callable, Mapping

import yaml
from pydantic import ValidationError

from model import filters
from model.failure import UserFailure
from model.filters import Branches, Filters, Paths, Patterns, Tags
from model.resources.declared import explain
from model.resources.filters import FilterBlock

ANNOTATION = "towpath.dev/filters"
ANNOTATION_LIMIT = 8 * 1024
BRACKETS_LIMIT = 100


def stated(block: FilterBlock | None, where: str) -> Filters:
    """The filters of a block; `where` begins the names of fields.

    Raises:
        UserFailure: `BadFilter`, naming the field.
    """
    if block is None:
        return Filters()
    branches, tags, paths = block.branches, block.tags, block.paths
    name, path = filters.check_name, filters.check_path
    made = Filters()
    if branches is not None:
        field = f"{where}.branches"
        made = made.model_copy(
            update={
                "branches": Branches(
                    include=_checked(branches.include, name, f"{field}.include"),
                    exclude=_checked(branches.exclude, name, f"{field}.exclude") or (),
                )
            }
        )
    if tags is not None:
        field = f"{where}.tags"
        if tags.versions is not None:
            _check(tags.versions, filters.check_versions, f"{field}.versions")
        made = made.model_copy(
            update={
                "tags": Tags(
                    include=_checked(tags.include, name, f"{field}.include"),
                    exclude=_checked(tags.exclude, name, f"{field}.exclude") or (),
                    versions=tags.versions or "",
                    prefix=tags.prefix or "",
                )
            }
        )
    if paths is not None:
        field = f"{where}.paths"
        made = made.model_copy(
            update={
                "paths": Paths(
                    include=_checked(paths.include, path, f"{field}.include"),
                    exclude=_checked(paths.exclude, path, f"{field}.exclude") or (),
                    shared=_checked(paths.shared, path, f"{field}.shared") or (),
                )
            }
        )
    return made


def annotated(annotations: Mapping[str, str]) -> Filters:
    """The filters of a component, which its annotation holds as YAML in the shape of `Repository.spec.filters`.

    Raises:
        UserFailure: `BadFilter`, naming the field.
    """
    text, where = annotations.get(ANNOTATION, ""), f"metadata.annotations.{ANNOTATION}"
    if not text.strip():
        return Filters()
    # The YAML library takes seconds over a thousand brackets within each other.
    if len(text) > ANNOTATION_LIMIT or text.count("[") + text.count("{") > BRACKETS_LIMIT:
        raise UserFailure(
            "BadFilter", f"{where}: at most {ANNOTATION_LIMIT} characters, and {BRACKETS_LIMIT} brackets"
        )
    try:
        # Without aliases: a few lines of them can stand for millions.
        found = (
            None if any(isinstance(each, yaml.AliasEvent) for each in yaml.parse(text)) else yaml.safe_load(text)
        )
    except (yaml.YAMLError, RecursionError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise UserFailure("BadFilter", f"{where}: write YAML with branches, tags or paths")
    try:
        return stated(FilterBlock.model_validate(found, extra="forbid"), where)
    except ValidationError as error:
        raise UserFailure("BadFilter", f"{where}: {explain(error)}") from None


def _checked(patterns: list[str] | None, check: Callable[[str], str], where: str) -> Patterns | None:
    if patterns is None:
        return None
    for position, pattern in enumerate(patterns):
        _check(pattern, check, f"{where}.{position}")
    return tuple(patterns)


def _check(text: str, check: Callable[[str], str], where: str) -> None:
    try:
        check(text)
    except UserFailure as failure:
        raise UserFailure("BadFilter", f"{where}: {failure.message}") from None
