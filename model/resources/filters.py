"""Which branches, tags and paths start a build: a Repository's block, and what a component's annotation holds."""

from typing import Annotated

from pydantic import Field

from model.resources.declared import StrictBlock

Pattern = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Patterns = Annotated[list[Pattern], Field(max_length=50)]


class BranchFilter(StrictBlock):
    """Globs: `*` and `?` stay within one part of a name, `**` crosses slashes. `include` absent: the branch that
    a component names; empty: none."""

    include: Patterns | None = None
    exclude: Patterns | None = None


class TagFilter(StrictBlock):
    """Globs as of branches, and a range of semantic versions such as `>=1.2 <2`; where both are said, both must
    hold. `prefix` is what a tag has before its version (else a `v` may be there)."""

    include: Patterns | None = None
    exclude: Patterns | None = None
    versions: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    prefix: Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/@-]*$")] | None = None


class PathFilter(StrictBlock):
    """Patterns as in `.gitignore`, from the repository's root. `include` absent: the component's folder.
    `shared` paths touch a component as well; `exclude`d ones touch none."""

    include: Patterns | None = None
    exclude: Patterns | None = None
    shared: Patterns | None = None


class FilterBlock(StrictBlock):
    """What of a repository's pushes builds."""

    branches: BranchFilter | None = None
    tags: TagFilter | None = None
    paths: PathFilter | None = None
