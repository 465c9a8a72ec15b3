"""The smallest value that a JSON Schema allows, with words of the conversation where free text is asked. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

_FORMATS = {
    "date-time": "2026-01-01T09:00:00Z",
    "date": "2026-01-01",
    "time": "09:00:00Z",
    "duration": "PT1H",
    "email": "caller@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}
_DEEPEST = 32  # a schema may refer to itself; below this a recursive branch ends in null


def instance(schema: Mapping[str, Any], *, free_text: str = "") -> Any:
    """A value that validates, for the keywords that assistants use; `pattern` and `not` are not searched for."""
    return _Builder(schema, free_text).build(schema, 0)


class _Builder:
    def __init__(self, root: Mapping[str, Any], free_text: str) -> None:
        self._root = root
        self._free_text = free_text

    def build(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return None
        if "$ref" in schema:
            return self.build(self._resolve(str(schema["$ref"])), depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        if "default" in schema:
            return schema["default"]
        for keyword in ("anyOf", "oneOf"):
            if schema.get(keyword):
                options = [option for option in schema[keyword] if option.get("type") != "null"]
                return self.build({**schema, keyword: None, **(options or schema[keyword])[0]}, depth + 1)
        if schema.get("allOf"):
            return self.build(self._merged(schema), depth + 1)
        return self._typed(schema, depth)

    def _resolve(self, reference: str) -> Any:
        node: Any = self._root
        for part in reference.removeprefix("#").strip("/").split("/"):
            if part:
                node = node.get(part.replace("~1", "/").replace("~0", "~"), {}) if isinstance(node, Mapping) else {}
        return node

    def _merged(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        merged: dict[str, Any] = {"properties": {}, "required": []}
        for raw in (schema, *schema["allOf"]):
            part = self._resolve(raw["$ref"]) if "$ref" in raw else raw
            merged["properties"].update(part.get("properties", {}))
            merged["required"] += part.get("required", [])
            merged |= {key: part[key] for key in part if key not in ("properties", "required", "allOf")}
        return merged

    def _typed(self, schema: Mapping[str, Any], depth: int) -> Any:
        kind = schema.get("type") or (
            "object" if "properties" in schema else "array" if "items" in schema else "string"
        )
        if isinstance(kind, Sequence) and not isinstance(kind, str):
            kind = next((one for one in kind if one != "null"), "null")
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return [self.build(schema.get("items", {}), depth + 1) for _ in range(int(schema.get("minItems", 0)))]
            case "string":
                return self._string(schema)
            case "integer" | "number":
                return _number(schema, whole=kind == "integer")
            case "boolean":
                return False
        return None

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        asked = [name for name in properties if depth < 3] or list(schema.get("required") or [])
        return {name: self.build(properties.get(name, {}), depth + 1) for name in asked}

    def _string(self, schema: Mapping[str, Any]) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = self._free_text[: int(schema.get("maxLength", 500))]
        return text.ljust(int(schema.get("minLength", 0)), ".")


def _number(schema: Mapping[str, Any], *, whole: bool) -> float | int:
    step = schema.get("multipleOf", 1)
    lowest = schema.get("minimum", schema.get("exclusiveMinimum", -step) + step)
    highest = schema.get("maximum", schema.get("exclusiveMaximum", max(lowest, 0) + step) - step)
    value = min(max(lowest, 0), highest)
    return int(value) if whole else value
