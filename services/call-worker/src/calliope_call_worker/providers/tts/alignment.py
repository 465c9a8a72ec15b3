"""Turns character times, as a voice streams them, into timed words that join to exactly the text given. Pure.

Times of a chunk count from the chunk. Chunks may lack times, cut words anywhere, and hold characters that were never
given (a first blank) or leave out given ones.
"""

import re
from collections.abc import Sequence
from typing import Final

from calliope_call_worker.pipeline.letters import has_speech
from calliope_call_worker.providers.tts.base import TextSpan

MAX_LEAD_MS: Final = 2_000.0  # times further ahead of the audio than this are wrong
_NEAR: Final = 12  # characters looked ahead for one that is not the next
_PROBE: Final = 10  # characters of a chunk that are looked for in the text after chunks without times
_WORDS: Final = re.compile(r"\s*\S+\s*|\s+")


class Aligner:
    """Feed the text as it is given and the times as they come; take spans."""

    def __init__(self) -> None:
        self._text = ""
        self._emitted = 0  # characters that are in spans already
        self._at = 0  # characters that have times; between the two is the word that is not complete
        self._word_start_ms = 0.0
        self._end_ms = 0.0  # of the last character with a time
        self._clock_ms = 0.0  # where the next chunk begins, judged by times alone
        self._audio_ms = 0.0
        self.exact = True

    @property
    def audio_ms(self) -> float:
        """All audio so far."""
        return self._audio_ms

    @property
    def complete(self) -> bool:
        """Whether every word given so far has been spoken."""
        return not has_speech(self._text, self._at)

    def say(self, text: str) -> None:
        """More text was given."""
        self._text += text

    def hear(
        self,
        audio_ms: float,
        chars: Sequence[str] = (),
        starts_ms: Sequence[float] = (),
        durations_ms: Sequence[float] = (),
        *,
        from_ms: float | None = None,
    ) -> tuple[TextSpan, ...]:
        """A chunk of so much audio, and its times if it has any: the words that are complete now.

        `from_ms` is where in the reply's audio the times count from; None: from this chunk.
        """
        base_ms = self._audio_ms if from_ms is None else from_ms
        if from_ms is None and base_ms < self._clock_ms <= base_ms + MAX_LEAD_MS:
            base_ms = self._clock_ms
        self._audio_ms += audio_ms
        count = min(len(chars), len(starts_ms), len(durations_ms))
        if not count:
            self.exact = self.exact and not audio_ms
            return ()
        spans: list[TextSpan] = []
        self._find(chars, base_ms, spans)
        text = self._text
        for index in range(count):
            start_ms = base_ms + starts_ms[index]
            self._character(text, chars[index], start_ms, start_ms + durations_ms[index], spans)
        self._clock_ms = base_ms + starts_ms[count - 1] + durations_ms[count - 1]
        if text[self._emitted : self._at].strip() and not text[self._at : self._at + 1].strip():
            self._at += len(text[self._at :]) - len(text[self._at :].lstrip())
            self._emit(spans)
        return tuple(spans)

    def finish(self) -> tuple[TextSpan, ...]:
        """There is no more audio: the words without times, spread over what is left of it."""
        spans: list[TextSpan] = []
        if self._at > self._emitted and not has_speech(self._text, self._at):
            self._at = len(self._text)
            self._emit(spans)
        self._spread(len(self._text), max(self._end_ms, self._audio_ms), spans)
        return tuple(spans)

    def _character(self, text: str, char: str, start_ms: float, end_ms: float, spans: list[TextSpan]) -> None:
        at = self._at
        if at >= len(text) or text[at] != char:
            if char.isspace():
                return
            at = text.find(char, at, at + _NEAR)
            if at < 0:
                self.exact = False
                return
        if not char.isspace():
            if self._emitted < at and _ends_word(text, self._emitted, at):
                self._at = at
                self._emit(spans)
            if not text[self._emitted : at].strip():
                self._word_start_ms = start_ms
            self._end_ms = max(end_ms, self._end_ms)
        self._at = at + 1

    def _emit(self, spans: list[TextSpan]) -> None:
        start_ms = min(self._word_start_ms, self._end_ms)
        spans.append(TextSpan(self._text[self._emitted : self._at], start_ms, self._end_ms))
        self._emitted = self._at

    def _find(self, chars: Sequence[str], base_ms: float, spans: list[TextSpan]) -> None:
        """Behind chunks without times the text went on: find where this chunk is, and spread the words between."""
        probe = "".join(chars[: _PROBE + 4]).lstrip()[:_PROBE]
        if not probe or self._text.startswith(probe, self._at):
            return
        behind = self._at + len(self._text[self._at :]) - len(self._text[self._at :].lstrip())
        if self._text.startswith(probe, behind) or (at := self._text.find(probe, behind)) < 0:
            return
        self._spread(at, base_ms, spans)

    def _spread(self, until: int, end_ms: float, spans: list[TextSpan]) -> None:
        """Words of the text up to `until` get even times between the last known one and `end_ms`."""
        left = self._text[self._emitted : until]
        if not left:
            return
        start_ms = self._word_start_ms if self._at > self._emitted else self._end_ms
        spans += spread(left, start_ms, end_ms)
        self._emitted = self._at = until
        self._end_ms = max(self._end_ms, end_ms)


def spread(text: str, start_ms: float, end_ms: float) -> tuple[TextSpan, ...]:
    """The words of a text at an even pace; joined they are the text."""
    per_char = max(0.0, end_ms - start_ms) / max(1, len(text))
    return tuple(
        TextSpan(word.group(), start_ms + word.start() * per_char, start_ms + word.end() * per_char)
        for word in _WORDS.finditer(text)
    )


def _ends_word(text: str, start: int, at: int) -> bool:
    """Whether a word that began at `start` has ended before `at`, where the next begins."""
    return text[at - 1].isspace() and bool(text[start:at].strip())
