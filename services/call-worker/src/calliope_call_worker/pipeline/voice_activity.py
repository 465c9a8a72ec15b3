"""Whether the caller's audio holds a voice, judged by its level: frames in, changes out. Pure."""

from dataclasses import dataclass
from typing import Final

BYTES_PER_MS: Final = 8  # mu-law, 8 kHz, mono
VOICE_MS: Final = 40.0
"""So much loud audio in a row is a voice; a click is shorter."""
QUIET_MS: Final = 100.0
"""So much quiet audio in a row is a pause; the closure of a consonant is shorter."""
_LOUD_SHARE: Final = 10  # one byte in so many
# A mu-law byte is inverted sign, exponent, mantissa: exponent 3 begins at 924 of 32767, some -31 dBFS.
_QUIET: Final = bytes(byte for byte in range(256) if (~byte >> 4) & 7 < 3)


def is_voiced(audio: bytes) -> bool:
    """Whether mu-law audio is loud enough to hold speech; line noise is not."""
    return len(audio.translate(None, _QUIET)) * _LOUD_SHARE > len(audio)


@dataclass(frozen=True, slots=True)
class VoiceChange:
    """The caller's audio turned voiced or quiet; `since_ms` is the position in the audio where it began to be so."""

    voiced: bool
    since_ms: float


class VoiceActivity:
    """Follows the audio of one caller; give it every frame once, in order."""

    def __init__(self) -> None:
        self._voiced: bool | None = None
        self._position_ms = 0.0
        self._run_voiced = False
        self._run_from_ms = 0.0

    def frame(self, audio: bytes) -> VoiceChange | None:
        """Judge one more frame; the change it completes, if any."""
        voiced = is_voiced(audio)
        if voiced != self._run_voiced:
            self._run_voiced, self._run_from_ms = voiced, self._position_ms
        self._position_ms += len(audio) / BYTES_PER_MS
        long_enough = self._position_ms - self._run_from_ms >= (VOICE_MS if voiced else QUIET_MS)
        if voiced == self._voiced or not long_enough:
            return None
        self._voiced = voiced
        return VoiceChange(voiced, self._run_from_ms)
