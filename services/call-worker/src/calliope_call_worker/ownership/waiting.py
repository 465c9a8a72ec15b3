"""How much may wait for the bus: so many facts and bytes of one call, so many bytes of all calls of a worker."""

from typing import Final

from calliope.observability import metrics
from calliope_call_worker.errors import JournalFullError

MAX_FACTS: Final = 2_000
MAX_BYTES: Final = 4 * 1024 * 1024
MAX_BYTES_OVERALL: Final = 64 * 1024 * 1024
"""A call tells some 2 KB every 5 s: 100 calls fit for half an hour, 50 for an hour."""

_WAITING = metrics.gauge("calliope_journal_waiting_facts", "Facts of calls that the bus has not stored yet.")
_WAITING_BYTES = metrics.gauge("calliope_journal_waiting_bytes", "The size of these facts.")
_LOST = metrics.counter(
    "calliope_journals_lost_total", "Journals that could not be written any more, by the reason.", "reason"
)
_FACTS_LOST = metrics.counter(
    "calliope_journal_facts_lost_total",
    "Facts of calls that will never be stored, by the reason.",
    "reason",
)
for _reason in ("conflict", "refused", "gave_up", "stopped", "full"):
    _LOST.labels(_reason)
    _FACTS_LOST.labels(_reason)


def count_lost(reason: str, facts: int) -> None:
    """Count a journal that ended before its call, with the facts that were not stored."""
    _LOST.labels(reason).inc()
    _FACTS_LOST.labels(reason).inc(facts)


class Waiting:
    """What waits on this worker, all calls together."""

    def __init__(self) -> None:
        self._bytes = 0

    def check(self, facts: int, its_bytes: int, size: int) -> None:
        """Whether a call with so much waiting may add a fact. Raises: JournalFullError."""
        if facts >= MAX_FACTS or its_bytes + size > MAX_BYTES:
            why = f"{facts} facts of a call, {its_bytes} bytes, wait for the bus"
        elif self._bytes + size > MAX_BYTES_OVERALL:
            why = f"{self._bytes} bytes of facts of all calls wait for the bus"
        else:
            return
        _FACTS_LOST.labels("full").inc()
        raise JournalFullError(why)

    def added(self, size: int) -> None:
        """A fact waits."""
        self._bytes += size
        _WAITING.inc()
        _WAITING_BYTES.set(self._bytes)

    def removed(self, size: int) -> None:
        """It waits no more."""
        self._bytes -= size
        _WAITING.dec()
        _WAITING_BYTES.set(self._bytes)
