"""Which callers have a telephone number of their own; the carriers connect nobody in the name of the others."""

import re
from typing import Final

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_KEYS: Final = ("abc", "def", "ghi", "jkl", "mno", "pqrs", "tuv", "wxyz")
_ON_KEYS: Final = {ord(letter): str(key) for key, letters in enumerate(_KEYS, 2) for letter in letters}
_WITHHELD: Final = ("anonymous", "blocked", "restricted", "unavailable", "unknown")
_NOBODY: Final = frozenset("+" + word.translate(_ON_KEYS) for word in _WITHHELD)
"""How Twilio shows a caller who withholds the number: a word, typed on the keys of a telephone."""


def has_own_number(caller: str) -> bool:
    """Whether it is a telephone number: not `client:` or `sip:`, not a withheld one."""
    return _E164.fullmatch(caller) is not None and caller not in _NOBODY


def is_withheld(caller: str) -> bool:
    """Whether the carrier says no more than that the caller does not show who calls."""
    return caller in _NOBODY or caller.lower() in ("", *_WITHHELD)
