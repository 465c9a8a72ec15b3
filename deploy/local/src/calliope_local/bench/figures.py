"""What Calliope added to each answer, from what the sandbox saw on its own clock. Pure.

An answer goes: the caller's last voiced frame left the carrier → the recogniser sent its final → the model was asked
and sent its first token → the voice was asked and sent its first byte → the carrier received the first audio. What the
providers took is known to their twins; overlapping waits count once; the rest was added by Calliope. The worker's own
times are not used: a worker that is late would not know it.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered utterance; ms."""

    total_ms: float
    waited_ms: float

    @property
    def added_ms(self) -> float:
        """What was neither the recogniser's, nor the model's, nor the voice's time."""
        return self.total_ms - self.waited_ms


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything measured of one load."""

    calls: int
    answers: tuple[Answer, ...]
    reactions_ms: tuple[float, ...]
    missed: int
    failed: tuple[str, ...]
    gaps_ms: tuple[int, ...]
    ticks_late_ms: Counter[int]
    """How many 20 ms ticks of the callers came so many ms late: the load's own delay."""

    def late_ms(self, share: float) -> float:
        """What so large a share of the ticks does not exceed."""
        return percentile(self.ticks_late_ms.elements(), share)


def figures(calls: Sequence[Json], finals: Sequence[Json], asked: Sequence[Json], spoken: Sequence[Json]) -> Figures:
    """`calls` of the carrier, `finals` of the recogniser, `asked` of the model, `spoken` sockets of the voice."""
    final_of = {final["text"]: final for stream in finals for final in stream["finals"]}
    interims = [interim for stream in finals for interim in stream["interims"]]
    asked_of: dict[str, Json] = {entry["user_text"]: entry for entry in asked}
    voices = [(_words(socket), sorted(socket["texts"], key=lambda text: text["asked_at_s"])) for socket in spoken]
    answers: list[Answer] = []
    reactions: list[float] = []
    missed = 0
    for call in calls:
        tag = _tag(call)
        texts = next((texts for words, texts in voices if tag in words), [])
        for exchange in call["exchanges"]:
            answer = _answer(exchange, final_of.get(exchange["text"]), asked_of.get(exchange["text"]), texts)
            if answer is None:
                missed += 1
            else:
                answers.append(answer)
        mine = [interim for interim in interims if tag in interim["text"].split()]
        reactions += [reaction for clear in call["clears_at_s"] if (reaction := _reaction(clear, mine)) is not None]
    return Figures(
        calls=len(calls),
        answers=tuple(answers),
        reactions_ms=tuple(reactions),
        missed=missed,
        failed=tuple(str(call["failed"]) for call in calls if call["failed"]),
        gaps_ms=tuple(gap for call in calls for gap in call["gaps_ms"]),
        ticks_late_ms=sum((Counter(dict(call["ticks_late_ms"])) for call in calls), Counter[int]()),
    )


def percentile(values: Iterable[float], share: float) -> float:
    """The value that so large a share does not exceed; nearest rank. NaN of nothing."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] if ranked else math.nan


def covered(intervals: Iterable[Interval], begin: float, end: float) -> float:
    """How much of [begin, end] lies in at least one interval."""
    total, at = 0.0, begin
    for first, last in sorted(intervals):
        first, last = max(first, at), min(last, end)
        if last > first:
            total += last - first
            at = last
    return total


def _answer(exchange: Json, final: Json | None, asked: Json | None, texts: Sequence[Json]) -> Answer | None:
    begin, end = exchange["last_voice_at_s"], exchange["first_audio_at_s"]
    if end is None or final is None or asked is None or "first_token_at_s" not in asked:
        return None
    voice = next((text for text in texts if text["asked_at_s"] >= asked["first_token_at_s"]), None)
    if voice is None or voice["first_byte_at_s"] is None:
        return None
    waits = [
        (begin, final["sent_at_s"]),
        (asked["received_at_s"], asked["first_token_at_s"]),
        (voice["asked_at_s"], voice["first_byte_at_s"]),
    ]
    return Answer((end - begin) * 1_000, covered(waits, begin, end) * 1_000)


def _reaction(clear_at_s: float, interims: Sequence[Json]) -> float | None:
    """From the last interim before the clear, which is the one that decided."""
    before = [interim["sent_at_s"] for interim in interims if interim["sent_at_s"] <= clear_at_s]
    return (clear_at_s - max(before)) * 1_000 if before else None


def _tag(call: Json) -> str:
    """The word that only this call's caller says."""
    said = call["exchanges"][0]["text"].split() if call["exchanges"] else []
    return said[1] if len(said) > 1 else "(nothing was said)"


def _words(socket: Json) -> set[str]:
    return {word.strip(".,!?") for text in socket["texts"] for word in text["text"].split()}
