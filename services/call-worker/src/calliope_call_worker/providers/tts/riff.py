"""Takes the header off audio that was asked for without one. Pure.

A header is longer than the usual 44 bytes when times or notes ride in it, and may be cut anywhere.
"""

import struct
from typing import Final

MAX_HEADER_BYTES: Final = 64 * 1024
MULAW: Final = 7  # the format's number in a `fmt ` chunk
_RIFF: Final = b"RIFF"


class HeaderSniffer:
    """Feed the audio of one answer; a header at its beginning does not come out."""

    def __init__(self) -> None:
        self._held = b""
        self._past = False

    def feed(self, audio: bytes) -> bytes:
        """The samples in it. Raises: ValueError, when the header tells of audio that is not μ-law at 8 kHz."""
        if self._past:
            return audio
        held = self._held + audio
        if not held.startswith(_RIFF) and not _RIFF.startswith(held):
            self._past, self._held = True, b""
            return held
        begin = _samples_begin(held)
        if begin is None:
            if len(held) > MAX_HEADER_BYTES:
                raise ValueError("a header without end")
            self._held = held
            return b""
        self._past, self._held = True, b""
        return held[begin:]


def without_header(audio: bytes) -> bytes:
    """The samples of a whole piece of audio. Raises: ValueError."""
    return HeaderSniffer().feed(audio)


def _samples_begin(held: bytes) -> int | None:
    """Where the samples begin; None while that has not come. Raises: ValueError."""
    at = 12  # RIFF, size, WAVE
    while len(held) >= at + 8:
        name, size = held[at : at + 4], struct.unpack_from("<I", held, at + 4)[0]
        if name == b"data":
            return at + 8
        if name == b"fmt ":
            if len(held) < at + 16:
                return None
            kind, channels, rate_hz = struct.unpack_from("<HHI", held, at + 8)
            if (kind, channels, rate_hz) != (MULAW, 1, 8_000):
                raise ValueError(f"audio of kind {kind}, {channels} channels, {rate_hz} Hz")
        at += 8 + size + size % 2
    return None
