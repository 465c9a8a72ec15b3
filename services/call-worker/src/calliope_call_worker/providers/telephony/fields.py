"""Fields of carriers' media messages, read with suspicion: what is of the wrong type is malformed."""

from typing import Any, Final

MAX_TEXT: Final = 200
_KEYS: Final = frozenset("0123456789*#ABCD")


def short_text(value: Any) -> str:
    """A name or an id. Raises: ValueError."""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError("a media message with something else where a short text belongs")
    return value


def one_key(value: Any) -> str:
    """A key of a telephone. Raises: ValueError."""
    if not isinstance(value, str) or value not in _KEYS:
        raise ValueError("a media message with something else where a key belongs")
    return value
