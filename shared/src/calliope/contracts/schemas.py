"""JSON Schemas that developers write: refused when they are none, or when checking with them could do harm.

Checks run on values that a language model made. A `$ref` to an address would be fetched. A `pattern` can take for ever
on a value made for it (CWE-1333), and so can references: thirty definitions that each name the next one twice are a
thousand million checks. Where that would stop live calls, both are refused.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import validator_for
from pydantic import JsonValue

Schema = dict[str, JsonValue]

PATTERNS: Final = ("pattern", "patternProperties")
MAX_LIVE_SCHEMAS: Final = 500
MAX_VALUES: Final = 5_000
"""In one schema, the names of its keywords apart; to judge them takes most of a second."""
MAX_DEPTH: Final = 40
_MAX_NESTING: Final = 60
_EXAMPLE: Final = '{"type": "object", "properties": {"reason": {"type": "string"}}}'
_MOVING: Final = ("$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor", "$id", "id")
"""Keywords that decide where references lead."""
_NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_DEFINITIONS: Final = frozenset({"$defs", "definitions"})
_VALUES: Final = frozenset({"enum", "const", "default", "examples"})


def a_schema(schema: Schema | None) -> Schema | None:
    """Any JSON Schema that refers only to itself. Raises: ValueError."""
    if schema is None:
        return None
    if not isinstance(schema.get("$schema", ""), str):
        raise ValueError("not a JSON Schema: $schema must be the address of a dialect")  # noqa: TRY004 - for pydantic
    _check_size(schema)
    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as exc:
        where = "/".join(map(str, exc.absolute_path)) or "the top"
        raise ValueError(f"not a JSON Schema: what stands at {where} {_allowed(exc)}; for example {_EXAMPLE}") from exc
    for where, node in _schemas(schema, ""):
        reference = node.get("$ref") or node.get("$dynamicRef") or "#"
        if not str(reference).startswith("#"):
            raise ValueError(f"$ref at {where or 'the top'}: only references into the same schema (`#/…`) are followed")
    return schema


def a_live_schema(schema: Schema | None) -> Schema | None:
    """A schema that is checked while a caller waits. Raises: ValueError."""
    if schema is None:
        return None
    a_schema(schema)
    for where, node in _schemas(schema, ""):
        if moving := [name for name in _MOVING if where and isinstance(node.get(name), str)]:
            raise ValueError(f"{moving[0]} at {where}: a schema that is checked during a call refers by `#/…` only")
        for keyword in PATTERNS:
            if keyword in node:
                words = (
                    "is not checked during a call, because a pattern can take for ever; use enum, format or maxLength"
                )
                raise ValueError(f"{keyword} at {where or 'the top'} {words}")
    if _Expansion(schema).size(schema) > MAX_LIVE_SCHEMAS:
        raise ValueError(f"with its references followed it holds more than {MAX_LIVE_SCHEMAS} schemas; make it simpler")
    return schema


def a_tool_schema(schema: Schema) -> Schema:
    """A live schema of arguments, which every vendor wants to be an object. Raises: ValueError."""
    a_live_schema(schema)
    kinds = schema.get("type", "object")
    if kinds != "object" and kinds != ["object"]:
        raise ValueError(
            f"type at the top must be object, as the arguments of a tool have names; for example {_EXAMPLE}"
        )
    for keyword, values in (("enum", schema.get("enum")), ("const", [schema.get("const", {})])):
        if isinstance(values, list) and not any(isinstance(value, dict) for value in values):
            raise ValueError(f"{keyword} at the top allows no object; the arguments of a tool are one")
    for where, node in _schemas(schema, ""):
        if node.get("enum") == []:
            raise ValueError(f"enum at {where or 'the top'} lists nothing, so nothing would be taken; name its values")
    return schema


def _check_size(schema: Schema) -> None:
    """Raises: ValueError, for what would take long to judge, or could not be judged to its depth."""
    count, waiting = 0, list[tuple[Any, int]]([(schema, 0)])
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if count > MAX_VALUES:
            raise ValueError(f"it holds more than {MAX_VALUES} values; make it simpler")
        if depth > 2 * MAX_DEPTH + 1:
            raise ValueError(f"it is nested more than {MAX_DEPTH} schemas deep; make it simpler")
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting.extend((one, depth + 1) for one in inner)


def _allowed(error: SchemaError | ValidationError) -> str:
    """What JSON Schema allows at a place, as far as it can be told in a few words; never shows the value."""
    taken: Any = error.validator_value
    if error.validator == "enum":
        return f"must be one of {', '.join(map(str, taken))}"
    if error.validator == "type":
        return f"must be of type {taken if isinstance(taken, str) else ' or '.join(taken)}"
    alternatives = [inner for inner in error.context or () if inner.validator == "enum"]
    return _allowed(alternatives[0]) if alternatives else "is not allowed there"


class _Expansion:
    """How many schemas one check may have to look at, references followed."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._sizes: dict[int, int] = {}
        self._open: list[int] = []

    def size(self, node: Any) -> int:
        """Counted once per place that refers to it. Raises: ValueError, for circles and references to nowhere."""
        if isinstance(node, list):
            return sum(map(self.size, node))
        if not isinstance(node, Mapping):
            return 0
        if (known := self._sizes.get(id(node))) is not None:
            return known
        if id(node) in self._open or len(self._open) >= _MAX_NESTING:
            raise ValueError("a schema that is checked during a call cannot refer back to itself, or be nested so deep")
        self._open.append(id(node))
        inner = (value for keyword, value in node.items() if keyword not in _VALUES | _DEFINITIONS)
        found = 1 + sum(map(self.size, inner))
        if isinstance(reference := node.get("$ref"), str):
            found += self.size(self._at(reference))
        self._open.pop()
        self._sizes[id(node)] = found
        return found

    def _at(self, reference: str) -> Any:
        node: Any = self._root
        for step in unquote(reference).split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            try:
                node = node[int(name)] if isinstance(node, list) else node[name]
            except (KeyError, IndexError, ValueError, TypeError):
                raise ValueError(f"$ref {reference!r} leads nowhere in this schema") from None
        return node


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
