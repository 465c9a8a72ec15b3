"""What the record says was heard of each reply against what the caller's ear decoded from its audio. Pure."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from support.house import Json, facts

DAMAGED_END: Final = 1
"""Characters at the end of what was cut that the ear may get wrong: half a tone is no tone."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One reply: words that the record has, words that the ear had, and whether the caller cut it short."""

    written: int
    heard: int
    cut: bool

    @property
    def off(self) -> int:
        """Words too many in the record, or too few below zero."""
        return self.written - self.heard


def compare(call: Json, record: Json, said: Mapping[str, str]) -> list[Comparison]:
    """Every reply that was audible, a welcome first. `said` is the whole text of each kind of turn."""
    turns = [turn for turn in facts(record, "turn_committed") if turn["timings"]["first_audio_sent_ms"] is not None]
    heard: list[list[str]] = [[] for _ in turns]
    begins = _begins(turns, call["heard_words"][0]["start_ms"])
    for word in call["heard_words"]:
        heard[bisect_right(begins, word["start_ms"]) - 1].append(word["text"])
    return [_compared(turn, said[turn["kind"]], words) for turn, words in zip(turns, heard, strict=True)]


def words_heard(text: str, heard: Sequence[str]) -> int:
    """Words of `text` that an ear heard which decoded these; the last one counts when half of it was heard.

    The ear may hear one word as two where the line stuttered, so characters are compared.
    """
    ear, wanted = "".join(heard), "".join(text.split())
    right = next((at for at, (one, other) in enumerate(zip(ear, wanted, strict=False)) if one != other), None)
    assert right is None or right >= len(ear) - DAMAGED_END, f"said {wanted!r}, heard {ear!r}"
    assert len(ear) <= len(wanted), f"said {wanted!r}, heard {ear!r}"
    count, at = 0, 0
    for word in text.split():
        count += len(ear) >= at + len(word) / 2
        at += len(word)
    return count


def _begins(turns: Sequence[Json], first_word_ms: float) -> list[float]:
    """From when on, by the caller's clock, a word belongs to each turn: half way between two turns.

    The caller counts from the answer, the record from the media's start: the first word of all shows the difference.
    """
    moments = [turn["timings"] for turn in turns]
    apart_ms = first_word_ms - moments[0]["first_audio_sent_ms"]
    between = [(one["done_ms"] + other["first_audio_sent_ms"]) / 2 for one, other in pairwise(moments)]
    return [float("-inf"), *(at + apart_ms for at in between)]


def _compared(turn: Json, text: str, heard: Sequence[str]) -> Comparison:
    written = turn["assistant_text"]
    assert text.startswith(written), f"said {text!r}, written {written!r}"
    assert [message["text"] for message in turn["messages"] if message["role"] == "assistant"] == [written] * bool(
        written
    )
    return Comparison(len(written.split()), words_heard(text, heard), turn["interrupted"])
