"""Where a contract holds secrets, as its JSON Schema says (`format: password`), and the forms of one on a wire."""

import base64
from typing import Any, Literal

from pydantic import BaseModel

Path = tuple[str, ...]


def secret_fields(model: type[BaseModel], mode: Literal["validation", "serialization"] = "validation") -> set[Path]:
    """Paths of every field that says that it is a secret; `*` stands for elements of a list and values of an object."""
    schema = model.model_json_schema(mode=mode)
    return _leaves(schema, schema.get("$defs", {}))


def _leaves(schema: dict[str, Any], definitions: dict[str, Any], path: Path = ()) -> set[Path]:
    if "$ref" in schema:
        return _leaves(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions, path)
    found = {path} if schema.get("format") == "password" else set()
    for part in schema.get("anyOf", []):
        found |= _leaves(part, definitions, path)
    for name, part in schema.get("properties", {}).items():
        found |= _leaves(part, definitions, (*path, name))
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            found |= _leaves(schema[inner], definitions, (*path, "*"))
    return found


def forms_of(secret: str) -> set[bytes]:
    """The secret as it is, in hexadecimal digits and in base64, wherever in a longer text it begins."""
    raw = secret.encode()
    found = {raw, raw.hex().encode(), raw.hex().upper().encode()}
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(b"\0" * shift + raw)
            found.add(encoded[4 if shift else 0 : len(encoded) - 4])  # its ends depend on what stands beside it
    return found
