"""What a carrier holds to play: audio and marks in order, played at the pace it is taken, dropped by a clear. Pure."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from calliope_sandbox.tone_speech import SILENCE

BYTES_PER_MS: Final = 8  # μ-law, 8 kHz, mono


@dataclass(slots=True)
class CarrierBuffer:
    """One direction of one stream. Byte positions count from the stream's beginning, silence not included."""

    _audio: bytearray = field(default_factory=bytearray)
    _marks: deque[tuple[int, str]] = field(default_factory=deque)
    _received: int = 0
    _played: int = 0

    @property
    def waiting_ms(self) -> float:
        """Audio that is not played yet."""
        return len(self._audio) / BYTES_PER_MS

    def add(self, audio: bytes) -> None:
        """Play this after what came before."""
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
        self._played = self._received
        names = [name for _, name in self._marks]
        self._marks.clear()
        return names

    def take(self, size: int) -> tuple[bytes, list[str]]:
        """The next `size` bytes to hear, silence when nothing waits, and the marks reached by them."""
        heard = bytes(self._audio[:size])
        del self._audio[:size]
        self._played += len(heard)
        reached = []
        while self._marks and self._marks[0][0] <= self._played:
            reached.append(self._marks.popleft()[1])
        return heard.ljust(size, _SILENCE), reached


_SILENCE: Final = bytes([SILENCE])
