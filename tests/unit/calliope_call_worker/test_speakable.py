"""What of a model's writing is spoken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calliope_call_worker.pipeline.speakable import Speakable


def _speak(text: str, size: int = 1) -> str:
    filter_ = Speakable()
    return "".join(filter_.feed(text[at : at + size]) for at in range(0, len(text), size)) + filter_.finish()


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("**Bold**, *italic*, __both__, ~~gone~~ and `code`", "Bold, italic, both, gone and code"),
        ("# Title\n\nText", "Title\nText"),
        ("- one\n* two\n+ three\n> quoted", "one\ntwo\nthree\nquoted"),
        ("1. First\n2. Second", "1. First\n2. Second"),
        ("Before\n```python\nprint('x')\n```\nafter", "Before\nafter"),
        ("See [our site](https://example.com/a_(b)) now", "See our site now"),
        ("Look: ![a cat](cat.png)!", "Look: a cat!"),
        ("<think>secret <b>x</b></think>Hello", "Hello"),
        ("<THINK>never closed", ""),
        ("One<br>two <b>three</b>", "One two three"),
        ("Great 😀 news 👨‍👩‍👧 now 👍🏽!", "Great news now!"),
        ("2 * 3 is 6, 5*3 is 15, snake_case, #1, ~5", "2 * 3 is 6, 5*3 is 15, snake_case, #1, ~5"),
        ("a < b, x <3, and a<b c", "a < b, x <3, and a<b c"),
        ("  many \t blanks \n\n and lines  ", "many blanks\nand lines"),
        (r"5 \* 4 and C:\dir", r"5 * 4 and C:\dir"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a b\n1 2"),
        ("above\n---\nbelow -5 and well-known", "above\nbelow -5 and well-known"),
        ("می‌خواهم", "می‌خواهم"),
        ("unfinished **bold", "unfinished bold"),
        ("Really!", "Really!"),
    ],
)
def test_only_what_a_voice_can_say_is_left(written: str, spoken: str) -> None:
    assert _speak(written) == spoken
    assert _speak(written, 1_000) == spoken


def test_text_is_given_out_as_soon_as_it_is_certain() -> None:
    filter_ = Speakable()
    assert filter_.feed("Hello **wor") == "Hello wor"
    assert filter_.feed("ld** and <thi") == "ld and"
    assert filter_.feed("nk>hm</think> bye") == " bye"


def test_a_filter_can_be_used_again_after_the_end() -> None:
    filter_ = Speakable()
    filter_.feed("```never closed")
    assert filter_.finish() == ""
    assert filter_.feed("Hello") == "Hello"


@given(st.text(st.sampled_from("ab *_`#-\n<>/think[]()!\\|~+5😀\u200d."), max_size=120), st.integers(1, 40))
def test_it_does_not_matter_where_the_text_was_cut(text: str, size: int) -> None:
    assert _speak(text, size) == _speak(text, 1)


@given(st.text(st.characters(categories=["Lu", "Ll", "Nd"]), max_size=100))
def test_plain_words_pass_unchanged(text: str) -> None:
    assert _speak(text) == text


@pytest.mark.parametrize(("text", "spoken"), [("if a <b  \r", "if a <b"), ("<b  c < d", "<b c < d")])
def test_white_space_behind_a_tag_that_is_none_is_single_too(text: str, spoken: str) -> None:
    assert _speak(text) == spoken


@given(st.text(max_size=100))
def test_white_space_is_single_and_never_at_the_ends(text: str) -> None:
    spoken = _speak(text)
    assert spoken == spoken.strip()
    assert not any(two in spoken for two in ("  ", "\n\n", " \n", "\n "))
