"""What of a call becomes a fact: up to a bound while the bus is away, its end beyond it, the largest shortened."""

import asyncio

import pytest

from calliope.contracts.base import Event
from calliope.contracts.calls import CallEnded, DtmfReceived, EndReason, TurnCommitted, TurnKind
from calliope.messaging.publish import encode
from calliope_call_worker.errors import JournalFullError
from calliope_call_worker.ownership.journal import CallJournal
from calliope_call_worker.ownership.payload_truncation import CUT, MAX_FACT_BYTES
from calliope_call_worker.ownership.waiting import MAX_FACTS, Waiting


class Bus:
    """Takes nothing until `open`."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.taken: list[Event] = []

    async def append(self, event: Event, *, after: int) -> int:
        await self.open.wait()
        assert after == len(self.taken)
        self.taken.append(event)
        return len(self.taken)

    async def last_position(self, organization_id: str, call_id: str) -> int:
        return len(self.taken)


def a_journal(bus: Bus, tasks: asyncio.TaskGroup) -> CallJournal:
    return CallJournal(
        bus,
        Waiting(),
        lambda work, name: tasks.create_task(work, name=name),
        organization_id="org_1",
        call_id="call_1",
    )


@pytest.mark.promise("P3")
async def test_a_full_journal_takes_no_more_keys_but_the_calls_end() -> None:
    bus = Bus()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        journal = a_journal(bus, tasks)
        for at_ms in range(MAX_FACTS):
            journal.append(DtmfReceived(digit="1", at_ms=at_ms))
        with pytest.raises(JournalFullError):
            journal.append(DtmfReceived(digit="1", at_ms=0))
        journal.append(CallEnded(reason=EndReason.FAILED, duration_ms=1))
        bus.open.set()
        assert await journal.flush(5)

    assert [event.sequence for event in bus.taken] == list(range(1, MAX_FACTS + 2))
    assert bus.taken[-1].name == "ended"


@pytest.mark.promise("P3")
@pytest.mark.parametrize("answers", [40, 120])
async def test_a_turn_too_large_for_the_bus_is_written_with_its_longest_texts_cut(answers: int) -> None:
    """Tools may answer 8 KiB each, many in one turn; each control character is six bytes in JSON."""
    tools = [
        {"role": "tool", "tool_call_id": f"c{n}", "name": "look", "content": "\x01" * 8_192} for n in range(answers)
    ]
    turn = TurnCommitted(
        turn=1, kind=TurnKind.REPLY, user_text="look", assistant_text="It says.", messages=tuple(tools)
    )
    bus = Bus()
    bus.open.set()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        journal = a_journal(bus, tasks)
        journal.append(turn)
        assert await journal.flush(5)

    written = TurnCommitted.model_validate(bus.taken[0].data)
    assert len(encode(bus.taken[0])) <= MAX_FACT_BYTES
    assert (written.user_text, written.assistant_text, len(written.messages)) == ("look", "It says.", answers)
    assert [message["tool_call_id"] for message in written.messages] == [f"c{n}" for n in range(answers)]
    assert str(written.messages[0]["content"]).endswith(CUT)


async def test_a_turn_of_usual_size_is_written_as_it_is() -> None:
    turn = TurnCommitted(turn=1, kind=TurnKind.REPLY, assistant_text="word " * 5_000)
    bus = Bus()
    bus.open.set()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        a_journal(bus, tasks).append(turn)

    assert TurnCommitted.model_validate(bus.taken[0].data) == turn
