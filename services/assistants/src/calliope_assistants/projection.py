"""Call events on their way into the store: those that arrive together are written together."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from calliope.contracts.base import Event
from calliope.errors import TransientError
from calliope_assistants.ports import CallEvents


@dataclass(slots=True, eq=False)
class _Arrived:
    event: Event
    written: bool = False
    failure: Exception | None = None


class CallProjection:
    """Keeps the events of calls. Each `add` returns when its event is stored, and only then.

    While one write is on its way, what arrives waits for the next one: a store that is slow, or a bus that catches up
    after an outage, makes writes larger, not more. How many wait is bounded by the consumer's `max_ack_pending`.
    """

    def __init__(self, calls: CallEvents) -> None:
        self._calls = calls
        self._waiting: list[_Arrived] = []
        self._writing = asyncio.Lock()

    async def add(self, event: Event) -> None:
        """Keep an event; twice keeps it once. Raises: TransientError; whatever makes this event impossible to keep."""
        arrived = _Arrived(event)
        self._waiting.append(arrived)
        async with self._writing:
            if not arrived.written and arrived.failure is None:
                await self._write_all()
        if arrived.failure is not None:
            raise arrived.failure

    async def _write_all(self) -> None:
        """Write everything that waits. Cancelled, it leaves the others waiting: each of them writes on."""
        batch, self._waiting = self._waiting, []
        try:
            await self._write(batch)
        except asyncio.CancelledError:
            self._waiting += [each for each in batch if not each.written]
            raise

    async def _write(self, batch: Sequence[_Arrived]) -> None:
        try:
            await self._calls.add([each.event for each in batch])
        except TransientError as exc:
            for each in batch:
                each.failure = exc
        except Exception as exc:
            if len(batch) == 1:
                batch[0].failure = exc
                return
            for each in batch:  # one of them cannot be kept; the others must not suffer
                await self._write([each])
        else:
            for each in batch:
                each.written = True
