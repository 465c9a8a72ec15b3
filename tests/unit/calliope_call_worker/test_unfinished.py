"""Whether words look as if more of them follow."""

import pytest

from calliope_call_worker.pipeline.unfinished import is_dictating, is_unfinished, language_of


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "I would like to book a"),
        ("en", "On Friday and"),
        ("en", "It is, um"),
        ("", "Well, my name is Anna,"),
        ("es", "Quiero una mesa para"),
        ("fr", "Je voudrais réserver pour"),
        ("de", "Ich möchte am Freitag und"),
        ("pt", "Quero marcar para"),
        ("it", "Vorrei prenotare per"),
        ("nl", "Ik wil graag met"),
        ("hi", "मुझे कल और"),
        ("ja", "予約したいんですけど"),
        ("ja", "えーと"),
    ],
)
def test_a_connective_an_article_a_filler_or_a_comma_leads_on(language: str, text: str) -> None:
    assert is_unfinished(text, language)


@pytest.mark.parametrize(
    "text", ["", "Thank you", "Yes I am", "I said that", "Where is it", "I come from Rome.", "Who is this?", "a b and."]
)
def test_what_people_end_with_does_not(text: str) -> None:
    assert not is_unfinished(text, "en")


def test_words_of_an_unknown_language_lead_on_only_by_their_punctuation() -> None:
    assert not is_unfinished("I would like to", language_of("fi"))
    assert is_unfinished("Haluaisin,", language_of("fi"))


@pytest.mark.parametrize(
    ("tag", "language"), [("en-US", "en"), ("EN", "en"), ("multi", ""), ("fi", ""), ("pt-BR", "pt")]
)
def test_a_language_tag_is_read_by_its_first_part(tag: str, language: str) -> None:
    assert language_of(tag) == language


@pytest.mark.parametrize("text", ["My number is five five", "5 5 5", "null acht eins", "555 01"])
def test_digits_in_a_row_are_a_number_that_is_read_out(text: str) -> None:
    assert is_dictating(text)


@pytest.mark.parametrize("text", ["", "for two", "at 7", "five people", "two of us"])
def test_a_number_within_words_is_not(text: str) -> None:
    assert not is_dictating(text)
