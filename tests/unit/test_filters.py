"""Which pushes a component follows, and what touches it."""

import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from model import filters, stated_filters
from model.failure import UserFailure
from model.filters import Branches, Concern, Filters, Paths, Tags, follows, merged, touched, version_of
from model.resources.filters import FilterBlock
from model.source import touches

FILE = some.text(alphabet=string.ascii_lowercase + "-_ü ", min_size=1, max_size=6).map(lambda part: f"{part}.x")
PATH = some.lists(FILE, min_size=1, max_size=5).map("/".join)


@pytest.mark.parametrize(
    ("include", "exclude", "branch", "followed"),
    [
        (None, (), "main", True),
        (None, (), "other", False),
        (None, ("main",), "main", False),
        ((), (), "main", False),
        (("release/*",), (), "release/1.2", True),
        (("release/*",), (), "release/1/2", False),
        (("release/**",), (), "release/1/2", True),
        (("release/*",), (), "release", False),
        (("release/*",), (), "x/release/1", False),
        (("**",), ("dependabot/**",), "dependabot/npm/x", False),
        (("v?.x",), (), "v1.x", True),
        (("v?.x",), (), "v1zx", False),
        (("ma.n",), (), "main", False),
    ],
)
def test_a_branch_is_followed_as_its_globs_say(
    include: tuple[str, ...] | None, exclude: tuple[str, ...], branch: str, followed: bool
) -> None:
    asked = Filters(branches=Branches(include=include, exclude=exclude))
    assert follows(asked, "main", f"refs/heads/{branch}") is followed


@pytest.mark.parametrize(
    ("tags", "tag", "followed"),
    [
        (Tags(), "v1.2.3", False),
        (Tags(exclude=("x",)), "v1.2.3", False),
        (Tags(include=("v*",)), "v1.2.3", True),
        (Tags(include=("v*",)), "nightly", False),
        (Tags(include=("v*",), exclude=("*-rc*",)), "v1.2.3-rc1", False),
        (Tags(versions=">=1.2 <2"), "v1.2.0", True),
        (Tags(versions=">=1.2 <2"), "1.9.9", True),
        (Tags(versions=">=1.2 <2"), "v2.0.0", False),
        (Tags(versions=">=1.2 <2"), "v1.3.0-rc.1", False),
        (Tags(versions=">=1.3.0-0 <2"), "v1.3.0-rc.1", True),
        (Tags(versions="^1.4 || ~2.0.1"), "v2.0.7", True),
        (Tags(versions="*"), "latest", False),
        (Tags(versions="*"), "v1.2", False),
        (Tags(versions="1.x", prefix="greeting/"), "greeting/v1.2.3", True),
        (Tags(versions="1.x", prefix="greeting/"), "web/v1.2.3", False),
        (Tags(versions="1.x", prefix="greeting-"), "greeting-1.2.3+b7", True),
        (Tags(versions="1.x", include=("stable-*",), prefix="stable-"), "stable-1.0.0", True),
    ],
)
def test_a_tag_is_followed_as_globs_and_versions_say(tags: Tags, tag: str, followed: bool) -> None:
    assert follows(Filters(tags=tags), "main", f"refs/tags/{tag}") is followed


def test_a_tag_named_as_the_branch_is_not_the_branch() -> None:
    assert not follows(Filters(), "main", "refs/tags/main")


@pytest.mark.parametrize(
    ("tag", "prefix", "version"),
    [("v1.2.3", "", "1.2.3"), ("app/v1.2.3-rc.1", "app/", "1.2.3-rc.1"), ("v1", "", ""), ("v1.2.3", "app/", "")],
)
def test_a_tag_stands_for_its_version(tag: str, prefix: str, version: str) -> None:
    assert version_of(tag, prefix) == version


@pytest.mark.parametrize(
    ("concern", "paths", "hit"),
    [
        (Concern(folder="web"), ["web/a.js"], True),
        (Concern(folder="web"), ["website/a.js"], False),
        (Concern(folder="web"), ["web"], True),
        (Concern(folder="/web/"), ["web/a"], True),
        (Concern(folder="."), ["any"], True),
        (Concern(folder="."), [], False),
        (Concern(folder="web", paths=Paths(exclude=("*.md",))), ["web/README.md"], False),
        (Concern(folder="web", paths=Paths(exclude=("*.md",))), ["web/README.md", "web/a.js"], True),
        (Concern(folder="web", paths=Paths(shared=("libs/**",))), ["libs/a/b.js"], True),
        (Concern(folder="web", paths=Paths(shared=("libs/",), exclude=("libs/docs/",))), ["libs/docs/x"], False),
        (Concern(folder="web", paths=Paths(include=("api/*.proto",))), ["web/a.js"], False),
        (Concern(folder="web", paths=Paths(include=("api/*.proto",))), ["api/x.proto"], True),
        (Concern(folder="web", paths=Paths(include=("/go.mod",))), ["vendor/go.mod"], False),
        (Concern(folder="web", paths=Paths(include=("src/**", "!src/gen/**"))), ["src/gen/x"], False),
    ],
)
def test_paths_touch_what_they_concern(concern: Concern, paths: list[str], hit: bool) -> None:
    assert touched(paths, [concern]) == [hit]


def test_unknown_paths_touch_everything() -> None:
    assert touched(None, [Concern(folder="a", paths=Paths(exclude=("**",))), Concern(folder="b")]) == [True, True]


