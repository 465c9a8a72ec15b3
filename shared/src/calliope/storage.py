"""What a document store refuses, told apart: what heals by itself, and what somebody has to mend. Knows no driver."""

import re
from collections.abc import Iterable
from typing import Final

from calliope.errors import TransientError

_LONGEST: Final = 300
_HEALS: Final = frozenset({
    6, 7, 89, 91, 189, 202, 9001, 10107, 11600, 11602, 13435, 13436,  # a member is away, or another one leads
    24, 43, 46, 50, 112, 117, 133, 134, 136, 251, 262, 276, 285, 290, 11601, 14031,  # busy, too slow, or full
})  # fmt: skip
"""Codes of MongoDB's error_codes.yml that pass without anybody changing anything but the store's own state."""
_HEALING_LABELS: Final = frozenset(
    {"RetryableWriteError", "TransientTransactionError", "RetryableError", "SystemOverloadedError"}
)
_VALUES: Final = re.compile(r"dup key: .*", re.DOTALL)
_CREDENTIALS: Final = re.compile(r"//[^/@\s]*@")


class StoreRefusedError(TransientError):
    """The store answered, and will refuse the same again until somebody mends the cause.

    While a service runs this is told like an outage, so that no message is lost; one that starts ends with it.
    """


def refusal(
    code: int | None,
    name: str | None,
    words: str,
    *,
    doing: str,
    labels: Iterable[str] = (),
    secrets: Iterable[str] = (),
) -> TransientError:
    """The error of what a store answered: a `StoreRefusedError`, or one that may pass. Never shows a stored value."""
    said = f"{doing}: {name or 'an error'}{'' if code is None else f' ({code})'}: {without_values(words, secrets)}"
    if code is None or code in _HEALS or _HEALING_LABELS.intersection(labels):
        return TransientError(f"the store cannot do it now: {said}", retry_after_s=2.0)
    return StoreRefusedError(f"the store refused to {said}", retry_after_s=2.0)


def without_values(words: str, secrets: Iterable[str] = ()) -> str:
    """The store's own words on one line, without credentials and without the values of rows."""
    for secret in filter(None, secrets):
        words = words.replace(secret, "•••")
    words = _CREDENTIALS.sub("//•••@", _VALUES.sub("dup key", words))
    words = " ".join(words.split()) or "it gave no reason"
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"
