"""Which images are followed, and which of two is the newer one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import image_name, image_rule
from model.failure import UserFailure
from model.image_name import parse, repository

HEX = "a" * 64


@pytest.mark.parametrize(
    ("text", "place", "tag", "digest"),
    [
        ("nginx", "docker.io/library/nginx", "latest", ""),
        ("team/app:1.2", "docker.io/team/app", "1.2", ""),
        ("index.docker.io/team/app", "docker.io/team/app", "latest", ""),
        ("ghcr.io/team/app:v1", "ghcr.io/team/app", "v1", ""),
        ("10.88.0.1:5000/a/b/c:x", "10.88.0.1:5000/a/b/c", "x", ""),
        ("localhost/app", "localhost/app", "latest", ""),
        (f"quay.io/app/x@sha256:{HEX}", "quay.io/app/x", "", f"sha256:{HEX}"),
        (f"quay.io/app/x:v1@sha256:{HEX}", "quay.io/app/x", "v1", f"sha256:{HEX}"),
    ],
)
def test_an_image_is_found_however_it_is_written(text: str, place: str, tag: str, digest: str) -> None:
    found = parse(text)
    assert (found.repository, found.tag, found.digest) == (place, tag, digest)
    assert f"{found.host}/{found.path}" == place


@pytest.mark.parametrize(
    "text",
    ["", ":", "UPPER/case:x", "a b", "x@sha256:abc", "ghcr.io/", "ghcr.io/../x", "x:" + "t" * 129, "-x", "x/"],
)
def test_what_is_no_image_is_refused(text: str) -> None:
    with pytest.raises(UserFailure) as refused:
        parse(text)
    assert refused.value.reason == "BadImage"


@given(st.text(max_size=600))
def test_any_text_is_an_image_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except UserFailure:
        return
    assert repository(found.repository) == found.repository


@pytest.mark.parametrize(
    ("rule", "named", "taken", "left"),
    [
        ("", "latest", ["latest"], ["v1", "", "Latest"]),
        ("latest, stable", "v1", ["latest", "stable"], ["v1"]),
        ("semver: >=1.2 <2", "", ["1.2.0", "v1.9.3"], ["2.0.0", "1.1.9", "main", "1.3.0-rc.1", "v1"]),
        ("semver:^1", "", ["1.0.0"], ["0.9.0"]),
        ("semver: *", "", ["0.1.0", "9.9.9"], ["latest"]),
        ("regex: main-[0-9]+", "", ["main-1"], ["main-1-arm", "xmain-1", "main-"]),
        ("regex: .*", "", ["anything"], [f"sha256-{HEX}.sig", f"sha256-{HEX}", "not a tag", ""]),
    ],
)
def test_a_rule_takes_the_tags_that_it_says(rule: str, named: str, taken: list[str], left: list[str]) -> None:
    found = image_rule.rule(rule, named)
    assert [tag for tag in taken + left if found.takes(tag)] == taken


@pytest.mark.parametrize(
    "text", ["semver:", "semver: x y z", "semver: ((", "regex:", "regex: ((", "a b", "x" * 201, ","]
)
def test_a_rule_that_cannot_work_is_refused_and_says_how_rules_are_written(text: str) -> None:
    with pytest.raises(UserFailure) as refused:
        image_rule.rule(text)
    assert refused.value.reason == "BadTagRule"


@given(st.text(max_size=200), st.text(max_size=130))
def test_any_text_is_a_rule_or_refused_and_takes_or_leaves_any_tag(text: str, tag: str) -> None:
    try:
        found = image_rule.rule(text)
    except UserFailure:
        return
    assert not found.takes(tag) or (image_name.is_tag(tag) and not image_name.is_beside(tag))


def test_versions_are_ordered_as_versions_and_other_tags_not_at_all() -> None:
    versions = image_rule.rule("semver: *")
    assert image_rule.is_lower(versions, "1.9.0", "v1.10.0")
    assert not image_rule.is_lower(versions, "1.10.0", "1.9.0")
    assert not image_rule.is_lower(image_rule.rule("a,b"), "1.9.0", "1.10.0")


def test_a_regex_that_others_take_for_ever_over_is_quick() -> None:
    found = image_rule.rule("regex: (a+)+b")
    assert not found.takes("a" * 128)
