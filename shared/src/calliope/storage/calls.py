"""Calls to a document store: each has a deadline, and its errors are told apart. Knows no driver.

calls = StoreCalls(settings.timeout_s, fault_of)       # fault_of: what an error of the driver means
async with calls.asked("find a call"):                 # around every call of the driver
    row = await rows.find_one(…)
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
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


STORE: Final = "store"
"""The name of the store among a service's dependencies."""
_RETRY_S: Final = 2.0


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
        return TransientError(f"the store cannot do it now: {said}", retry_after_s=_RETRY_S, dependency=STORE)
    return StoreRefusedError(f"the store refused to {said}", retry_after_s=_RETRY_S, dependency=STORE)


def without_values(words: str, secrets: Iterable[str] = ()) -> str:
    """The store's own words on one line, without credentials and without the values of rows."""
    for secret in filter(None, secrets):
        words = words.replace(secret, "•••")
    words = _CREDENTIALS.sub("//•••@", _VALUES.sub("dup key", words))
    words = " ".join(words.split()) or "it gave no reason"
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The store did not answer; `was_sent` says whether it may have been asked."""

    was_sent: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The store answered that it will not."""

    code: int | None
    name: str | None
    words: str
    labels: tuple[str, ...] = ()


FaultOf = Callable[[Exception], Unanswered | Refused | None]
"""What an error of the driver means; None for one that its caller expects, or that is none of the store."""


class StoreCalls:
    """Around each call of a store's driver. Nothing waits longer than `timeout_s`, whatever the driver thinks."""

    def __init__(self, timeout_s: float, fault_of: FaultOf) -> None:
        self._timeout_s = timeout_s
        self._fault_of = fault_of

    @asynccontextmanager
    async def asked(self, doing: str = "") -> AsyncIterator[None]:
        """Around a question, or a write that may be done twice; `doing` names it.

        Raises: TransientError; StoreRefusedError, when the store refuses it for good.
        """
        async with self._within_deadline(lambda fault: _error(fault, doing or "answer a question")):
            yield

    @asynccontextmanager
    async def written(self, doing: str = "write") -> AsyncIterator[None]:
        """Around a write. Raises: TransientError, when it was not done; TimeoutError, when nobody knows."""

        def told(fault: Unanswered | Refused) -> Exception:
            if isinstance(fault, Unanswered) and fault.was_sent:
                return TimeoutError("the store did not say whether it wrote")
            return _error(fault, doing)

        async with self._within_deadline(told):
            yield

    @asynccontextmanager
    async def _within_deadline(self, told: Callable[[Unanswered | Refused], Exception]) -> AsyncIterator[None]:
        """`told` makes the error that is raised for a fault of the store; others pass as they are."""
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except Exception as exc:
            fault = self._fault(exc)
            if fault is None:
                raise
            raise told(fault) from exc

    def _fault(self, exc: Exception) -> Unanswered | Refused | None:
        return Unanswered(was_sent=True) if isinstance(exc, TimeoutError) else self._fault_of(exc)


def _error(fault: Unanswered | Refused, doing: str) -> TransientError:
    if isinstance(fault, Unanswered):
        return TransientError("the store does not answer", retry_after_s=_RETRY_S, dependency=STORE)
    return refusal(fault.code, fault.name, fault.words, doing=doing, labels=fault.labels)
