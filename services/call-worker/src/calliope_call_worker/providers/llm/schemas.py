"""The form of a JSON Schema that every vendor takes, from the one that a developer wrote of a tool or an answer. Pure.

Only what is sent changes; arguments and answers are checked against the schema as it was written.
"""

from typing import Any, Final

MAX_DEPTH: Final = 8
"""Of combinations and references one within the other that are followed; they may refer to themselves."""
_NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_VALUES: Final = frozenset({"enum", "const", "default", "examples", "required"})
_NOT_AT_THE_TOP: Final = frozenset(
    {"$schema", "oneOf", "anyOf", "allOf", "not", "enum", "const", "if", "then", "else", "$ref"}
)
"""Refused at the top of a tool's schema by one vendor or another."""


def answer_schema(schema: dict[str, Any]) -> dict[str, Any] | None:
    """The same for an answer that is to be JSON; None, when it need not be an object: few vendors enforce such."""
    kinds = schema.get("type", "object" if _describes_an_object(schema, schema, 0) else None)
    return tool_schema(schema) if kinds in ("object", ["object"]) else None


def tool_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """An object with named properties, in which each list says what it holds."""
    top = _flat(schema, schema, 0)
    sent = {keyword: value for keyword, value in plain_schema(top).items() if keyword not in _NOT_AT_THE_TOP}
    sent["type"] = "object"
    properties = sent.setdefault("properties", {})
    for name in sent.get("required") or ():
        properties.setdefault(name, {})  # one vendor refuses a required property that is not described
    return sent


def _describes_an_object(node: dict[str, Any], root: dict[str, Any], depth: int) -> bool:
    """Whether whatever fits has to be an object, or the schema does not speak of anything else."""
    if "type" in node:
        return node["type"] in ("object", ["object"])
    if "enum" in node or "const" in node or depth > MAX_DEPTH:
        return False
    parts = [part for part, _ in _parts(node, root)]
    return all(_describes_an_object(part, root, depth + 1) for part in parts) if parts else True


def _flat(node: dict[str, Any], root: dict[str, Any], depth: int) -> dict[str, Any]:
    """The properties that a combination of schemas at the top describes, side by side."""
    flat = dict(node)
    if depth > MAX_DEPTH:
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


def plain_schema(node: Any) -> Any:
    """One schema in the form that is taken everywhere."""
    if not isinstance(node, dict):
        return {} if node is True else {"not": {}} if node is False else node
    sent: dict[str, Any] = {}
    for keyword, value in node.items():
        if keyword in _VALUES:
            sent[keyword] = value
        elif keyword in _NAMED and isinstance(value, dict):
            sent[keyword] = {name: plain_schema(inner) for name, inner in value.items()}
        elif keyword == "items" and isinstance(value, list):
            sent["prefixItems"] = [plain_schema(inner) for inner in value]  # as drafts before 2020-12 said it
        elif isinstance(value, list):
            sent[keyword] = [plain_schema(inner) if isinstance(inner, dict) else inner for inner in value]
        else:
            sent[keyword] = plain_schema(value) if isinstance(value, dict) else value
    kinds = sent.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds or []
    if "array" in kinds:
        sent.setdefault("items", {})
    if "object" in kinds:
        sent.setdefault("properties", {})
    return sent
