"""One value in a YAML text, read and set in place: comments, order and formatting around it stay as they are.

The text is parsed for positions only, and the value's own characters are replaced. What cannot be done so
(anchors that other places share, block scalars, flow mappings that lack the key) is refused, never guessed.
"""

import json
from collections import Counter
from typing import Any

import yaml

from model.failure import UserFailure
from model.gitops_policy import GitOps
from model.release import Release

TEXT_LIMIT = 256 * 1024


def current(text: str, policy: GitOps, release: Release, environment: str) -> str | None:
    """What the file says at the policy's place now; None when the place is not there (yet).

    Raises:
        UserFailure: `GitOpsFileUnreadable`, saying what is wrong with the file.
    """
    node = _slot(text, policy, release, environment)[1]
    return None if node is None else str(node.value)


def wanted(policy: GitOps, release: Release) -> str:
    """What the file must say for a release."""
    if policy.write == "releaseBinding":
        return release.name
    if policy.write == "helmValue" and policy.content == "reference":
        return release.image.reference
    return release.digest


def edited(text: str, policy: GitOps, release: Release, environment: str) -> str:
    """The text with the policy's place saying this release, and nothing else changed.

    Raises:
        UserFailure: `GitOpsFileUnreadable`.
    """
    value = wanted(policy, release)
    place, node, key = _slot(text, policy, release, environment)
    if node is not None:
        changed = text[: node.start_mark.index] + _written(node, value) + text[node.end_mark.index :]
    else:
        changed = _with_key(text, place, key, value)
    if policy.write == "kustomizeImage" and release.image.repository:
        changed = _with_new_name(changed, policy, release, environment)
    if current(changed, policy, release, environment) != value:
        raise _unreadable(policy, f"{key} could not be set; write it out in block style")
    return changed


def _with_new_name(text: str, policy: GitOps, release: Release, environment: str) -> str:
    """`newName` beside the digest where the entry's own name is not the image's repository."""
    place, _, _ = _slot(text, policy, release, environment)
    if policy.image == release.image.repository:
        return text
    node = _child(place, "newName")
    if node is None:
        return _with_key(text, place, "newName", release.image.repository)
    _must_be_plain(policy, node)
    return text[: node.start_mark.index] + _written(node, release.image.repository) + text[node.end_mark.index :]


def _slot(
    text: str, policy: GitOps, release: Release, environment: str
) -> tuple[yaml.MappingNode, yaml.ScalarNode | None, str]:
    """The mapping that holds the place, the place itself if it is there, and its key."""
    documents = _documents(text, policy)
    if policy.write == "releaseBinding":
        place = _binding(documents, policy, release, environment)
        key = "releaseName"
    elif policy.write == "kustomizeImage":
        place = _image(documents, policy)
        key = "digest"
    else:
        place, key = _mapping(documents[0], policy), policy.key[-1]
        for name in policy.key[:-1]:
            found = _child(place, name)
            if not isinstance(found, yaml.MappingNode):
                raise _unreadable(policy, f"{'.'.join(policy.key)} leads nowhere: {name} is missing")
            place = found
    node = _child(place, key)
    if node is not None:
        _must_be_plain(policy, node)
    _must_be_unshared(documents, policy, node or place, place)
    assert node is None or isinstance(node, yaml.ScalarNode)  # noqa: S101  (that it is plain was looked at)
    return place, node, key


