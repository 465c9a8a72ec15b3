"""Cuts a reply's text where its audio was cut: to the word, and always a beginning of the text that was spoken."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

WORD_COUNTS_FROM = 0.5
"""A word is heard when this much of it was played: neither early nor late on average."""
END_SLACK_MS = 20.0
"""One carrier frame: played up to here is played."""
CHAR_MS = 65.0
"""A usual pace, until a reply has shown the voice's own."""
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}][^\w\s]*|[^\s{_UNSPACED}]+")


class Span(Protocol):
    """A piece of text and where it is in the reply's audio."""

    @property
    def text(self) -> str:
        """The characters."""

    @property
    def start_ms(self) -> float:
        """Where they begin."""

    @property
    def end_ms(self) -> float:
        """Where they end."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What of a reply was heard. `nothing` has no text; `all` is the whole of it."""

    outcome: Literal["nothing", "partial", "all"]
    text: str
    played_ms: float


class Timeline:
    """The text of one reply, and when its characters are spoken as far as the voice tells."""

    def __init__(self) -> None:
        self._said = ""
        self._timed_text = ""
        self._spans: list[tuple[int, float, float]] = []  # index behind the last character, start, end

    @property
    def text(self) -> str:
        """Everything given to the voice."""
        return self._said if len(self._said) >= len(self._timed_text) else self._timed_text

    def say(self, text: str) -> None:
        """More text was given to the voice."""
        self._said += text

    def time(self, spans: Iterable[Span]) -> None:
        """The voice told where the next characters are."""
        for span in spans:
            if span.text:
                self._timed_text += span.text
                self._spans.append((len(self._timed_text), span.start_ms, max(span.start_ms, span.end_ms)))

    def words(self, audio_ms: float, *, complete: bool, char_ms: float) -> Iterator[tuple[int, float, float]]:
        """Each word: index behind it, start and end in ms. What has no times is spread evenly over the audio left."""
        spans = [*self._spans, self._rest(audio_ms, complete, char_ms)]
        at, begin = 0, 0
        for word in _WORD.finditer(self.text):
            while at < len(spans) - 1 and spans[at][0] <= word.start():
                begin, at = spans[at][0], at + 1
            start_ms = _within(spans[at], begin, word.start())
            while at < len(spans) - 1 and spans[at][0] < word.end():
                begin, at = spans[at][0], at + 1
            yield word.end(), start_ms, _within(spans[at], begin, word.end())

    def _rest(self, audio_ms: float, complete: bool, char_ms: float) -> tuple[int, float, float]:
        start_ms = self._spans[-1][2] if self._spans else 0.0
        chars = len(self.text) - len(self._timed_text)
        end_ms = max(start_ms, audio_ms) if complete else max(audio_ms, start_ms + chars * char_ms)
        return len(self.text), start_ms, end_ms


def _within(span: tuple[int, float, float], begin: int, index: int) -> float:
    end, start_ms, end_ms = span
    return start_ms if end <= begin else start_ms + (end_ms - start_ms) * (index - begin) / (end - begin)


def heard_text(
    line: Timeline, played_ms: float, sent_ms: float, *, complete: bool, char_ms: float, whole_words: bool = False
) -> Heard:
    """What was heard when this much of the audio was played; `complete`: there is no more audio than was sent.

    `whole_words`: a word that was cut does not count, however much of it was played.
    """
    counts_from = 1.0 if whole_words else WORD_COUNTS_FROM
    if played_ms <= 0:
        return Heard("nothing", "", 0.0)
    if complete and played_ms >= sent_ms - END_SLACK_MS:
        return Heard("all", line.text, played_ms)
    end = 0
    for behind, start_ms, end_ms in line.words(sent_ms, complete=complete, char_ms=char_ms):
        if played_ms < start_ms + counts_from * (end_ms - start_ms):
            break
        end = behind
    return Heard("partial", line.text[:end], played_ms) if end else Heard("nothing", "", played_ms)
