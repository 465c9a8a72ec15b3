"""Arguments of tool calls: checked, or words for the model."""

from typing import Any

import pytest

from calliope_call_worker.tools.arguments import parse

SCHEMA = {"type": "object", "required": ["people"], "properties": {"people": {"type": "integer"}}}


def test_good_arguments_are_an_object() -> None:
    assert parse('{"people": 2}', SCHEMA) == {"people": 2}
    assert parse("", {"type": "object"}) == {}


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ("null", {}),
        ('""', {}),
        ("  ", {}),
        ('" "', {}),
        ('"null"', {}),
        ('"{\\"people\\": 2}"', {"people": 2}),
        ('{"note": "two\nlines"}', {"note": "two\nlines"}),
        ('{"note": "\\ud83d"}', {"note": "\ufffd"}),
        ('{"note": "\\ud83d\\ude00"}', {"note": "😀"}),
    ],
)
def test_what_can_mean_only_one_object_is_that(arguments: str, meant: dict[str, Any]) -> None:
    assert parse(arguments, {"type": "object"}) == meant


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("{", "not JSON"),
        ('{"people": "' + "2" * 20_000 + '"}', "longer than 16384"),
        ("[]", "must be a JSON object"),
        ("7", "must be a JSON object"),
        ('"[1]"', "must be a JSON object"),
        ('"friday"', "not JSON"),
        ('{"people": NaN}', "not JSON"),
        ("{}", "'people' is a required property"),
        ('{"people": "two"}', "people: 'two' is not of type 'integer'"),
    ],
)
def test_bad_arguments_are_refused_in_words(arguments: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(arguments, SCHEMA)


def test_what_a_schema_refers_to_is_never_fetched() -> None:
    """It was written by a user: the address may be anybody's, also our own."""
    with pytest.raises(ValueError, match="schema is broken"):
        parse("{}", {"$ref": "http://127.0.0.1:1/schema"})


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"$ref": "#/$defs/missing"}])
def test_a_schema_that_leads_nowhere_or_in_circles_is_the_models_problem_not_the_calls(schema: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="schema is broken"):
        parse("{}", schema)
