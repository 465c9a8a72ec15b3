"""Signing secrets of webhooks in clear: making one, and what a client may bring. Pure."""

import base64
import binascii
import hashlib
import secrets
from typing import Any, Final

from calliope.contracts.document.types import MASK

FIELD: Final = "webhook_secret"
PREFIX: Final = "whsec_"
LEAST_BYTES: Final = 24
MOST_BYTES: Final = 64
_NEEDED: Final = (
    f'send "{PREFIX}" and the base64 of {LEAST_BYTES} to {MOST_BYTES} random bytes, such as'
    f' "{PREFIX}MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" (make your own: openssl rand -base64 32)'
)


def new_secret() -> str:
    """A Standard Webhooks secret: `whsec_` and base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def fingerprint_of(secret: str, context: str) -> str:
    """What recognises the same secret of the same assistant: 64 hex digits; no guess, as a secret is random."""
    return hashlib.sha256(f"{context}|{secret}".encode()).hexdigest()


def problem_of(given: Any) -> str | None:
    """Why this is no secret to sign with, in words that never repeat it; None for one that is, and for a mask."""
    if not isinstance(given, str):
        return f"must be text; {_NEEDED}"
    if given.startswith(MASK):
        return None
    if not given.startswith(PREFIX):
        return f'does not begin with "{PREFIX}"; {_NEEDED}'
    try:
        size = len(base64.b64decode(given.removeprefix(PREFIX), validate=True))
    except (binascii.Error, ValueError):
        return f'is not base64 after "{PREFIX}"; {_NEEDED}'
    if not LEAST_BYTES <= size <= MOST_BYTES:
        return f"holds {size} bytes; {_NEEDED}"
    return None
