"""What the record says was heard of each reply against what the caller's ear decoded from its audio. Pure."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

from support.house import Json, facts

DAMAGED_END: Final = 1
"""Characters at the end of what was cut that the ear may get wrong: half a tone is no tone."""


CLEARED_MS: Final = 100
"""A new reply is never heard so soon after the carrier was told to drop the last one."""
COLUMNS: Final = (
    "| what happened | carrier | N | same words | within one word | words twice | words missing | left out "
    "| words too many: answers |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One reply: words that the record has, words that the ear had, and whether the caller cut it short.

    `twice` and `missing`: words at the seams of a reply that was said over several media streams.
    """

    written: int
    heard: int
    cut: bool
    twice: int = 0
    missing: int = 0
    told: str = ""
    """The ends of what was heard and written, for whoever has to find out why they differ."""

    @property
    def off(self) -> int:
        """Words too many in the record, or too few below zero."""
        return self.written - self.heard

    @property
    def wrong(self) -> int:
        """Words in which the record differs from what was heard."""
        return abs(self.off) + self.missing


def row(what: str, carrier: str, replies: Sequence[Comparison], left_out: int = 0) -> str:
    """A line of the table in docs/resilience.md. `left_out`: calls whose emulated carrier did not keep time."""
    count = len(replies)
    shares = [sum(reply.wrong <= words for reply in replies) / count if count else float("nan") for words in (0, 1)]
    cells = [
        what,
        carrier,
        str(count),
        *(f"{share:.1%}" for share in shares),
        str(sum(reply.twice for reply in replies)),
        str(sum(reply.missing for reply in replies)),
        str(left_out),
        ", ".join(f"{off:+d}: {times}" for off, times in sorted(Counter(reply.off for reply in replies).items())),
    ]
    return "| " + " | ".join(cells) + " |"


def compare(call: Json, record: Json, said: Mapping[str, str]) -> list[Comparison]:
    """Every reply that was audible, a welcome first. `said` is the whole text of each kind of turn."""
    turns = [turn for turn in facts(record, "turn_committed") if turn["timings"]["first_audio_sent_ms"] is not None]
    heard: list[list[str]] = [[] for _ in turns]
    begins = _begins(turns, call["heard_words"][0]["start_ms"])
    for word in call["heard_words"]:
        heard[bisect_right(begins, word["start_ms"]) - 1].append(word["text"])
    return [_compared(turn, said[turn["kind"]], words) for turn, words in zip(turns, heard, strict=True)]


def compare_over_streams(call: Json, record: Json, text: str, *, asked: str) -> Comparison:
    """The answer `text` to the caller's line `asked`, however many media streams it was said over."""
    parts, cut = _parts(call, asked)
    turns = [turn for turn in facts(record, "turn_committed") if turn["user_text"].strip() == asked]
    assert len(turns) == 1, f"{len(turns)} turns answer {asked!r}"
    written = turns[0]["assistant_text"]
    assert text.startswith(written), f"said {text!r}, written {written!r}"
    return _over_parts(text, parts, len(written.split()), cut=cut)


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


def _parts(call: Json, asked: str) -> tuple[list[list[str]], bool]:
    """Words that followed the caller's line, by media stream; and whether the caller cut them short."""
    own = [line for line in call["lines"] if line["side"] == "caller"]
    at = next(number for number, line in enumerate(own) if line["text"] == asked)
    cut_in = own[at + 1]["start_ms"] if at + 1 < len(own) else float("inf")
    until = next((clear + CLEARED_MS for clear in call["clears_ms"] if clear >= cut_in), float("inf"))
    seams = [(ended + began) / 2 for (_, ended), (began, _) in pairwise(call["stream_times_ms"])]
    parts: list[list[str]] = [[] for _ in range(len(seams) + 1)]
    for word in call["heard_words"]:
        if own[at]["end_ms"] <= word["start_ms"] < until:
            parts[bisect_right(seams, word["start_ms"])].append(word["text"])
    return parts, until < float("inf")


def _over_parts(text: str, parts: Sequence[Sequence[str]], written: int, *, cut: bool) -> Comparison:
    """Each part goes on at the beginning of a word; a word counts in a part that has half of it."""
    words, wanted = text.split(), "".join(text.split())
    begins = [0, *accumulate(map(len, words))][:-1]
    half, whole = Counter[int](), Counter[int]()
    reached = 0
    for ear in filter(None, map("".join, parts)):
        at = _goes_on_at(ear, wanted, begins, reached)
        reached = at + len(ear)
        for number, (begin, word) in enumerate(zip(begins, words, strict=True)):
            heard = min(reached, begin + len(word)) - max(at, begin)
            half[number] += heard >= len(word) / 2
            whole[number] += heard == len(word)
    last = max((number for number, count in half.items() if count), default=-1)
    ears = " | ".join(" ".join(part) for part in parts)
    return Comparison(
        written,
        last + 1,
        cut,
        twice=sum(count - 1 for count in whole.values() if count > 1),
        missing=sum(not half[number] for number in range(last + 1)),
        told=f"heard {ears!r}, written up to {' '.join(words[:written])[-30:]!r}",
    )


def _goes_on_at(ear: str, wanted: str, begins: Sequence[int], reached: int) -> int:
    """Where in the text what was heard begins, as near as possible to the end of what was heard before."""
    sure = ear[: len(ear) - DAMAGED_END]
    found = [at for at in begins if wanted.startswith(sure, at) and at + len(ear) <= len(wanted)]
    assert found, f"said {wanted!r}, heard {ear!r}"
    return min(found, key=lambda at: abs(at - reached))
