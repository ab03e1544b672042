"""CustomResourceDefinitions, made from the models: `python -m deploy.crds` writes them, `--check` compares.

Rules of the shape: Kubernetes' structural schemas
(https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/).
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from model.resources.all import DECLARED
from model.resources.declared import Column, Declared, Rule, cel_text
from model.resources.kept import Kept

FOLDER = Path(__file__).parent / "manifests" / "crds"
_HEADER = "# Made from model/resources by `python -m deploy.crds`; change it there.\n"
_DROPPED = frozenset({"title", "default", "$defs", "examples", "propertyNames", "additionalProperties", "const"})
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_VALIDATIONS = "x-kubernetes-validations"


def structural(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema as pydantic writes it, as a structural schema.

    Defaults are left out: the engine fills them in, and objects stay as people wrote them.

    Raises:
        ValueError: the model uses a union that a structural schema cannot say.
    """
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        return structural({**target, **{key: item for key, item in node.items() if key != "$ref"}}, definitions)
    if "anyOf" in node or "allOf" in node:
        choices = [one for one in (node.get("anyOf") or node["allOf"]) if one != {"type": "null"}]
        if len(choices) != 1:
            raise ValueError(f"a union that cannot be said in a structural schema: {node}")
        rest = {key: item for key, item in node.items() if key not in ("anyOf", "allOf")}
        return structural({**choices[0], **rest}, definitions)
    made = {key: item for key, item in node.items() if key not in _DROPPED}
    if "const" in node:
        made["enum"] = [node["const"]]
    if "properties" in node:
        made["properties"] = {key: structural(item, definitions) for key, item in node["properties"].items()}
    if "items" in node:
        made["items"] = structural(node["items"], definitions)
    patterns = made.pop("patternProperties", {})
    if len(patterns) > 1:
        raise ValueError(f"keys of several patterns cannot be said in a structural schema: {node}")
    for pattern, values in patterns.items():
        made["additionalProperties"] = structural(values, definitions)
        made[_VALIDATIONS] = [
            {
                "rule": f"self.all(key, key.matches({cel_text(pattern)}))",
                "message": f"each name must match {pattern}",
            }
        ]
    extra = node.get("additionalProperties")
    if isinstance(extra, dict):
        made["additionalProperties"] = structural(extra, definitions)
    elif extra is True or not (set(made) - {"description"}):
        made[_PRESERVE] = True
    if made.get("type") == "integer":
        made["format"] = "int64"
    if "description" in made:
        made["description"] = " ".join(made["description"].split())
    return made


def definition(model: type[Declared]) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    kind = model.declared_as
    schema = model.model_json_schema(by_alias=True)
    made = structural(schema, schema.get("$defs", {}))
    made.pop(_PRESERVE, None)
    properties = made["properties"]
    properties["metadata"] = {"type": "object"}
    made["properties"] = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, **properties}
    required = [field for field in made.pop("required", []) if field != "metadata"]
    if required:
        made["required"] = required
    for rule in kind.rules:
        said = {"rule": rule.rule, "message": rule.message}
        if rule.field:
            said["fieldPath"] = rule.field
        _at(made, rule).setdefault(_VALIDATIONS, []).append(said)
    names: dict[str, Any] = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
    }
    if kind.short_names:
        names["shortNames"] = list(kind.short_names)
    if not issubclass(model, Kept):
        names["categories"] = ["towpath"]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{kind.group}",
            "labels": {"app.kubernetes.io/part-of": "towpath", "app.kubernetes.io/component": "crds"},
        },
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [
                {
                    "name": kind.version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": made},
                }
            ],
        },
    }


def definitions() -> list[dict[str, Any]]:
    """All CustomResourceDefinitions."""
    return [definition(model) for model in DECLARED]


def files() -> dict[str, str]:
    """File name to content, for all kinds."""
    made = {}
    for crd in definitions():
        name = f"{crd['spec']['group']}_{crd['spec']['names']['plural']}.yaml"
        made[name] = _HEADER + yaml.dump(crd, Dumper=_Plain, sort_keys=False, width=110, allow_unicode=True)
    return made


class _Plain(yaml.SafeDumper):
    """Without anchors: shared parts are written out."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _at(schema: dict[str, Any], rule: Rule) -> dict[str, Any]:
    for part in rule.at.split(".") if rule.at else ():
        schema = schema["properties"][part]
    return schema


def _column(column: Column) -> dict[str, Any]:
    made: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.priority:
        made["priority"] = column.priority
    return made


def main() -> int:
    """Write the files, or with `--check` say which differ (exit code 1)."""
    parser = argparse.ArgumentParser(prog="python -m deploy.crds", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail when files differ")
    wanted = files()
    present = {path.name: path.read_text() for path in FOLDER.glob("*.yaml")}
    differing = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
    if parser.parse_args().check:
        for name in differing:
            print(f"{name} differs from the models; run: python -m deploy.crds", file=sys.stderr)
        return 1 if differing else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in differing:
        if name in wanted:
            (FOLDER / name).write_text(wanted[name])
        else:
            (FOLDER / name).unlink()
    print(f"{len(wanted)} definitions in {FOLDER.name}, {len(differing)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