def _documents(text: str, policy: GitOps) -> list[yaml.Node]:
    if len(text) > TEXT_LIMIT:
        raise _unreadable(policy, f"it is larger than {TEXT_LIMIT // 1024} KiB")
    try:
        found = [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        raise _unreadable(policy, f"it is no YAML{where}") from None
    if not found:
        raise _unreadable(policy, "it is empty")
    return found


def _mapping(node: yaml.Node | None, policy: GitOps) -> yaml.MappingNode:
    if not isinstance(node, yaml.MappingNode):
        raise _unreadable(policy, "it does not hold a mapping")
    return node


def _binding(documents: list[yaml.Node], policy: GitOps, release: Release, environment: str) -> yaml.MappingNode:
    def says(node: yaml.Node | None, *path: str) -> str:
        for name in path:
            node = _child(node, name) if isinstance(node, yaml.MappingNode) else None
        return str(node.value) if isinstance(node, yaml.ScalarNode) else ""

    for document in documents:
        whose = (says(document, "spec", "owner", "componentName"), says(document, "spec", "environment"))
        if says(document, "kind") == "ReleaseBinding" and whose == (release.component.name, environment):
            return _mapping(_child(_mapping(document, policy), "spec"), policy)
    raise _unreadable(policy, f"it has no ReleaseBinding of {release.component.name} in {environment}")


def _image(documents: list[yaml.Node], policy: GitOps) -> yaml.MappingNode:
    images = _child(_mapping(documents[0], policy), "images")
    for entry in images.value if isinstance(images, yaml.SequenceNode) else []:
        name = _child(entry, "name") if isinstance(entry, yaml.MappingNode) else None
        if isinstance(name, yaml.ScalarNode) and name.value == policy.image:
            return _mapping(entry, policy)
    raise _unreadable(policy, f"images has no entry with name: {policy.image}")


def _child(node: yaml.Node | None, key: str) -> Any:
    for name, value in node.value if isinstance(node, yaml.MappingNode) else []:
        if isinstance(name, yaml.ScalarNode) and name.value == key:
            return value
    return None


def _must_be_plain(policy: GitOps, node: yaml.Node) -> None:
    if not isinstance(node, yaml.ScalarNode) or node.style in ("|", ">"):
        raise _unreadable(policy, f"line {node.start_mark.line + 1}: write a plain or quoted text there")


def _must_be_unshared(documents: list[yaml.Node], policy: GitOps, inner: yaml.Node, place: yaml.Node) -> None:
    """Refuse a place inside what an alias repeats elsewhere: setting it would change both."""
    seen: Counter[int] = Counter()
    parents: dict[int, yaml.Node] = {}
    todo = list(documents)
    while todo:
        node = todo.pop()
        seen[id(node)] += 1
        if seen[id(node)] > 1:
            continue
        for child in _children(node):
            parents.setdefault(id(child), node)
            todo.append(child)
    chain: yaml.Node | None = inner
    while chain is not None:
        if seen[id(chain)] > 1:
            raise _unreadable(policy, f"line {place.start_mark.line + 1}: what an alias shares cannot be set")
        chain = parents.get(id(chain))


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _written(node: yaml.ScalarNode, value: str) -> str:
    if node.style == "'":
        return "'" + value.replace("'", "''") + "'"
    return json.dumps(value) if node.style == '"' else _plain(value)


def _plain(value: str) -> str:
    """The value unquoted where YAML reads it as the same text."""
    try:
        same = yaml.safe_load(value) == value
    except yaml.YAMLError:
        same = False
    return value if same else json.dumps(value)


def _with_key(text: str, place: yaml.MappingNode, key: str, value: str) -> str:
    """A line more in a block mapping, after its first key, as deep as that one."""
    if place.flow_style or not place.value:
        closing = place.end_mark.index - 1
        lead = ", " if place.value else ""
        return f"{text[:closing]}{lead}{key}: {_plain(value)}{text[closing:]}"
    first_key, first_value = place.value[0]
    column = first_key.start_mark.column
    after = text.find("\n", _end_of(first_value))
    line = f"{' ' * column}{key}: {_plain(value)}"
    if after < 0:
        return f"{text}\n{line}\n"
    newline = "\r\n" if text[after - 1 : after] == "\r" else "\n"
    return f"{text[: after + 1]}{line}{newline}{text[after + 1 :]}"


def _end_of(node: yaml.Node) -> int:
    """Where a value's own text ends: block collections are marked as ending where the next thing begins."""
    while isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(node, yaml.MappingNode) else last
    index = int(node.end_mark.index)
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return index - 1
    return index


def _unreadable(policy: GitOps, why: str) -> UserFailure:
    return UserFailure("GitOpsFileUnreadable", f"{policy.path} of {policy.url}: {why}.")
