"""Plain text passes as a whole, with exactly what taking it character by character would give."""

# ruff: noqa: RUF001 - the marks of models are the matter here

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calliope_call_worker.pipeline.plain_text import PlainText, run_without
from calliope_call_worker.pipeline.speakable import _PLAIN_RUN, Speakable

TOOLS = ("book", "end_call", "transfer_to", "größe", "x")
NO_RUN = re.compile(r"(?!)")
PARTS = (
    *(
        "We ",
        "are open. ",
        "to",
        "to ",
        "tomorrow",
        "book",
        "books ",
        "a",
        "b",
        "x",
        "end",
        "end_",
        "the end. ",
        "(",
        ")",
    ),
    *(
        "functions",
        "functions.book",
        "to=functions.",
        "default_api.",
        "multi",
        "mul",
        "d",
        "größ",
        "größer",
        "=",
        "{",
        "}",
    ),
    *(
        " ",
        "  ",
        "\n",
        "\t",
        "\x1f",
        "\x00",
        "\ufeff",
        "\u200c",
        "\u200d",
        "\xa0",
        "\u2028",
        ".",
        ",",
        "!",
        "?",
        ":",
        ";",
    ),
    *("**", "*", "_", "`", "```", "#", "~", "-", "- ", "+ ", "> ", "|", "\\", "<b>", "<", ">", "</", "a<b>c", "<br>"),
    *(
        "[",
        "]",
        "[1]",
        "[1](http://x.y)",
        "![",
        "](",
        "<think>",
        "</think>",
        "<|eot_id|>",
        "<｜end｜>",
        "【3†source】",
        "◁",
    ),
    *(
        "😀",
        "👩‍🦰",
        "❶",
        "☎",
        "²",
        "¹",
        "m²",
        "†",
        "\ue200",
        "\ue201",
        "\uf8ff",
        "🄀",
        "कि",
        "東京",
        "سلام",
        "Größe",
        "3",
        "5.",
    ),
    *(
        '{"name": "book"}',
        "book(day='friday')",
        '"',
        "'",
        "<ref>",
        "<sup>1</sup>",
        "<tool_call>{}</tool_call>",
        "…",
        "—",
    ),
)


def _by_character() -> Speakable:
    speakable = Speakable(TOOLS)
    speakable._plain = PlainText(NO_RUN, ("book",))
    return speakable


def _same(pieces: list[str]) -> None:
    quick, slow = Speakable(TOOLS), _by_character()
    for piece in pieces:
        assert quick.feed(piece) == slow.feed(piece)
        assert quick.call_is_last == slow.call_is_last
    assert quick.finish() == slow.finish()
    assert quick.call_is_last == slow.call_is_last


@given(st.lists(st.lists(st.sampled_from(PARTS), max_size=6).map("".join), max_size=6))
def test_each_piece_gives_what_its_characters_would_give(pieces: list[str]) -> None:
    _same(pieces)


@given(st.lists(st.text(max_size=30), max_size=6))
def test_so_does_any_text(pieces: list[str]) -> None:
    _same(pieces)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4), st.sampled_from(PARTS))
def test_so_does_any_character_before_and_behind_a_part(some: str, part: str) -> None:
    _same([some + part + some, part])


def test_so_does_every_character_there_is() -> None:
    """A character that was forgotten among those that are not plain would take months to be found by chance."""
    slow = _by_character()
    for code in range(0x20, 0x20000):
        if _PLAIN_RUN.fullmatch(chr(code)):
            assert slow.feed(f"{chr(code)}9") == f"{chr(code)}9"


@pytest.mark.parametrize(
    "text", ["We open at nine, and close at six.", "Größe: zwölf Meter (ungefähr)", "私は東京に住んでいます。"]
)
def test_most_of_an_answer_is_plain(text: str) -> None:
    fed: list[str] = []
    speakable = Speakable(("end_call", "transfer_call"))
    feed = speakable._machine.feed
    speakable._machine.feed = lambda char: fed.append(char) or feed(char)  # type: ignore[method-assign, func-returns-value]

    for piece in re.findall(r"\s?\S{1,5}", text):
        speakable.feed(piece)

    assert len(fed) <= len(text) // 8


def test_a_run_holds_single_blanks_only_and_none_at_its_end() -> None:
    plain = PlainText(run_without("!"), ("book",))

    assert plain.find(" one two  three", 0) == " one two"
    assert plain.find("one ", 0) == "one"
    assert plain.find("one! two", 0) == "one"
    assert plain.find("! two", 0) == ""
    assert plain.find("a boo", 0) == "a"
    assert plain.find("a boat, a book", 0) == "a boat, a"
