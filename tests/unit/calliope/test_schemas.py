"""JSON Schemas of developers: what could fetch an address or never end is refused, in words."""

from typing import Any

import pytest

from calliope.contracts.schemas import a_live_schema, a_schema


def test_a_schema_that_refers_to_itself_is_taken() -> None:
    schema: dict[str, Any] = {"$defs": {"name": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/name"}}}

    assert a_live_schema(schema) == schema


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "strang"}, "not a JSON Schema"),
        ({"properties": {"a": {"$ref": "https://example.com/schema"}}}, r"\$ref at /properties/a"),
        ({"anyOf": [{"items": {"$ref": "other.json"}}]}, r"\$ref at /anyOf/0/items"),
    ],
)
def test_what_is_no_schema_or_fetches_an_address_is_refused(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        a_schema(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}},
        {"items": {"patternProperties": {"^a": {"type": "string"}}}},
    ],
)
def test_patterns_are_refused_where_a_caller_waits_and_taken_after_the_call(schema: dict[str, Any]) -> None:
    assert a_schema(schema) == schema
    with pytest.raises(ValueError, match="is not checked during a call"):
        a_live_schema(schema)


def test_a_property_named_pattern_and_a_value_that_looks_like_a_schema_are_no_patterns() -> None:
    schema: dict[str, Any] = {
        "properties": {"pattern": {"type": "string"}, "$ref": {"type": "string", "default": {"pattern": "x"}}}
    }

    assert a_live_schema(schema) == schema
