"""JSON Schemas of developers: what could fetch an address or never end is refused, in words."""

from typing import Any

import pytest

from calliope.contracts.schemas import MAX_DEPTH, MAX_VALUES, a_live_schema, a_schema


def test_a_schema_that_refers_to_itself_is_taken() -> None:
    schema: dict[str, Any] = {"$defs": {"name": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/name"}}}

    assert a_live_schema(schema) == schema


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "strang"}, "not a JSON Schema"),
        ({"properties": {"a": {"$ref": "https://example.com/schema"}}}, r"\$ref at /properties/a"),
        ({"$schema": ["https://json-schema.org/draft/2020-12/schema"]}, r"\$schema must be"),
        ({"anyOf": [{"items": {"$ref": "other.json"}}]}, r"\$ref at /anyOf/0/items"),
    ],
)
def test_what_is_no_schema_or_fetches_an_address_is_refused(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        a_schema(schema)


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"properties": {f"p{n}": {"type": "string"} for n in range(MAX_VALUES)}}, "more than 5000 values"),
        ({"required": [f"p{n}" for n in range(MAX_VALUES)]}, "more than 5000 values"),
        (nested(MAX_DEPTH + 1), "nested more than 40 schemas deep"),
        (nested(900), "nested more than 40 schemas deep"),
    ],
    ids=["many", "names", "deep", "very deep"],
)
def test_a_schema_that_takes_long_to_judge_is_refused_before_it_is(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        a_schema(schema)


def test_a_schema_of_many_fields_and_some_depth_is_taken() -> None:
    schema: dict[str, Any] = {"properties": {f"p{n}": {"type": "string"} for n in range(300)} | {"deep": nested(30)}}
    assert a_schema(schema) == schema


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


def doubling(levels: int) -> dict[str, Any]:
    """Definitions that each name the next one twice."""
    both = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$defs": both | {f"d{levels}": {"type": "object"}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#"}, "refer back to itself"),
        ({"$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}, "properties": {"a": {"$ref": "#/$defs/a"}}}, "refer back"),
        (doubling(12), "more than 500 schemas"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "leads nowhere"),
        ({"properties": {"a": {"$anchor": "a", "$ref": "#a"}}}, r"\$anchor at /properties/a"),
        ({"allOf": [{"$id": "urn:a", "$ref": "#"}]}, r"\$id at /allOf/0"),
    ],
)
def test_references_that_may_never_end_are_refused_where_a_caller_waits_and_taken_after_the_call(
    schema: dict[str, Any], words: str
) -> None:
    assert a_schema(schema) == schema
    with pytest.raises(ValueError, match=words):
        a_live_schema(schema)


def test_definitions_that_are_used_often_are_taken() -> None:
    schema = doubling(6) | {"$id": "https://example.com/tool", "properties": {"~a/b": {"$ref": "#/$defs/d6"}}}
    schema["properties"]["c"] = {"$ref": "#/properties/~0a~1b"}

    assert a_live_schema(schema) == schema
