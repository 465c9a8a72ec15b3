"""When a streaming recogniser says what: words and silence on the audio clock in, Deepgram's messages out. Pure."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

_Json = dict[str, Any]


class Heard(Protocol):
    """A recognised word; ms on the audio clock of the stream."""

    @property
    def text(self) -> str: ...
    @property
    def start_ms(self) -> float: ...
    @property
    def end_ms(self) -> float: ...


@dataclass(frozen=True, slots=True)
class RecognitionOptions:
    """What the query asked for, and how this twin paces itself."""

    interim_results: bool = False
    endpointing_ms: float | None = 10
    utterance_end_ms: float | None = None
    vad_events: bool = False
    formatted: bool = True
    interim_ms: float = 0.0
    final_every_ms: float = 4_000.0
    silence_result_ms: float = 5_000.0
    finalize_answers: str = "text"


@dataclass(frozen=True, slots=True)
class Emission:
    """One message to the client. `late`: it belongs to the end of an utterance, where recognisers take their time."""

    message: _Json
    late: bool = False
    voiced_until_ms: float | None = None


@dataclass(slots=True)
class Recognition:
    """State of one stream; every method returns the messages that became due, in order."""

    options: RecognitionOptions
    metadata: _Json = field(default_factory=dict)
    _words: list[Heard] = field(default_factory=list)
    _window_ms: float = 0.0
    _position_ms: float = 0.0
    _voiced_ms: float = 0.0
    _speaking: bool = False
    _interim_at_ms: float = float("-inf")
    _interim_due: bool = False
    _last_word_ms: float | None = None

    def hear(self, words: Sequence[Heard], *, partial: str, position_ms: float, silence_ms: float) -> list[Emission]:
        """Take the words completed by the audio up to `position_ms`."""
        out: list[Emission] = []
        self._position_ms = position_ms
        if words or partial:
            self._voiced_ms = position_ms - silence_ms
            if not self._speaking:
                self._speaking = True
                if self.options.vad_events:
                    started = words[0].start_ms if words else max(position_ms - silence_ms, self._window_ms)
                    out.append(Emission({"type": "SpeechStarted", "channel": [0, 1], "timestamp": _s(started)}))
        for word in words:
            self._words.append(word)
            self._last_word_ms, self._interim_due = word.end_ms, True
            if word.end_ms - self._words[0].start_ms >= self.options.final_every_ms:
                out.append(self._final(until_ms=word.end_ms, speech_final=False))
        endpointing = self.options.endpointing_ms
        if self._speaking and not partial and endpointing is not None and silence_ms >= endpointing:
            self._speaking = False
            out.append(self._final(until_ms=position_ms, speech_final=True))
        out += self._interim() + self._utterance_end() + self._silence()
        return out

    def finalize(self) -> list[Emission]:
        """Answer of Finalize: what is pending, in one final."""
        if self.options.finalize_answers == "nothing":
            return []
        before: list[Emission] = []
        if self.options.finalize_answers == "empty" and self._words:
            before = [self._final(until_ms=self._position_ms, speech_final=False)]
        out = self._final(until_ms=self._position_ms, speech_final=False)
        out.message["from_finalize"] = True
        return [*before, out]

    def close(self) -> list[Emission]:
        """The last final before the stream ends, if words are pending."""
        return [self._final(until_ms=self._position_ms, speech_final=False)] if self._words else []

    def _interim(self) -> list[Emission]:
        """At the pace of `interim_ms`, changed or not; without a pace for every new word."""
        pace_ms = self.options.interim_ms
        due = self._interim_due or (pace_ms > 0 and self._speaking)
        ready = self._position_ms - self._interim_at_ms >= pace_ms
        if not (self.options.interim_results and due and self._words and ready):
            return []
        self._interim_at_ms, self._interim_due = self._position_ms, False
        return [Emission(self._results(until_ms=self._position_ms, is_final=False, speech_final=False))]

    def _utterance_end(self) -> list[Emission]:
        gap = self.options.utterance_end_ms
        if gap is None or self._last_word_ms is None or self._position_ms - self._last_word_ms < gap:
            return []
        ended, self._last_word_ms = self._last_word_ms, None
        return [Emission({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": _s(ended)}, late=True)]

    def _silence(self) -> list[Emission]:
        quiet = not self._speaking and not self._words
        if not quiet or self._position_ms - self._window_ms < self.options.silence_result_ms:
            return []
        return [self._final(until_ms=self._position_ms, speech_final=False)]

    def _final(self, *, until_ms: float, speech_final: bool) -> Emission:
        message = self._results(until_ms=until_ms, is_final=True, speech_final=speech_final)
        self._words.clear()
        self._window_ms, self._interim_due = until_ms, False
        return Emission(message, late=speech_final, voiced_until_ms=self._voiced_ms)

    def _results(self, *, until_ms: float, is_final: bool, speech_final: bool) -> _Json:
        words = [self._word(word) for word in self._words]
        shown = "punctuated_word" if self.options.formatted else "word"
        return {
            "type": "Results",
            "channel_index": [0, 1],
            "duration": _s(max(until_ms - self._window_ms, 0)),
            "start": _s(self._window_ms),
            "is_final": is_final,
            "speech_final": speech_final,
            "from_finalize": False,
            "channel": {
                "alternatives": [
                    {
                        "transcript": " ".join(word[shown] for word in words),
                        "confidence": 0.99 if words else 0.0,
                        "words": words,
                    }
                ]
            },
            "metadata": self.metadata,
        }

    def _word(self, word: Heard) -> _Json:
        plain = word.text.lower().strip(".,!?;:…\"'()") or word.text
        out = {"word": plain, "start": _s(word.start_ms), "end": _s(word.end_ms), "confidence": 0.99}
        return out | {"punctuated_word": word.text} if self.options.formatted else out


class ArrivalClock:
    """When each ms of audio arrived, for the last seconds of a stream."""

    def __init__(self, *, keep: int = 512) -> None:
        self._chunks: deque[tuple[float, float]] = deque(maxlen=keep)

    def arrived(self, position_ms: float, at_s: float) -> None:
        """Audio up to `position_ms` has arrived at `at_s`."""
        self._chunks.append((position_ms, at_s))

    def of(self, position_ms: float) -> float | None:
        """When the audio at `position_ms` was complete; nothing when that is no longer known."""
        found = None
        for end_ms, at_s in reversed(self._chunks):
            if end_ms < position_ms:
                break
            found = at_s
        return found


def _s(ms: float) -> float:
    return round(ms / 1_000, 3)
