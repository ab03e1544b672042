"""Between our own names (snake_case) and manifests' (camelCase), for values that are kept whole."""

from typing import Any

from pydantic.alias_generators import to_camel, to_snake


def camel_keys(value: Any) -> Any:
    """The value with all keys in camelCase; only for values whose keys are field names."""
    if isinstance(value, dict):
        return {to_camel(key): camel_keys(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [camel_keys(item) for item in value]
    return value


def snake_keys(value: Any) -> Any:
    """The value with all keys in snake_case; the inverse of `camel_keys`."""
    if isinstance(value, dict):
        return {to_snake(key): snake_keys(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [snake_keys(item) for item in value]
    return value


def camel_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema with its property names in camelCase and its definitions put in place."""
    definitions = schema.get("$defs", {})

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return walk(definitions[node["$ref"].rpartition("/")[2]])
        changed = {key: walk(item) for key, item in node.items() if key not in ("properties", "required", "$defs")}
        if "properties" in node:
            changed["properties"] = {to_camel(key): walk(item) for key, item in node["properties"].items()}
        if "required" in node:
            changed["required"] = [to_camel(key) for key in node["required"]]
        return changed

    result: dict[str, Any] = walk(schema)
    return result
