"""Reading a model's JSON, and checking it against any schema that somebody may have written."""

import re
from typing import Any

import pytest

from calliope_call_worker.analysis.answers import NotJsonError, inner, read, words
from calliope_call_worker.analysis.schema_check import MAX_PROBLEMS, check
from support.aftermath import SCHEMA


@pytest.mark.parametrize("text", ['{"a": 1}', ' {"a":1}\n', '```json\n{"a": 1}\n```', '```\n{"a": 1}```'])
def test_json_is_read_also_from_a_code_fence(text: str) -> None:
    assert read(text) == {"a": 1}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}<|im_end|>',
        '{"a": 1}</s>',
        '```json\n{"a": 1}\n```<end_of_turn>\n',
        '<|channel|>analysis<|message|>One {"a": 2}?<|end|><|start|>assistant<|channel|>final<|message|>{"a": 1}',
    ],
)
def test_json_is_read_also_between_the_marks_of_a_model(text: str) -> None:
    assert read(text) == {"a": 1}


def test_marks_inside_of_a_value_stay() -> None:
    assert read('{"a": "<|im_end|>"}') == {"a": "<|im_end|>"}


@pytest.mark.parametrize(
    ("value", "found"), [('{"a": 1}', {"a": 1}), ("[1]", [1]), ("1", None), ("Hi", None), (1, None)]
)
def test_an_object_written_as_a_text_is_found(value: Any, found: Any) -> None:
    assert inner(value) == found


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Ada booked.<|im_end|>", "Ada booked."),
        ("Ada [1] booked **a table**【2†source】.", "Ada  booked **a table**."),
        ('<tool_call>{"name": "book", "arguments": {}}</tool_call>', ""),
        ("***", ""),
    ],
)
def test_a_summary_holds_what_is_meant_for_people(text: str, kept: str) -> None:
    assert words(text) == kept


@pytest.mark.parametrize("text", ["", "Sure!", '{"a": NaN}', '{"a": 1} Done.', '{"a": 1', "```"])
def test_what_is_no_json_says_where(text: str) -> None:
    with pytest.raises(NotJsonError, match=re.compile(r"it is not JSON: .*\(line \d+, column \d+\)")):
        read(text)


def test_a_value_that_fits_has_no_problem() -> None:
    assert check(SCHEMA, {"people": 2, "name": "Ada"}) == {"problems": [], "unusable": None}


def test_what_is_wrong_is_said_with_its_place() -> None:
    found = check(SCHEMA, {"people": 0, "more": True})["problems"]
    assert "at people: 0 is less than the minimum of 1" in found
    assert "at the top: 'name' is a required property" in found
    assert any("'more' was unexpected" in problem for problem in found)


def test_a_format_is_checked() -> None:
    assert check({"type": "string", "format": "date"}, "tomorrow")["problems"] == [
        "at the top: 'tomorrow' is not a 'date'"
    ]


def test_the_problems_are_few() -> None:
    schema = {"type": "array", "items": {"type": "string"}}
    assert len(check(schema, list(range(1_000)))["problems"]) == MAX_PROBLEMS


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"$ref": "http://169.254.169.254/latest"}, "refers to 'http://169.254.169.254/latest', which is not in it"),
        ({"$ref": "#/$defs/missing"}, "which is not in it"),
        ({"$ref": "#"}, "refers to itself without end"),
        ({"propertyNames": {"pattern": "\\p{L}"}}, "a pattern of the schema is not understood"),
    ],
)
def test_a_schema_that_cannot_be_used_says_why_and_nothing_is_fetched(schema: dict[str, Any], why: str) -> None:
    assert why in check(schema, {"a": 1})["unusable"]
