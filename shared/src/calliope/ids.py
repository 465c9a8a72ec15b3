"""Ids: a prefix that says what it is, and 26 characters that sort by time of birth (ULID, lower case)."""

import hashlib
import os
import time
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32


def new_id(prefix: str, *, now_ms: int | None = None) -> str:
    """`new_id("call")` -> `call_01jd…`: 48 bits of milliseconds, 80 random bits. Safe as a bus token (no dots)."""
    millis = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    return f"{prefix}_{_base32((millis << 80) | int.from_bytes(os.urandom(10)), 26)}"


def derived_id(prefix: str, *parts: str) -> str:
    """The same id for the same parts, always: what makes a repeated command create one thing."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return f"{prefix}_{_base32(int.from_bytes(digest[:17]) >> 6, 26)}"


def _base32(number: int, length: int) -> str:
    characters = []
    for _ in range(length):
        number, index = divmod(number, 32)
        characters.append(_ALPHABET[index])
    return "".join(reversed(characters))
