"""The judge of what was heard: a word that is heard twice, left out or written too many is counted as such."""

from typing import Any

import pytest

from support.heard import Comparison, compare_over_streams

TEXT = "Okay, the harbour is a wide one."
ASKED = "begin"


def heard(*parts: str, cut_at_ms: float | None = None) -> dict[str, Any]:
    """A call in which each part was heard on a stream of its own; every word takes 100 ms, and a stream 2 s."""
    words = [
        {"text": word, "start_ms": 2_000 * stream + 300 + 100 * at}
        for stream, part in enumerate(parts)
        for at, word in enumerate(part.split())
    ]
    cuts = [] if cut_at_ms is None else [cut_at_ms]
    return {
        "lines": [
            {"side": "caller", "text": ASKED, "start_ms": 0, "end_ms": 200},
            *({"side": "caller", "text": "stop", "start_ms": cut - 50, "end_ms": cut + 50} for cut in cuts),
        ],
        "clears_ms": cuts,
        "heard_words": words,
        "stream_times_ms": [(2_000 * stream, 2_000 * stream + 1_800) for stream in range(len(parts))],
    }


def recorded(text: str) -> dict[str, Any]:
    turn = {"turn": 1, "user_text": ASKED, "assistant_text": text}
    return {"events": [{"type": "calliope.call.turn_committed.v1", "data": turn}]}


def compared(call: dict[str, Any], written: str) -> tuple[int, int, int]:
    found: Comparison = compare_over_streams(call, recorded(written), TEXT, asked=ASKED)
    return found.off, found.twice, found.missing


@pytest.mark.parametrize(
    ("parts", "written", "expected"),
    [
        (["Okay, the harbour", "is a wide one."], TEXT, (0, 0, 0)),
        (["", "Okay, the harbour"], "Okay, the harbour", (0, 0, 0)),
        (["Okay, the harbour", ""], "Okay, the harbour", (0, 0, 0)),
        (["Okay, the harb", "harbour is"], "Okay, the harbour is", (0, 0, 0)),
        (["Okay, the ha", "harbour is"], "Okay, the harbour is", (0, 0, 0)),
        (["Okay, the harbour", "harbour is"], "Okay, the harbour is", (0, 1, 0)),
        (["Okay, the harbour", "a wide"], "Okay, the harbour is a wide", (0, 0, 1)),
        (["Okay, the ha", "is a wide"], "Okay, the harbour is a wide", (0, 0, 1)),
        (["Okay,", "the", "harbour is"], "Okay, the harbour is", (0, 0, 0)),
        (["Okay, the harbour", "is a"], "Okay, the harbour is", (-1, 0, 0)),
        (["Okay, the harbour", "is a"], "Okay, the harbour is a wide", (1, 0, 0)),
        (["Okay, the harboux"], "Okay, the harbour", (0, 0, 0)),
    ],
)
def test_words_are_counted_where_they_belong(parts: list[str], written: str, expected: tuple[int, int, int]) -> None:
    assert compared(heard(*parts), written) == expected


def test_what_is_heard_after_the_caller_cut_in_is_another_reply() -> None:
    call = heard("Okay, the Okay,", cut_at_ms=380)

    assert compared(call, "Okay, the") == (0, 0, 0)


@pytest.mark.parametrize("ear", ["Okay, a harbour", "Okay, the harbour is a wide one. Okay,"])
def test_words_that_are_not_of_the_answer_are_no_small_difference(ear: str) -> None:
    with pytest.raises(AssertionError, match="heard"):
        compared(heard(ear), "Okay, the")
