"""When a streaming voice speaks what: text buffered until it is worth speaking, speech cut into timed chunks. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

DEFAULT_SCHEDULE = (120, 160, 250, 290)
_SOFT_TRIGGER = 50  # characters from which `try_trigger_generation` speaks
BYTES_PER_MS = 8  # mu-law, 8 kHz, mono


class TimedCharacter(Protocol):
    """A character and its place in the audio, in ms."""

    @property
    def char(self) -> str: ...
    @property
    def start_ms(self) -> float: ...
    @property
    def end_ms(self) -> float: ...


@dataclass(slots=True)
class TextBuffer:
    """Text of one context that was sent but not yet spoken."""

    schedule: Sequence[int] = DEFAULT_SCHEDULE
    auto: bool = False
    text: str = ""
    _spoken: int = field(default=0, repr=False)

    def add(self, text: str, *, soft_trigger: bool = False) -> str | None:
        """More text; what is now to be spoken, if anything."""
        self.text += text
        wanted = self.schedule[min(self._spoken, len(self.schedule) - 1)]
        ripe = len(self.text) >= (_SOFT_TRIGGER if soft_trigger else wanted)
        return self.flush() if ripe or self.auto else None

    def flush(self) -> str | None:
        """All that waits, to be spoken now."""
        text, self.text = self.text, ""
        if not text.strip():
            self.text = ""
            return None
        self._spoken += 1
        return text


@dataclass(frozen=True, slots=True)
class VoiceChunk:
    """Some audio (mu-law, 8 kHz, mono) and the characters in it, timed from the start of this chunk."""

    audio: bytes
    chars: tuple[str, ...]
    starts_ms: tuple[int, ...]
    durations_ms: tuple[int, ...]

    @property
    def duration_ms(self) -> float:
        """Length of the audio."""
        return len(self.audio) / BYTES_PER_MS


def chunks(audio: bytes, timed: Sequence[TimedCharacter], *, first_ms: float, chunk_ms: float) -> Iterator[VoiceChunk]:
    """Cut speech between characters, the first chunk short so that it can leave early."""
    begin, begin_ms, wanted_ms = 0, 0.0, first_ms
    for number, character in enumerate(timed):
        last = number == len(timed) - 1
        if character.end_ms - begin_ms < wanted_ms and not last:
            continue
        until_ms = len(audio) / BYTES_PER_MS if last else character.end_ms
        yield _chunk(audio, timed[begin : number + 1], begin_ms, until_ms)
        begin, begin_ms, wanted_ms = number + 1, until_ms, chunk_ms


def _chunk(audio: bytes, timed: Sequence[TimedCharacter], begin_ms: float, until_ms: float) -> VoiceChunk:
    starts = [round(character.start_ms - begin_ms) for character in timed]
    ends = [round(character.end_ms - begin_ms) for character in timed]
    return VoiceChunk(
        audio=audio[round(begin_ms * BYTES_PER_MS) : round(until_ms * BYTES_PER_MS)],
        chars=tuple(character.char for character in timed),
        starts_ms=tuple(starts),
        durations_ms=tuple(end - start for start, end in zip(starts, ends, strict=True)),
    )
