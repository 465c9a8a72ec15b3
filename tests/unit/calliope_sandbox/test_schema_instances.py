"""The smallest value that a schema allows."""

from typing import Any

import jsonschema
import pytest

from calliope_sandbox.schema_instances import instance


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"topic": {"type": "string"}, "n": {"type": "integer", "minimum": 3}}},
        {"type": "object", "required": ["a"], "properties": {"a": {"enum": ["x", "y"]}, "b": {"const": 4}}},
        {"type": ["string", "null"], "minLength": 4, "maxLength": 9},
        {"type": "array", "items": {"type": "boolean"}, "minItems": 2},
        {"type": "number", "exclusiveMinimum": 2.5},
        {"type": "integer", "maximum": -4},
        {"anyOf": [{"type": "null"}, {"type": "string", "format": "date"}]},
        {"$defs": {"p": {"type": "object", "properties": {"x": {"type": "number"}}}}, "$ref": "#/$defs/p"},
        {"allOf": [{"properties": {"x": {"type": "string"}}}, {"required": ["x"]}], "type": "object"},
    ],
)
def test_an_instance_validates(schema: dict[str, Any]) -> None:
    jsonschema.validate(instance(schema, free_text="hello"), schema)


def test_free_text_is_what_was_said() -> None:
    assert instance({"properties": {"summary": {"type": "string"}}}, free_text="A table.") == {"summary": "A table."}


def test_a_schema_that_refers_to_itself_ends() -> None:
    node = {"type": "object", "properties": {"child": {"$ref": "#"}}}

    assert "child" in instance(node)
