"""When a turn-taking recogniser says what: words and silence on the audio clock in, Flux's messages out. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from calliope_sandbox.recognition import Emission, Heard

_Json = dict[str, Any]
_MOST_CONFIDENCE: Final = 0.99
"""Never certain: a threshold of 1.0 leaves the end of the turn to its timeout."""


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """What the query asked for, and how this twin paces itself: silence of `sure_ms` is certainty."""

    eot_threshold: float = 0.7
    eager_eot_threshold: float | None = None
    eot_timeout_ms: float = 5_000.0
    update_ms: float = 250.0
    sure_ms: float = 300.0


@dataclass(slots=True)
class TurnRecognition:
    """State of one stream; every method returns the messages that became due, in order."""

    options: TurnOptions
    languages: Mapping[str, Any] = field(default_factory=dict)
    _words: list[Heard] = field(default_factory=list)
    _turn: int = 0
    _open: bool = False
    _eager: bool = False
    _window_ms: float = 0.0
    _position_ms: float = 0.0
    _voiced_ms: float = 0.0
    _told_ms: float = 0.0
    _confidence: float = 0.0

    def hear(self, words: Sequence[Heard], *, partial: str, position_ms: float, silence_ms: float) -> list[Emission]:
        """Take the words completed by the audio up to `position_ms`."""
        self._position_ms = position_ms
        out: list[Emission] = []
        if words or partial:
            self._voiced_ms = position_ms - silence_ms
            if self._eager:
                out.append(self._tell("TurnResumed"))
                self._eager = False
        self._words += words
        self._confidence = 0.0 if partial else min(_MOST_CONFIDENCE, silence_ms / self.options.sure_ms)
        if words and not self._open:
            self._open = True
            out.append(self._tell("StartOfTurn"))
        if self._open and not partial:
            out += self._pause(silence_ms)
        if self._open and not out and position_ms - self._told_ms >= self.options.update_ms:
            out.append(self._tell("Update"))
        return out

    def force_end(self) -> list[Emission]:
        """Answer of ForceEndTurn; outside of a turn there is nothing to end."""
        return [self._end("manual")] if self._open else []

    def close(self) -> list[Emission]:
        """What is known of the turn before the stream ends; its end is not told."""
        return [self._tell("Update")] if self._open else []

    def _pause(self, silence_ms: float) -> list[Emission]:
        options = self.options
        if self._confidence >= options.eot_threshold:
            return [self._end("model")]
        if silence_ms >= options.eot_timeout_ms:
            return [self._end("timeout")]
        eager = options.eager_eot_threshold
        if eager is None or self._eager or self._confidence < eager:
            return []
        self._eager = True
        return [self._tell("EagerEndOfTurn")]

    def _end(self, trigger: str) -> Emission:
        over = self._tell("EndOfTurn", late=True)
        over.message["trigger"] = trigger
        self._words.clear()
        self._open = self._eager = False
        self._window_ms = self._position_ms
        self._turn += 1
        return over

    def _tell(self, event: str, *, late: bool = False) -> Emission:
        self._told_ms = self._position_ms
        message: _Json = {
            "type": "TurnInfo",
            "event": event,
            "turn_index": self._turn,
            "audio_window_start": _s(self._window_ms),
            "audio_window_end": _s(self._position_ms),
            "transcript": " ".join(word.text for word in self._words),
            "words": [
                {"word": word.text, "confidence": 0.99, "start": _s(word.start_ms), "end": _s(word.end_ms)}
                for word in self._words
            ],
            "end_of_turn_confidence": round(self._confidence, 3),
            **self.languages,
        }
        return Emission(message, late=late, voiced_until_ms=self._voiced_ms)


def _s(ms: float) -> float:
    return round(ms / 1_000, 3)
