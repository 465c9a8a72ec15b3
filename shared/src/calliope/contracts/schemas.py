"""JSON Schemas that developers write: refused when they are none, or when checking with them could do harm.

Checks run on values that a language model made. A `$ref` to an address would be fetched, and a `pattern` can take for
ever on a value made for it (CWE-1333); where that would stop a live call, patterns are refused too.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for
from pydantic import JsonValue

Schema = dict[str, JsonValue]

PATTERNS: Final = ("pattern", "patternProperties")
_NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_VALUES: Final = frozenset({"enum", "const", "default", "examples"})


def a_schema(schema: Schema | None) -> Schema | None:
    """Any JSON Schema that refers only to itself. Raises: ValueError."""
    if schema is None:
        return None
    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as exc:
        where = "/".join(map(str, exc.absolute_path)) or "the top"
        raise ValueError(f"not a JSON Schema: {exc.message} (at {where})") from exc
    for where, node in _schemas(schema, ""):
        reference = node.get("$ref") or node.get("$dynamicRef") or "#"
        if not str(reference).startswith("#"):
            raise ValueError(f"$ref at {where or 'the top'}: only references into the same schema (`#/…`) are followed")
    return schema


def a_live_schema(schema: Schema | None) -> Schema | None:
    """A schema that is checked while a caller waits. Raises: ValueError."""
    for where, node in _schemas(a_schema(schema) or {}, ""):
        for keyword in PATTERNS:
            if keyword in node:
                words = (
                    "is not checked during a call, because a pattern can take for ever; use enum, format or maxLength"
                )
                raise ValueError(f"{keyword} at {where or 'the top'} {words}")
    return schema


def _schemas(node: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every schema in a schema, and where it is; names of properties are no keywords, values are no schemas."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _schemas(item, f"{where}/{index}")
    if not isinstance(node, Mapping):
        return
    yield where, node
    for keyword, value in node.items():
        if keyword in _VALUES:
            continue
        if keyword in _NAMED and isinstance(value, Mapping):
            for name, inner in value.items():
                yield from _schemas(inner, f"{where}/{keyword}/{name}")
        else:
            yield from _schemas(value, f"{where}/{keyword}")
