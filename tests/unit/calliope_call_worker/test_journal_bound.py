"""What of a call still becomes a fact while the bus takes nothing: up to a bound, and its end beyond it."""

import asyncio
from typing import Any, cast

import pytest

from calliope.contracts.base import Event
from calliope.contracts.calls import CallEnded, DtmfReceived, EndReason
from calliope.messaging.publish import EventPublisher
from calliope_call_worker.adapters.journal import MAX_WAITING, NatsJournal
from calliope_call_worker.errors import JournalFullError


class Bus:
    """Takes nothing until `open`."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.taken: list[Event] = []

    async def publish(self, event: Event, **_: Any) -> int:
        await self.open.wait()
        self.taken.append(event)
        return len(self.taken)


@pytest.mark.promise("P3")
async def test_a_full_journal_takes_no_more_keys_but_the_calls_end() -> None:
    bus = Bus()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        journal = NatsJournal(
            cast("EventPublisher", bus),
            lambda work, name: tasks.create_task(work, name=name),
            organization_id="org_1",
            call_id="call_1",
        )
        for at_ms in range(MAX_WAITING):
            journal.append(DtmfReceived(digit="1", at_ms=at_ms))
        with pytest.raises(JournalFullError):
            journal.append(DtmfReceived(digit="1", at_ms=0))
        journal.append(CallEnded(reason=EndReason.FAILED, duration_ms=1))
        bus.open.set()
        assert await journal.flush(5)

    assert [event.sequence for event in bus.taken] == list(range(1, MAX_WAITING + 2))
    assert bus.taken[-1].name == "ended"
