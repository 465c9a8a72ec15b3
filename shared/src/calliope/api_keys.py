"""API keys: `cal_live_`, 43 random base-62 characters, a 6 character checksum. Stored and sent on only as SHA-256.

The prefix lets scanners find leaked keys; the checksum tells a typo from a wrong key without asking anyone. 256 random
bits need no slow hash.
"""

import hashlib
import secrets
import string
import zlib
from typing import Final

PREFIX: Final = "cal_live_"
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM: Final = 43
_CHECK: Final = 6


def generate() -> str:
    """A new key; show it once."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return PREFIX + body + _checksum(body)


def is_well_formed(key: str) -> bool:
    """Whether it can be a key at all; says nothing about whose."""
    body = key.removeprefix(PREFIX)
    return (
        key.startswith(PREFIX)
        and len(body) == _RANDOM + _CHECK
        and body.isascii()
        and body.isalnum()
        and _checksum(body[:_RANDOM]) == body[_RANDOM:]
    )


def digest(key: str) -> str:
    """What is stored and looked up: 64 hex digits."""
    return hashlib.sha256(key.encode()).hexdigest()


def _checksum(body: str) -> str:
    number, characters = zlib.crc32(body.encode()), []
    for _ in range(_CHECK):
        number, index = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[index])
    return "".join(characters)
