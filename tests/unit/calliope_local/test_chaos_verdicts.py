"""Which silences of a run that kills workers count: those in which the assistant owed speech."""

import pytest

from support.chaos_verdicts import silence_ms
from support.house import Json


def a_call(*said: tuple[str, str, float]) -> Json:
    """Who said what, from when on, a word each 400 ms."""
    lines, heard = [], []
    for side, text, start_ms in said:
        words = text.split()
        lines.append({"side": side, "text": text, "start_ms": start_ms, "end_ms": start_ms + 400 * len(words)})
        if side == "assistant":
            heard += [
                {"text": word, "start_ms": start_ms + 400 * number, "end_ms": start_ms + 400 * (number + 1)}
                for number, word in enumerate(words)
            ]
    return {"lines": lines, "heard_words": heard}


@pytest.mark.parametrize(
    ("said", "silence"),
    [
        ([("assistant", "The list is", 800), ("assistant", "alpha.", 3_000)], 1_000),
        ([("assistant", "hotel india juliet lima.", 400), ("assistant", "Sorry,", 5_000)], None),
        ([("assistant", "How may I help you today?", 0), ("caller", "a question", 2_200), ("assistant", "You", 3_500)],
         None),
        ([("caller", "a question", 500), ("assistant", "You", 3_200)], 1_200),
        ([("caller", "a long question of k1", 1_200), ("assistant", "Sorry,", 5_000)], 1_800),
        ([("assistant", "The list is", 0), ("caller", "no wait", 1_800), ("assistant", "You", 4_000)], 1_400),
        ([("assistant", "The list is", 0), ("caller", "no wait", 2_100), ("assistant", "You", 4_000)], None),
        ([("assistant", "Hello,", 3_000)], 1_000),
        ([("assistant", "The list is", 0)], None),
    ],
    ids=["in mid-answer", "all was said", "the caller went on", "thinking", "the caller was speaking",
         "the caller had interrupted", "the caller spoke into the gap", "welcome", "nothing more was heard"],
)  # fmt: skip
def test_the_silence_at_a_takeover_counts_from_the_last_word_of_whoever_waits(
    said: list[tuple[str, str, float]], silence: float | None
) -> None:
    assert silence_ms(a_call(*said), ended=2_000, began=2_500) == silence
