"""What a carrier holds to play: audio and marks in order, played at the pace it is taken, dropped by a clear. Pure."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from calliope_sandbox.tone_speech import SILENCE

BYTES_PER_MS: Final = 8  # μ-law, 8 kHz, mono
GAP_MS: Final = 400


@dataclass(slots=True)
class CarrierBuffer:
    """One direction of one stream. Byte positions count from the stream's beginning, silence not included.

    `gaps_ms`: silences of at most `GAP_MS` between audio and audio, which a listener takes for stutter.
    """

    _audio: bytearray = field(default_factory=bytearray)
    _marks: deque[tuple[int, str]] = field(default_factory=deque)
    gaps_ms: list[int] = field(default_factory=list)
    _received: int = 0
    _played: int = 0
    _dry_bytes: int | None = None
    _marks_to_lose: int = 0
    _losing_bytes: int = 0

    @property
    def waiting_ms(self) -> float:
        """Audio that is not played yet."""
        return len(self._audio) / BYTES_PER_MS

    def add(self, audio: bytes) -> None:
        """Play this after what came before."""
        if self._dry_bytes is not None and 0 < self._dry_bytes <= GAP_MS * BYTES_PER_MS:
            self.gaps_ms.append(self._dry_bytes // BYTES_PER_MS)
        self._dry_bytes = None
        self._audio += audio
        self._received += len(audio)

    def mark(self, name: str) -> list[str]:
        """Marks to return now: the name itself, when nothing waits before it."""
        if not self._audio:
            return [name]
        self._marks.append((self._received, name))
        return []

    def clear(self) -> list[str]:
        """Drop what waits; every pending mark comes back, heard or not."""
        self._audio.clear()
        self._dry_bytes = None
        self._played = self._received
        names = [name for _, name in self._marks]
        self._marks.clear()
        return names

    def lose_mark(self) -> None:
        """The next mark at the end of all that waits never comes back: the one that a reply is over with."""
        self._marks_to_lose += 1

    def lose_marks(self, length_ms: float) -> None:
        """No mark comes back that is passed while so much more is heard."""
        self._losing_bytes = round(length_ms * BYTES_PER_MS)

    def take(self, size: int) -> tuple[bytes, list[str]]:
        """The next `size` bytes to hear, silence when nothing waits, and the marks reached by them."""
        heard = bytes(self._audio[:size])
        del self._audio[:size]
        self._played += len(heard)
        if heard:
            self._dry_bytes = size - len(heard) if len(heard) < size or not self._audio else None
        elif self._dry_bytes is not None:
            self._dry_bytes += size
        reached = []
        while self._marks and self._marks[0][0] <= self._played:
            reached.append(self._marks.popleft()[1])
        if reached and self._marks_to_lose and not self._audio:
            reached.pop()
            self._marks_to_lose -= 1
        if self._losing_bytes > 0:
            self._losing_bytes -= size
            reached.clear()
        return heard.ljust(size, _SILENCE), reached


_SILENCE: Final = bytes([SILENCE])
