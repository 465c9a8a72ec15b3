"""The journal of a call: facts are stored in order and once, or it is said that they are not; no call is nobody's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from calliope.contracts.calls import (
    AnalysisStatus,
    CallAnalyzed,
    CallEnded,
    CallStarted,
    DtmfReceived,
    EndReason,
    Resumed,
)
from calliope.errors import TransientError
from calliope.observability import metrics
from calliope.runtime.isolated_tasks import IsolatedTasks
from calliope_call_worker.errors import JournalFullError, OwnershipError
from calliope_call_worker.ownership.journal import CARRIER_WAITS_S, FIRST_S, GIVE_UP_S, CallJournal
from calliope_call_worker.ownership.waiting import MAX_BYTES, MAX_BYTES_OVERALL, Waiting
from support.event_log import STARTED, MemoryLog
from support.virtual_time import in_virtual_time

RESUMED = Resumed(worker_id="worker_2", previous_worker_id="worker_1", reason="media ended")
KEY = DtmfReceived(digit="1", at_ms=0)
ENDED = CallEnded(reason=EndReason.CALLER_HUNG_UP, duration_ms=1)


class Journals:
    def __init__(self, log: MemoryLog, tasks: IsolatedTasks, waiting: Waiting) -> None:
        self.log, self.tasks, self.waiting = log, tasks, waiting

    def journal(self, call_id: str = "call_1", **known: Any) -> CallJournal:
        return CallJournal(self.log, self.waiting, self.tasks.spawn, organization_id="org_1", call_id=call_id, **known)


@asynccontextmanager
async def journals(**log: Any) -> AsyncIterator[Journals]:
    async with IsolatedTasks() as tasks:
        yield Journals(MemoryLog(**log), tasks, Waiting())


def fill(journal: CallJournal, fact: CallStarted) -> None:
    for _ in range(10_000):
        journal.append(fact)


async def later(seconds: float) -> None:
    await asyncio.sleep(seconds)


@in_virtual_time
@pytest.mark.promise("P3")
async def test_fifty_calls_outlive_two_minutes_without_a_bus_in_order_without_holes_and_once() -> None:
    async with journals() as at:
        own = [at.journal(f"call_{number}") for number in range(50)]
        for journal in own:
            await journal.store_first(STARTED)
        at.log.away = True
        for _ in range(60):
            for journal in own:
                journal.append(KEY)
            await later(2)
        at.log.away = False
        assert all([await journal.flush(30) for journal in own])

    for number in range(50):
        facts = [event for event in at.log.stored if event.entity_id == f"call_{number}"]
        assert [event.sequence for event in facts] == list(range(1, 62))


@in_virtual_time
@pytest.mark.promise("P3")
async def test_what_a_frozen_bus_was_sent_and_told_nobody_of_is_stored_once() -> None:
    async with journals() as at:
        journal = at.journal()
        await journal.store_first(STARTED)
        at.log.freeze()
        for _ in range(20):
            journal.append(KEY)
            await later(6)
        at.log.thaw()
        assert await journal.flush(30)

    assert [event.sequence for event in at.log.stored] == list(range(1, 22))


@in_virtual_time
async def test_a_bus_that_answers_three_seconds_late_holds_up_nothing_for_ever() -> None:
    async with journals(latency_s=3.0) as at:
        journal = at.journal()
        await journal.store_first(STARTED)
        for _ in range(10):
            journal.append(KEY)
        journal.append(ENDED)
        assert await journal.flush(60)

    assert at.log.names == ["started", *["dtmf_received"] * 10, "ended"]


@in_virtual_time
async def test_a_first_fact_that_was_never_sent_leaves_nothing() -> None:
    async with journals(away=True) as at:
        began = asyncio.get_running_loop().time()
        with pytest.raises(TransientError):
            await at.journal().store_first(STARTED)
        assert asyncio.get_running_loop().time() - began == FIRST_S
        at.log.away = False
        await later(GIVE_UP_S)

    assert at.log.stored == []


@in_virtual_time
@pytest.mark.promise("P3")
async def test_a_first_fact_of_unknown_fate_is_closed_by_a_fence_first_thing_afterwards() -> None:
    async with journals() as at:
        at.log.freeze()
        with pytest.raises(TransientError):
            await at.journal().store_first(RESUMED)
        await later(1)
        at.log.thaw()

    assert at.log.names == ["resumed", "abandoned"]
    assert [event.sequence for event in at.log.stored] == [1, 2]


@in_virtual_time
@pytest.mark.promise("P3")
async def test_a_call_that_nobody_took_and_whose_carrier_asks_no_more_has_an_end() -> None:
    async with journals() as at:
        at.log.freeze()
        with pytest.raises(TransientError):
            await at.journal().store_first(STARTED)
        await later(60)
        at.log.thaw()

    assert at.log.names == ["started", "abandoned"] if CARRIER_WAITS_S > 66 else ["started", "ended"]


@in_virtual_time
async def test_after_a_fence_the_late_first_fact_of_the_same_worker_is_refused() -> None:
    async with journals() as at:
        at.log.freeze()
        first = at.journal()
        with pytest.raises(TransientError):
            await first.store_first(STARTED)
        first.append(KEY)  # of a call that never began here
        at.log.thaw()

    assert "dtmf_received" not in at.log.names


@in_virtual_time
async def test_another_worker_that_was_faster_keeps_the_call() -> None:
    async with journals() as at:
        at.log.freeze()
        with pytest.raises(TransientError):
            await at.journal().store_first(RESUMED)
        at.log._in_transit.clear()  # the connection was cut: it never arrived
        at.log.frozen.set()
        await at.journal().store_first(STARTED)
        await later(60)

    assert at.log.names == ["started"]


@in_virtual_time
async def test_whoever_stops_waiting_for_a_first_fact_does_not_leave_a_call_behind() -> None:
    async with journals(latency_s=2.0) as at:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await at.journal().store_first(STARTED)

    assert at.log.names in ([], ["started", "abandoned"])
    assert at.log.tries > 0


@in_virtual_time
async def test_a_result_of_unknown_fate_needs_no_fence() -> None:
    async with journals() as at:
        at.log.freeze()
        with pytest.raises(TransientError):
            await at.journal().store_first(CallAnalyzed(status=AnalysisStatus.FAILED, error="x"))
        at.log.thaw()

    assert at.log.names == ["analyzed"]


@in_virtual_time
async def test_a_second_writer_is_told_and_the_first_stops_at_once() -> None:
    async with journals() as at:
        old, lost = at.journal(), asyncio.Event()
        await old.store_first(STARTED)
        old.on_lost = lost.set
        new = at.journal(sequence=1, position=1)
        await new.store_first(RESUMED)
        old.append(KEY)
        async with asyncio.timeout(1):
            await lost.wait()
        assert not await old.flush(5)
        with pytest.raises(OwnershipError):
            await at.journal(sequence=1, position=1).store_first(RESUMED)

    assert at.log.names == ["started", "resumed"]


@in_virtual_time
async def test_one_that_looks_whether_the_call_is_still_its_own_finds_out_without_a_word() -> None:
    async with journals() as at:
        old, lost = at.journal(), asyncio.Event()
        await old.store_first(STARTED)
        old.on_lost = lost.set
        await old.verify()
        assert not lost.is_set()

        await at.journal(sequence=1, position=1).store_first(RESUMED)
        await old.verify()

        assert lost.is_set()


@in_virtual_time
async def test_a_call_that_has_ended_is_nobodys_and_its_analysis_takes_nothing_away() -> None:
    async with journals() as at:
        old, lost = at.journal(), asyncio.Event()
        await old.store_first(STARTED)
        old.append(ENDED)
        assert await old.flush(5)
        old.on_lost = lost.set
        result = CallAnalyzed(status=AnalysisStatus.FAILED, error="x")
        await at.journal(sequence=2, position=2).store_first(result)
        await old.verify()

    assert not lost.is_set()


@in_virtual_time
async def test_a_bus_that_is_away_for_too_long_ends_the_call_and_is_counted() -> None:
    before = _lost("gave_up")
    async with journals() as at:
        journal, lost = at.journal(), asyncio.Event()
        await journal.store_first(STARTED)
        journal.on_lost = lost.set
        at.log.away = True
        journal.append(KEY)
        journal.append(KEY)
        async with asyncio.timeout(GIVE_UP_S + 10):
            await lost.wait()

    assert _lost("gave_up") == before + 2


@in_virtual_time
async def test_what_the_process_could_not_store_before_its_end_is_counted() -> None:
    before = _lost("stopped")
    async with journals() as at:
        journal = at.journal()
        await journal.store_first(STARTED)
        at.log.away = True
        journal.append(KEY)
        await later(1)
        journal.stop()

    assert _lost("stopped") == before + 1
    assert at.log.names == ["started"]


@in_virtual_time
async def test_bytes_that_wait_are_bounded_for_a_call_and_for_all_together() -> None:
    large = STARTED.model_copy(update={"carrier_call_id": "x" * 60_000})
    async with journals(away=True) as at:
        calls = [at.journal(f"call_{number}") for number in range(MAX_BYTES_OVERALL // MAX_BYTES + 2)]
        taken = []
        for journal in calls:
            with pytest.raises(JournalFullError):
                fill(journal, large)
            taken.append(journal.waiting * 60_000)
            journal.append(ENDED)  # the end of a call is always taken
        for journal in calls:
            journal.stop()
        assert at.waiting._bytes == 0

    assert taken[0] <= MAX_BYTES
    assert sum(taken) <= MAX_BYTES_OVERALL


def _lost(reason: str) -> float:
    value = metrics.REGISTRY.get_sample_value("calliope_journal_facts_lost_total", {"reason": reason})
    assert value is not None
    return value


@in_virtual_time
async def test_nothing_is_told_of_a_call_behind_its_end() -> None:
    async with journals() as at:
        journal = at.journal()
        await journal.store_first(STARTED)
        journal.append(ENDED)
        journal.append(KEY)  # such as a recogniser that fails because the call is taken down
        assert await journal.flush(5)
        assert [event.name for event in at.log.stored] == ["started", "ended"]


@in_virtual_time
@pytest.mark.promise("P4")
@pytest.mark.parametrize("waits", [False, True], ids=["quiet", "with a fact on its way"])
async def test_whose_call_it_is_is_known_when_it_is_asked(waits: bool) -> None:
    async with journals() as at:
        own = at.journal()
        await own.store_first(STARTED)
        await own.look_whose(1)
        assert not own.lost
        await at.journal(sequence=1, position=1).store_first(RESUMED)
        if waits:
            own.append(KEY)
        await own.look_whose(1)
        assert own.lost


@in_virtual_time
async def test_a_bus_that_does_not_say_whose_a_call_is_is_not_waited_for() -> None:
    async with journals() as at:
        own = at.journal()
        await own.store_first(STARTED)
        at.log.freeze()
        own.append(KEY)
        async with asyncio.timeout(1.1):
            await own.look_whose(1)
        assert not own.lost
        at.log.thaw()
