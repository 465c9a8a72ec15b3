"""The form of a tool's JSON Schema that every vendor takes, from the one that a developer wrote. Pure.

Only what is sent changes; arguments are checked against the schema as it was written.
"""

from typing import Any, Final

_NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_VALUES: Final = frozenset({"enum", "const", "default", "examples", "required"})
_NOT_AT_THE_TOP: Final = frozenset(
    {"$schema", "oneOf", "anyOf", "allOf", "not", "enum", "const", "if", "then", "else", "$ref"}
)
"""Refused at the top of a tool's schema by one vendor or another."""


def tool_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """An object with named properties, in which each list says what it holds."""
    top = _flat(schema, schema, 0)
    sent = {keyword: value for keyword, value in _sent(top).items() if keyword not in _NOT_AT_THE_TOP}
    sent["type"] = "object"
    properties = sent.setdefault("properties", {})
    for name in sent.get("required") or ():
        properties.setdefault(name, {})  # one vendor refuses a required property that is not described
    return sent


def _flat(node: dict[str, Any], root: dict[str, Any], depth: int) -> dict[str, Any]:
    """The properties that a combination of schemas at the top describes, side by side."""
    flat = dict(node)
    if depth > 8:
        return flat
    for inner, every in _parts(node, root):
        part = _flat(inner, root, depth + 1)
        flat["properties"] = {**part.get("properties", {}), **flat.get("properties", {})}
        if every and part.get("required"):
            flat["required"] = list(dict.fromkeys([*flat.get("required", ()), *part["required"]]))
    return flat


def _parts(node: dict[str, Any], root: dict[str, Any]) -> list[tuple[dict[str, Any], bool]]:
    """What a schema is put together from, and whether that always holds."""
    parts = [(part, True) for part in node.get("allOf") or ()]
    parts += [(part, False) for keyword in ("anyOf", "oneOf") for part in node.get(keyword) or ()]
    if isinstance(reference := node.get("$ref"), str):
        parts.append((_at(reference, root), True))
    return [(part, every) for part, every in parts if isinstance(part, dict)]


def _at(reference: str, root: dict[str, Any]) -> Any:
    found: Any = root
    for step in reference.split("/")[1:]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found


def _sent(node: Any) -> Any:
    """One schema in the form that is taken everywhere."""
    if not isinstance(node, dict):
        return {} if node is True else {"not": {}} if node is False else node
    sent: dict[str, Any] = {}
    for keyword, value in node.items():
        if keyword in _VALUES:
            sent[keyword] = value
        elif keyword in _NAMED and isinstance(value, dict):
            sent[keyword] = {name: _sent(inner) for name, inner in value.items()}
        elif keyword == "items" and isinstance(value, list):
            sent["prefixItems"] = [_sent(inner) for inner in value]  # as drafts before 2020-12 said it
        elif isinstance(value, list):
            sent[keyword] = [_sent(inner) if isinstance(inner, dict) else inner for inner in value]
        else:
            sent[keyword] = _sent(value) if isinstance(value, dict) else value
    kinds = sent.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds or []
    if "array" in kinds:
        sent.setdefault("items", {})
    if "object" in kinds:
        sent.setdefault("properties", {})
    return sent
