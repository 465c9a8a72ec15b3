"""The header that some vendors put before μ-law audio, also where none was asked for."""

import struct

_UNKNOWN = 0xFFFF_FFFF


def header(audio_bytes: int, *, notes: bytes | None = None) -> bytes:
    """A WAV header. With `notes` (times ride in such chunks) it is longer than the usual, and of unknown size."""
    body = b"WAVE" + _chunk(b"fmt ", struct.pack("<HHIIHHH", 7, 1, 8_000, 8_000, 1, 8, 0))
    size = audio_bytes
    if notes is not None:
        body += _chunk(b"cue ", struct.pack("<I", 0)) + _chunk(b"list", b"adtl" + notes)
        size = _UNKNOWN
    total = _UNKNOWN if notes is not None else len(body) + 8 + audio_bytes
    return b"RIFF" + struct.pack("<I", total) + body + b"data" + struct.pack("<I", size)


def _chunk(name: bytes, data: bytes) -> bytes:
    """Odd sizes are padded."""
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
