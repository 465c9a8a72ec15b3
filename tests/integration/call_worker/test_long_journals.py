"""A call of ten hours is taken over as one of a minute: read in batches, and no more of it than going on needs."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from calliope.contracts.base import Message
from calliope.contracts.calls import (
    CallAnswered,
    DtmfReceived,
    ToolStarted,
    TurnCommitted,
    TurnKind,
    TurnStarted,
)
from calliope.errors import TransientError
from calliope.messaging.broker import Bus, build_broker, start, stop
from calliope.messaging.direct_get import direct_get
from calliope.messaging.publish import encode, subject_of
from calliope.messaging.streams import EVENTS
from calliope.settings import NatsSettings
from calliope_call_worker.adapters import journal_reader
from calliope_call_worker.adapters.journal import NatsJournals
from calliope_call_worker.adapters.journal_reader import HEAD, MOST_RECENT, RECENT
from calliope_call_worker.continuation import continuation
from support.aftermath import an_event
from support.event_log import STARTED


class Worker(NatsJournals):
    """As far as journals go; counts its requests."""

    requests = 0

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self.bus = bus

    async def has(self, call_id: str, facts: list[Message]) -> None:
        """Such a call was recorded, by somebody."""
        for sequence, fact in enumerate(facts, start=1):
            event = an_event(call_id, sequence, fact)
            await self.bus.connection.publish(subject_of(event), encode(event))
            if sequence % 500 == 0:
                await self.bus.connection.flush()
        async with asyncio.timeout(60):
            while (await self.bus.jetstream.stream_info(EVENTS.name)).state.messages < len(facts):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@pytest.fixture
async def worker(bus_settings: NatsSettings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    bus = build_broker(bus_settings, "call-worker", graceful_timeout_s=2.0)
    await start(bus, within_s=10)
    async with Worker(bus) as worker:

        async def counted(*args: Any, **options: Any) -> Any:
            worker.requests += 1
            return await direct_get(*args, **options)

        monkeypatch.setattr(journal_reader, "direct_get", counted)
        yield worker
    await stop(bus)


def talk(facts: int) -> list[Message]:
    """A call with so many facts, the last a turn that was not answered, with a tool that had begun."""
    call: list[Message] = [STARTED, CallAnswered(stream_id="MZ1")]
    while len(call) < facts - 2:
        turn = len(call) // 2
        said = ({"role": "user", "text": f"words {turn}"}, {"role": "assistant", "text": "a", "tool_calls": []})
        call.append(TurnStarted(turn=turn, text=f"words {turn}", at_ms=0))
        call.append(TurnCommitted(turn=turn, kind=TurnKind.REPLY, assistant_text="a", messages=said))
    turn = len(call) // 2
    call.append(TurnStarted(turn=turn, text="and then?", at_ms=0))
    call.append(ToolStarted(turn=turn, tool_call_id="t1", name="look", arguments={}, idempotency_key="key_1"))
    return call


@pytest.mark.promise("P4")
@pytest.mark.parametrize("facts", [10, 408, 1_500])
async def test_what_is_read_of_a_long_call_continues_it_as_all_of_it_would(worker: Worker, facts: int) -> None:
    await worker.has("call_1", talk(facts))

    whole, last = await worker.read("call_1")
    recent, position = await worker.recent("call_1")

    now = time.time()
    wanted = continuation(whole, now, history_characters=2_000)
    assert continuation(recent, now, history_characters=2_000) == wanted
    assert (wanted.unanswered, [one.idempotency_key for one in wanted.tools_unknown]) == ("and then?", ["key_1"])
    assert [fact.sequence for fact in whole] == list(range(1, len(whole) + 1))
    assert (position, recent[-1], recent[: min(HEAD, facts)]) == (last, whole[-1], whole[: min(HEAD, facts)])
    assert len({fact.sequence for fact in recent}) == len(recent)


@pytest.mark.promise("P4")
async def test_a_call_of_hours_is_taken_over_with_few_requests(worker: Worker) -> None:
    await worker.has("call_1", talk(6_000))

    recent, position = await worker.recent("call_1")
    journal = await worker.reopen(recent, position, DtmfReceived(digit="1", at_ms=0))

    assert worker.requests < 20
    assert HEAD + RECENT <= len(recent) <= HEAD + MOST_RECENT
    assert recent[-1].sequence == 6_000
    assert (await worker.recent("call_1"))[0][-1].sequence == 6_001
    assert journal.waiting == 0


async def test_a_call_of_which_much_came_at_once_is_read_far_enough_back(worker: Worker) -> None:
    """As after a bus that was away: the latest facts are many in a second, and those before are far apart."""
    await worker.has("call_1", talk(1_000))
    await asyncio.sleep(1.0)
    event = an_event("call_1", 1_001, DtmfReceived(digit="1", at_ms=0))
    await worker.bus.connection.publish(subject_of(event), encode(event))
    await worker.bus.connection.flush()

    recent, _ = await worker.recent("call_1")

    assert [fact.sequence for fact in recent[-RECENT:]] == list(range(1_002 - RECENT, 1_002))


async def test_a_stream_that_cannot_be_read_so_is_told_in_words(worker: Worker) -> None:
    await worker.has("call_1", talk(10))
    config = EVENTS.config()
    config.allow_direct = False
    await worker.bus.jetstream.update_stream(config)

    with pytest.raises(TransientError, match=r"run `python -m calliope.messaging.provision`"):
        await worker.read("call_1")