@given(some.lists(PATH, max_size=20), some.lists(PATH, min_size=1, max_size=8))
def test_a_folder_alone_is_judged_as_it_always_was(paths: list[str], folders: list[str]) -> None:
    asked = [Concern(folder=folder) for folder in folders]
    assert touched(paths, asked) == [touches(tuple(paths), folder) for folder in folders]


@given(some.lists(PATH, max_size=20), some.lists(PATH, min_size=1, max_size=4), some.lists(PATH, max_size=3))
def test_what_is_asked_for_many_is_what_is_asked_for_each(
    paths: list[str], folders: list[str], patterns: list[str]
) -> None:
    usable = tuple(pattern for pattern in patterns if pattern[0] not in "#! ")
    asked = [Concern(folder=folder, paths=Paths(shared=usable[:2], exclude=usable[2:])) for folder in folders]
    assert touched(paths, asked) == [touched(paths, [each])[0] for each in asked]


@given(some.lists(PATH, min_size=1, max_size=20), PATH)
def test_an_excluded_path_never_touches(paths: list[str], folder: str) -> None:
    assert touched(paths, [Concern(folder=folder, paths=Paths(exclude=("**",), shared=("**",)))]) == [False]


@given(some.text(max_size=210))
@settings(max_examples=200)
def test_any_pattern_is_refused_or_matches_without_trouble(pattern: str) -> None:
    for check in (filters.check_name, filters.check_path, filters.check_versions):
        try:
            check(pattern)
        except UserFailure:
            continue
        asked = {
            filters.check_name: Filters(branches=Branches(include=(pattern,))),
            filters.check_path: Filters(paths=Paths(include=(pattern,))),
            filters.check_versions: Filters(tags=Tags(versions=pattern)),
        }[check]
        follows(asked, "main", "refs/heads/a/b")
        follows(asked, "main", "refs/tags/v1.2.3")
        touched(["a/b", "c"], [Concern(paths=asked.paths)])


def test_what_a_component_says_takes_the_place_of_what_its_repository_says() -> None:
    repository = Filters(
        branches=Branches(include=("main", "release/*"), exclude=("release/old",)),
        tags=Tags(versions=">=1", prefix="v"),
        paths=Paths(exclude=("*.md",), shared=("libs/**",)),
    )
    own = Filters(branches=Branches(include=("next",)), paths=Paths(shared=("api/**",), exclude=("*.txt",)))
    both = merged(own, repository)
    assert follows(both, "main", "refs/heads/next")
    assert not follows(both, "main", "refs/heads/main")
    assert follows(both, "main", "refs/tags/v1.0.0")
    asked = [Concern(folder="web", paths=both.paths)]
    assert [touched([path], asked)[0] for path in ("web/a.md", "web/a.txt", "libs/a", "api/a", "b")] == [
        *(False, False, True, True, False),
    ]
    assert merged(Filters(), repository) == repository
    assert merged(own, Filters()) == own


def test_ten_thousand_paths_and_sixty_components_are_quick() -> None:
    """A generous bound: what is being ruled out takes minutes."""
    paths = [f"services/s{number % 60}/src/{'deep/' * 12}{'a' * 60}{number}.js" for number in range(10_000)]
    evil = ("**/a*a*a*a*a*a*a*b", "**/x/**/x/**/x/**/x/**/y", "*a*a*a*a*a*a*a*a*c")
    asked = [
        Concern(folder=f"services/t{number}", paths=Paths(shared=(*evil, f"libs/{number}/**")))
        for number in range(60)
    ]
    began = time.perf_counter()
    assert touched(paths, asked) == [False] * 60
    assert time.perf_counter() - began < 30


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("- a", "write YAML"),
        ("a: &x [1]\nb: *x", "write YAML"),
        ("[" * 101, "brackets"),
        ("[" * 100, "write YAML"),
        ("- " * 4000, "write YAML"),
        ("branches: {includes: [main]}", "branches.includes"),
        ("branches: {include: [refs/heads/main]}", "branches.include.0: leave refs/heads/"),
        ("branches: {include: [main, 'a[b']}", "branches.include.1"),
        ("tags: {versions: '>=one'}", "tags.versions: this is no range"),
        ("tags: {prefix: '-x'}", "tags.prefix"),
        ("paths: {shared: ['../x']}", "paths.shared.0: a path may not leave"),
        ("paths: {exclude: ['#x']}", "paths.exclude.0"),
        ("paths: {include: ['" + "x" * 201 + "']}", "paths.include.0"),
        ("paths: " + str({"include": ["x"] * 51}), "paths.include"),
    ],
)
def test_a_bad_filter_is_refused_with_the_name_of_its_field(text: str, field: str) -> None:
    with pytest.raises(UserFailure, match=r"metadata.annotations.towpath.dev/filters") as caught:
        stated_filters.annotated({stated_filters.ANNOTATION: text})
    assert caught.value.reason == "BadFilter"
    assert field in caught.value.message


def test_an_annotation_says_what_a_repositorys_block_says() -> None:
    text = (
        "branches: {include: [main, release/*]}\ntags: {versions: '>=1.2 <2', prefix: v}\npaths: {shared: [libs/]}"
    )
    block = FilterBlock.model_validate(
        {
            "branches": {"include": ["main", "release/*"]},
            "tags": {"versions": ">=1.2 <2", "prefix": "v"},
            "paths": {"shared": ["libs/"]},
        }
    )
    assert stated_filters.annotated({stated_filters.ANNOTATION: text}) == stated_filters.stated(
        block, "spec.filters"
    )
    assert stated_filters.annotated({}) == Filters()
