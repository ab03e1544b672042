"""Setting one value in a YAML file leaves everything else as people wrote it."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from model import yaml_slot
from model.failure import UserFailure
from model.gitops_policy import Controller, GitOps
from tests.workflows.world import release

RELEASE = release(7)
CONTROLLER = Controller(name="apps", namespace="flux-system")
KUSTOMIZATION = """\
# Who runs what. Do not sort!
resources:
    - deployment.yaml   # four spaces, on purpose
images:
    # the shop
    - name: shop
      newName: registry.test/default/default/hello
      digest: "sha256:0000"     # Towpath's
    - {name: other, newTag: v1}
"""


def policy(**changed: Any) -> GitOps:
    stated = {"write": "kustomizeImage", "image": "shop", "path": "f.yaml", "url": "http://git.test/x.git"}
    return GitOps.model_validate({**stated, "controller": CONTROLLER, **changed})


def edit(text: str, rules: GitOps) -> str:
    return yaml_slot.edited(text, rules, RELEASE, "production")


def test_only_the_digest_of_the_image_changes() -> None:
    assert edit(KUSTOMIZATION, policy()) == KUSTOMIZATION.replace('"sha256:0000"', f'"{RELEASE.digest}"')


def test_a_digest_and_a_name_that_are_not_there_are_added_and_comments_stay() -> None:
    text = "images:\n- name: shop # ours\n  newTag: v1 # old\n# the end\n"
    made = edit(text, policy())
    assert yaml.safe_load(made)["images"] == [
        {"name": "shop", "newTag": "v1", "digest": RELEASE.digest, "newName": RELEASE.image.repository}
    ]
    assert [line for line in made.splitlines() if line in text.splitlines()] == text.splitlines()


def test_an_entry_in_flow_style_is_completed() -> None:
    made = edit("images: [{name: shop}, {name: b}]\n", policy())
    assert yaml.safe_load(made)["images"][0]["digest"] == RELEASE.digest
    assert made.endswith("{name: b}]\n")


def test_a_helm_value_is_set_by_its_path_in_its_own_quotes() -> None:
    text = "image:\n  digest: 'sha256:1' # x\n  pullPolicy: Always\nother: {digest: same}\n"
    made = edit(text, policy(write="helmValue", key=("image", "digest")))
    assert made == text.replace("'sha256:1'", f"'{RELEASE.digest}'")


def test_a_helm_value_may_be_the_whole_reference() -> None:
    made = edit("image: x\n", policy(write="helmValue", key=("image",), content="reference"))
    assert yaml.safe_load(made) == {"image": RELEASE.image.reference}


def test_of_several_bindings_the_right_one_is_set() -> None:
    def binding(environment: str, name: str) -> str:
        return (
            "kind: ReleaseBinding\nspec:\n  owner: {projectName: default, componentName: hello}\n"
            f"  environment: {environment}\n  releaseName: {name}\n"
        )

    text = binding("staging", "hello-1") + "---\n" + binding("production", "hello-1")
    made = edit(text, policy(write="releaseBinding"))
    assert made == binding("staging", "hello-1") + "---\n" + binding("production", RELEASE.name)


@pytest.mark.parametrize(
    ("text", "rules", "why"),
    [
        ("images: [", {}, "no YAML"),
        ("", {}, "empty"),
        ("- a\n", {}, "mapping"),
        ("images: []\n", {}, "no entry with name: shop"),
        ("image: 1\n", {"write": "helmValue", "key": ("image", "tag")}, "leads nowhere"),
        ("image: |\n  a\n", {"write": "helmValue", "key": ("image",)}, "plain or quoted"),
        ("a: &x {tag: 1}\nb: *x\n", {"write": "helmValue", "key": ("b", "tag")}, "alias"),
        ("a: &x one\nb: *x\n", {"write": "helmValue", "key": ("b",)}, "alias"),
        ("a: 1\n", {"write": "releaseBinding"}, "no ReleaseBinding of hello in production"),
        ("a: " + "x" * 300_000, {"write": "helmValue", "key": ("a",)}, "larger"),
        ("[" * 5000, {}, "no YAML"),
    ],
)
def test_what_cannot_be_set_is_refused_and_said(text: str, rules: dict[str, Any], why: str) -> None:
    with pytest.raises(UserFailure, match=why) as refused:
        edit(text, policy(**rules))
    assert refused.value.reason == "GitOpsFileUnreadable"


NAMES = st.text("abcxyz-_", min_size=1, max_size=6).filter(lambda name: name.strip("-_") == name)
SCALARS = st.one_of(st.booleans(), st.integers(), st.text(max_size=20), st.none(), st.floats(allow_nan=False))
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
STYLES = st.fixed_dictionaries(
    {"indent": st.sampled_from([2, 4, 6]), "default_flow_style": st.sampled_from([True, False, None]),
     "default_style": st.sampled_from([None, '"', "'"]), "width": st.sampled_from([40, 80, 1000])}
)  # fmt: skip


@given(
    before=st.dictionaries(NAMES, TREES, max_size=4),
    after=st.dictionaries(NAMES, TREES, max_size=4),
    old=st.text(min_size=1, max_size=30),
    deep=st.dictionaries(NAMES, TREES, max_size=3),
    style=STYLES,
)
def test_whatever_the_file_only_the_wanted_value_changes(
    before: dict[str, Any], after: dict[str, Any], old: str, deep: dict[str, Any], style: dict[str, Any]
) -> None:
    tree = {**before, "image": {**deep, "digest": old}, **{k: v for k, v in after.items() if k != "image"}}
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, **style)
    try:
        made = edit(text, policy(write="helmValue", key=("image", "digest")))
    except UserFailure as refused:
        assert "plain or quoted" in refused.message  # noqa: PT017  (PyYAML may choose a block scalar)
        return
    read = yaml.safe_load(text)
    read["image"]["digest"] = RELEASE.digest
    assert yaml.safe_load(made) == read
    head, tail = made.split(RELEASE.digest) if made.count(RELEASE.digest) == 1 else (made, "")
    assert text.startswith(head.rstrip("\"'"))
    assert text.endswith(tail.lstrip("\"'"))


@given(
    deep=st.dictionaries(NAMES, TREES, min_size=1, max_size=4),
    style=STYLES,
    tail=st.dictionaries(NAMES, TREES, max_size=2),
)
def test_a_value_that_is_not_there_is_added_and_nothing_else(
    deep: dict[str, Any], style: dict[str, Any], tail: dict[str, Any]
) -> None:
    tree = {
        "image": {k: v for k, v in deep.items() if k != "digest"} or {"a": 1},
        **{k: v for k, v in tail.items() if k != "image"},
    }
    text = yaml.safe_dump(tree, sort_keys=False, **style)
    try:
        made = edit(text, policy(write="helmValue", key=("image", "digest")))
    except UserFailure as refused:
        assert "block style" in refused.message or "no YAML" in refused.message  # noqa: PT017
        return
    read = yaml.safe_load(text)
    read["image"]["digest"] = RELEASE.digest
    assert yaml.safe_load(made) == read


@given(st.text(max_size=200))
def test_any_text_is_edited_or_refused_and_never_breaks(text: str) -> None:
    for rules in (policy(), policy(write="releaseBinding"), policy(write="helmValue", key=("a", "b"))):
        try:
            edit(text, rules)
        except UserFailure as refused:
            assert refused.reason == "GitOpsFileUnreadable"  # noqa: PT017
