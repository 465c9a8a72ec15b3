"""Arguments of tool calls: an object, or words for the model."""

from typing import Any

import pytest

from calliope_call_worker.tools.arguments import read_object


def test_good_arguments_are_an_object() -> None:
    assert read_object('{"people": 2}') == {"people": 2}
    assert read_object("") == {}


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
    assert read_object(arguments) == meant


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("{", "not JSON"),
        ('{"people": "' + "2" * 20_000 + '"}', "longer than 16384"),
        ('{"seats": [' + "[]," * 2_000 + "0]}", "more than 2000 values"),
        ("[]", "must be a JSON object"),
        ("7", "must be a JSON object"),
        ('"[1]"', "must be a JSON object"),
        ('"friday"', "not JSON"),
        ('{"people": NaN}', "not JSON"),
    ],
)
def test_bad_arguments_are_refused_in_words(arguments: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_object(arguments)
