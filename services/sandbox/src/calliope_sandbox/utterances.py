"""Utterances of people on the telephone, timed word by word, made from a seed. Pure.

People pause inside of what they say: to think, behind a filler, between groups of digits, before an afterthought.
Pauses inside of spontaneous speech are log-normal, short ones around 150 ms and hesitations around 500 ms (Campione and
Veronis, "A large-scale multilingual study of silent pause duration", Speech Prosody 2002); words take 60 to 90 ms a
character at a telephone's pace.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What sort of utterance it is."""

    SHORT = "short"
    PLAIN = "plain"
    HESITATING = "hesitating"
    TRAILING = "trailing"
    DIGITS = "digits"


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word and when it is spoken, in ms since the utterance began."""

    text: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Utterance:
    """One turn of a caller."""

    kind: Kind
    words: tuple[TimedWord, ...]

    @property
    def text(self) -> str:
        """Its words."""
        return " ".join(word.text for word in self.words)

    @property
    def end_ms(self) -> float:
        """When its last word ends."""
        return self.words[-1].end_ms


SHARES: Final = {Kind.SHORT: 0.18, Kind.PLAIN: 0.48, Kind.HESITATING: 0.16, Kind.TRAILING: 0.08, Kind.DIGITS: 0.10}
"""How often each kind occurs."""
_SHORT: Final = ("Yes", "No", "Yes please", "No thank you", "That's right", "Okay great", "Sure", "Hello", "Thank you")
_SUBJECTS: Final = ("I", "We", "My wife and I", "My daughter", "A friend of mine")
_WANTS: Final = ("would like", "want", "need", "was hoping", "have", "am calling", "wanted")
_THINGS: Final = (
    "to book a table for four people",
    "to move my appointment to next week",
    "to know when you open on Sunday",
    "to ask about the bill I got yesterday",
    "to cancel the cleaning on Friday morning",
    "a question about my last order",
    "to speak with somebody about a refund",
    "an appointment with the doctor as soon as possible",
)
_ENDS: Final = ("", "please", "if that is possible", "around seven in the evening", "before the end of the month")
_FILLERS: Final = ("um", "uh", "you know", "well")
_AFTERTHOUGHTS: Final = (
    "and I would prefer the morning",
    "and it should be for two people",
    "but only when it is quiet",
    "so I can plan my day",
    "because I have to work until six",
)
_DIGITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def utterances(seed: int, count: int) -> Iterator[Utterance]:
    """So many utterances, the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - test material
    for _ in range(count):
        yield _utterance(chance, chance.choices(list(SHARES), list(SHARES.values()))[0])


def _utterance(chance: random.Random, kind: Kind) -> Utterance:
    match kind:
        case Kind.SHORT:
            text, pauses = chance.choice(_SHORT), dict[int, float]()
        case Kind.PLAIN:
            text, pauses = _sentence(chance), dict[int, float]()
        case Kind.HESITATING:
            text, pauses = _hesitating(chance)
        case Kind.TRAILING:
            said, more = _sentence(chance), chance.choice(_AFTERTHOUGHTS)
            # the connective is spoken, or comes behind the pause: "… on Friday and … I would prefer"
            at = len(said.split()) + chance.choice((0, 1, 1))
            text, pauses = f"{said} {more}", {at: _pause(chance, 700.0)}
        case Kind.DIGITS:
            text, pauses = _digits(chance)
    return Utterance(kind, _timed(chance, text.split(), pauses))


def _sentence(chance: random.Random) -> str:
    parts = (chance.choice(_SUBJECTS), chance.choice(_WANTS), chance.choice(_THINGS), chance.choice(_ENDS))
    return " ".join(part for part in parts if part)


def _hesitating(chance: random.Random) -> tuple[str, dict[int, float]]:
    words = _sentence(chance).split()
    at = chance.randrange(2, len(words) - 1)
    if chance.random() < 0.5:
        filler = chance.choice(_FILLERS).split()
        words[at:at] = filler
        at += len(filler)
    return " ".join(words), {at: _pause(chance, 500.0)}


def _digits(chance: random.Random) -> tuple[str, dict[int, float]]:
    words, pauses = ["My", "number", "is"], dict[int, float]()
    for size in chance.choice(((3, 3, 4), (3, 4), (2, 2, 2, 2))):
        words += [chance.choice(_DIGITS) for _ in range(size)]
        pauses[len(words)] = _pause(chance, 350.0)
    del pauses[len(words)]
    return " ".join(words), pauses


def _pause(chance: random.Random, median_ms: float) -> float:
    return min(3_000.0, chance.lognormvariate(math.log(median_ms), 0.5))


def _timed(chance: random.Random, words: list[str], pauses: dict[int, float]) -> tuple[TimedWord, ...]:
    """`pauses` are ms before the word of that number; other words follow after an articulatory gap."""
    timed, at_ms = list[TimedWord](), 0.0
    for number, word in enumerate(words):
        at_ms += pauses.get(number, 0.0) or (chance.lognormvariate(math.log(25.0), 0.8) if number else 0.0)
        end_ms = at_ms + max(110.0, len(word) * chance.uniform(60.0, 90.0))
        timed.append(TimedWord(word, at_ms, end_ms))
        at_ms = end_ms
    return tuple(timed)
