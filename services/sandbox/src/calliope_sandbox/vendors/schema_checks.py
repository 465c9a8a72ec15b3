"""What Anthropic and Gemini refuse in the JSON Schema of a tool or of an answer. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

_KINDS: Final = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_SCHEMAS: Final = ("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else")
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")


def not_of_2020_12(schema: Any) -> str | None:
    """What is no JSON Schema of draft 2020-12, such as `items` that lists schemas."""
    for where, node in _nodes(schema, ""):
        if not isinstance(node, Mapping | bool):
            return f"{where or 'the top'} is no schema"
        if isinstance(node, bool):
            continue
        kinds = node.get("type", [])
        if unknown := {kinds} - _KINDS if isinstance(kinds, str) else set(kinds) - _KINDS:
            return f"{where}/type: {sorted(unknown)[0]!r} is no type"
        if isinstance(node.get("items"), list):
            return f"{where}/items: a list of schemas is prefixItems"
        if not isinstance(node.get("required", []), list):
            return f"{where}/required is no list"
    return None


def not_for_gemini(schema: Any) -> str | None:
    """What Gemini misses: what a list holds, and the description of what is required."""
    for where, node in _nodes(schema, ""):
        if not isinstance(node, Mapping):
            continue
        if node.get("type") == "array" and not {"items", "prefixItems"} & node.keys():
            return f"parameters{where.replace('/', '.')}.items: missing field."
        known = (node.get("properties") or {}).keys()
        for number, name in enumerate(node.get("required") or ()):
            if name not in known:
                return f"parameters{where.replace('/', '.')}.required[{number}]: property is not defined"
    return None


def _nodes(schema: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Every schema in a schema, with its place."""
    yield where, schema
    if not isinstance(schema, Mapping):
        return
    for keyword in _SCHEMAS:
        if keyword in schema and not isinstance(schema[keyword], list):
            yield from _nodes(schema[keyword], f"{where}/{keyword}")
    for keyword in _LISTS:
        for number, inner in enumerate(schema.get(keyword) or ()):
            yield from _nodes(inner, f"{where}/{keyword}/{number}")
    for keyword in _NAMED:
        for name, inner in (schema.get(keyword) or {}).items():
            yield from _nodes(inner, f"{where}/{keyword}/{name}")
