"""Cutting a reply into pieces to speak."""

# ruff: noqa: RUF001 - the punctuation of many scripts is the matter here

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calliope_call_worker.pipeline.sentences import MAX_CHARS, Splitter


def _split(text: str, size: int = 1) -> list[str]:
    splitter = Splitter()
    pieces = [piece for at in range(0, len(text), size) for piece in splitter.feed(text[at : at + size])]
    return pieces + splitter.finish()


def test_the_first_clause_goes_out_early_and_then_whole_sentences() -> None:
    text = "Let me look that up for you, one moment please. It may take a while, but not long. Done."
    assert _split(text) == [
        "Let me look that up for you, ",
        "one moment please. It may take a while, but not long. ",
        "Done.",
    ]


def test_the_first_word_goes_out_alone_and_what_follows_it_soon() -> None:
    assert _split("Sure, let me see. You said five, and I noted it. Anything else?") == [
        "Sure, ",
        "let me see. ",
        "You said five, and I noted it. ",
        "Anything else?",
    ]


def test_a_number_alone_is_no_opening() -> None:
    assert _split("10, maybe 11, I think it was. Or not.")[0] == "10, maybe 11, "


def test_words_between_commas_are_not_spoken_one_by_one() -> None:
    assert _split("Well, yes, no, I can do that. ") == ["Well, ", "yes, no, I can do that. "]


def test_the_clause_after_a_short_opening_is_not_awaited_to_the_end_of_its_sentence() -> None:
    text = "Yes, we have a table by the window for you, and it is free from eight o'clock on. See you, then, at eight. "
    assert _split(text) == [
        "Yes, ",
        "we have a table by the window for you, ",
        "and it is free from eight o'clock on. ",
        "See you, then, at eight. ",
    ]


def test_a_first_sentence_goes_out_even_when_short() -> None:
    assert _split("Sure! I can help with that.") == ["Sure! ", "I can help with that."]


def test_short_sentences_later_are_spoken_together() -> None:
    text = "Of course I can do that. One. Two. Three. Four is next. And then a longer one."
    assert _split(text) == ["Of course I can do that. ", "One. Two. Three. Four is next. ", "And then a longer one."]


@pytest.mark.parametrize(
    "whole",
    [
        "Please ask for Dr. Smith at the desk",
        "We have drinks, e.g. tea and coffee, i.e. hot ones",
        "That is 3.14 or $3.50 and 1,000.25 in all",
        "Come at 10:30 a.m. or at 5 p.m. on weekdays",
        "Look at https://example.com/a.b?q=1!x and www.example.org today",
        "Write to first.last@example.com about it",
        "Well... maybe we could try something else",
        "It is No. 5 on the list of J. Smith et al",
        "Our firm, Miller Inc. in Ohio, is open",
    ],
)
def test_nothing_is_cut_inside_abbreviations_numbers_or_addresses(whole: str) -> None:
    assert _split(f"Hello and good morning. {whole}. Next sentence follows here.")[1] == f"{whole}. "


@pytest.mark.parametrize("whole", ["Dr. Smith is here", "e.g. at 5 p.m. we open", "1,000.25 is the sum", "No. 5 it is"])
def test_nothing_is_cut_there_in_the_first_piece_either(whole: str) -> None:
    assert _split(f"{whole}. Next sentence follows here.")[0] == f"{whole}. "


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("你好！今天天气很好，我们可以出去走走。你觉得这样安排怎么样呢？", 2),
        ("नमस्ते जी। मैं आपकी मदद करूँगी। धन्यवाद।", 3),
        ("مرحبا بك؟ كيف يمكنني مساعدتك اليوم؟ شكرا.", 3),
        ("Did he say “no?” I think that he really did. Yes.", 3),
    ],
)
def test_sentences_end_in_many_scripts(text: str, pieces: int) -> None:
    assert len(_split(text)) == pieces


def test_a_line_break_ends_a_piece() -> None:
    assert _split("These are our opening hours\nMonday to Friday from nine\n") == [
        "These are our opening hours\n",
        "Monday to Friday from nine\n",
    ]


def test_text_without_any_end_is_cut_at_a_blank() -> None:
    pieces = _split("word " * 200)
    assert all(len(piece) <= MAX_CHARS and piece.endswith(" ") for piece in pieces)


@given(st.text(st.sampled_from("ab.A 1,!?\n…。、\"')e.g"), max_size=200), st.integers(1, 50))
def test_the_pieces_joined_are_the_text_and_do_not_depend_on_how_it_came(text: str, size: int) -> None:
    assert "".join(_split(text, size)) == text
    assert _split(text, size)[:-1] == _split(text, 1)[: len(_split(text, size)) - 1]


@given(st.text(max_size=900))
def test_no_text_is_left_behind(text: str) -> None:
    assert "".join(_split(text, 7)) == text
