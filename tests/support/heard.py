"""What the record says was heard of each reply against what the caller's ear decoded from its audio. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from support.house import Json, facts

CLOCKS_APART_MS: Final = 100.0
"""The caller counts from the answer, the record from the media's start, which is later; replies are farther apart."""
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
    """Every reply that was audible. `said` is the whole text of each kind of turn."""
    turns = [turn for turn in facts(record, "turn_committed") if turn["timings"]["first_audio_sent_ms"] is not None]
    heard: list[list[str]] = [[] for _ in turns]
    for word in call["heard_words"]:
        heard[_owner(turns, word["start_ms"])].append(word["text"])
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


def _owner(turns: Sequence[Json], start_ms: float) -> int:
    """The last turn that had begun by then."""
    begun = [turn["timings"]["first_audio_sent_ms"] - CLOCKS_APART_MS <= start_ms for turn in turns]
    assert any(begun), f"a word at {start_ms} ms belongs to no turn"
    return max(at for at, yes in enumerate(begun) if yes)


def _compared(turn: Json, text: str, heard: Sequence[str]) -> Comparison:
    written = turn["assistant_text"]
    assert text.startswith(written), f"said {text!r}, written {written!r}"
    assert [message["text"] for message in turn["messages"] if message["role"] == "assistant"] == [written] * bool(
        written
    )
    return Comparison(len(written.split()), words_heard(text, heard), turn["interrupted"])
