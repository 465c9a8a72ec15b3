"""Silence that we put into a stream when the caller's audio stops, and times without it. Pure.

A recogniser that judges turns on its audio clock waits for ever when the clock stops (hold, mute, DTX).
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

BYTES_PER_MS: Final = 8
MAX_GAPS: Final = 256
"""Remembered gaps; a recogniser speaks of the last seconds, not of so many gaps ago."""


@dataclass(slots=True)
class _Gap:
    begin_ms: float  # on the stream's clock
    lasted_ms: float
    fed_before_ms: float


class FedSilence:
    """Counts both kinds of audio; `caller_ms` turns a time of the stream into one of the caller's audio alone."""

    def __init__(self) -> None:
        self._stream_ms = 0.0
        self._fed_ms = 0.0
        self._gaps: deque[_Gap] = deque(maxlen=MAX_GAPS)

    def audio(self, count: int) -> None:
        """So many bytes of the caller went out."""
        self._stream_ms += count / BYTES_PER_MS

    def fed(self, count: int) -> None:
        """So many bytes of silence went out."""
        length_ms = count / BYTES_PER_MS
        last = self._gaps[-1] if self._gaps else None
        if last is not None and last.begin_ms + last.lasted_ms == self._stream_ms:
            last.lasted_ms += length_ms
        else:
            self._gaps.append(_Gap(self._stream_ms, length_ms, self._fed_ms))
        self._stream_ms += length_ms
        self._fed_ms += length_ms

    def caller_ms(self, stream_ms: float) -> float:
        """Inside a gap the caller's audio stands still."""
        for gap in reversed(self._gaps):
            if stream_ms >= gap.begin_ms:
                return stream_ms - gap.fed_before_ms - min(stream_ms - gap.begin_ms, gap.lasted_ms)
        return stream_ms - (self._gaps[0].fed_before_ms if self._gaps else 0.0)
