"""The journal of calls on a real server: one writer at a time, whoever it is."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from calliope.contracts.assistants import NumberRoute
from calliope.contracts.calls import CallAnswered, CallRefused, CallStarted, Direction, DtmfReceived, Refusal, Resumed
from calliope.messaging.broker import Bus, build_broker, start, stop
from calliope.settings import NatsSettings
from calliope_call_worker.adapters.journal import NatsJournals
from calliope_call_worker.calls.authenticate import call_id_of
from calliope_call_worker.errors import OwnershipError
from calliope_call_worker.providers.telephony.base import VoiceHook
from calliope_call_worker.providers.telephony.twilio import Twilio
from calliope_call_worker.refusal_words import Refused
from calliope_call_worker.refusals import Refusals, refused_id

OpenJournals = Callable[[], AbstractAsyncContextManager[NatsJournals]]


@pytest.fixture
def worker(bus_settings: NatsSettings) -> OpenJournals:
    """`async with worker() as journals`: another worker each time, as far as journals go."""

    @asynccontextmanager
    async def open_journals() -> AsyncIterator[NatsJournals]:
        bus: Bus = build_broker(bus_settings, "call-worker", graceful_timeout_s=2.0)
        await start(bus, within_s=10)
        try:
            async with NatsJournals(bus) as journals:
                yield journals
        finally:
            await stop(bus)

    return open_journals


def started(worker_id: str) -> CallStarted:
    return CallStarted(
        direction=Direction.INBOUND,
        from_number="+15550001111",
        to_number="+15550002222",
        assistant_id="asst_1",
        assistant_revision=1,
        carrier="twilio",
        carrier_call_id="CA1",
        worker_id=worker_id,
    )


def resumed(worker_id: str) -> Resumed:
    return Resumed(worker_id=worker_id, previous_worker_id="worker_1", reason="media ended")


@pytest.mark.promise("P4")
async def test_the_owner_before_is_told_at_its_next_word_and_writes_nothing_more(worker: OpenJournals) -> None:
    async with worker() as first, worker() as second:
        old = await first.create("org_1", "call_1", started("worker_1"))
        lost = asyncio.Event()
        old.on_lost = lost.set
        facts, position = await second.read("call_1")
        new = await second.reopen(facts, position, resumed("worker_2"))

        old.append(CallAnswered(stream_id="MZ-old"))
        async with asyncio.timeout(5):
            await lost.wait()
        old.append(DtmfReceived(digit="1", at_ms=1.0))
        new.append(DtmfReceived(digit="2", at_ms=2.0))
        assert await new.flush(5)

        facts, _ = await first.read("call_1")
        assert [(fact.name, fact.sequence) for fact in facts] == [("started", 1), ("resumed", 2), ("dtmf_received", 3)]
        assert facts[-1].data["digit"] == "2"


async def test_a_worker_that_looks_after_its_calls_finds_out_which_are_anothers_now(worker: OpenJournals) -> None:
    async with worker() as first, worker() as second:
        kept, lost = await first.create("org_1", "call_kept", started("worker_1")), asyncio.Event()
        taken = await first.create("org_1", "call_taken", started("worker_1"))
        taken.on_lost = lost.set
        facts, position = await second.read("call_taken")
        await second.reopen(facts, position, resumed("worker_2"))

        await first.verify()

        assert lost.is_set()
        kept.append(DtmfReceived(digit="1", at_ms=1.0))
        assert await kept.flush(5)


async def test_a_call_is_begun_by_one_worker_only(worker: OpenJournals) -> None:
    async with worker() as first, worker() as second:
        await first.create("org_1", "call_2", started("worker_1"))
        with pytest.raises(OwnershipError):
            await second.create("org_1", "call_2", started("worker_2"))


async def test_of_two_workers_that_take_a_call_over_one_gets_it(worker: OpenJournals) -> None:
    async with worker() as first, worker() as second, worker() as third:
        await first.create("org_1", "call_3", started("worker_1"))
        facts, position = await second.read("call_3")
        await third.reopen(facts, position, resumed("worker_3"))
        with pytest.raises(OwnershipError):
            await second.reopen(facts, position, resumed("worker_2"))


@pytest.mark.parametrize("call_id", ["*", ">", "call_4.>", "", "%2A"])
async def test_an_id_that_is_none_leads_to_nobodys_call(worker: OpenJournals, call_id: str) -> None:
    async with worker() as first:
        await first.create("org_1", f"call_4{len(call_id)}", started("worker_1"))

        assert await first.read(call_id) == ((), 0)
        assert await first.first(call_id) is None


async def test_who_began_a_call_is_told_by_its_first_fact_however_long_it_is(worker: OpenJournals) -> None:
    async with worker() as first:
        journal = await first.create("org_1", "call_6", started("worker_1"))
        journal.append(CallAnswered(stream_id="MZ1"))
        assert await journal.flush(5)
        begun = await first.first("call_6")
    assert begun is not None
    assert (begun.name, begun.entity_id, begun.organization) == ("started", "call_6", "org_1")


async def test_a_refused_call_is_recorded_once_and_beside_the_journal_of_the_call_itself(worker: OpenJournals) -> None:
    """Two workers that were asked about the same hook, and then the same call with the right signature."""
    hook = VoiceHook("CA9", "AC1", "+15550001111", "+15550002222", "+15550002222", "ringing")
    route = NumberRoute(
        number="+15550002222", carrier="twilio", organization_id="org_1", assistant_id="asst_1", revision=1,
        is_active=True,
    )  # fmt: skip
    why = Refused(Refusal.SIGNATURE, "compare twilio_config.auth_token")
    async with worker() as first, worker() as second:
        for journals in (first, second):
            async with asyncio.TaskGroup() as tasks:

                def spawn(work: Coroutine[Any, Any, None], name: str, tasks: asyncio.TaskGroup = tasks) -> object:
                    return tasks.create_task(work, name=name)

                Refusals(journals, spawn, worker_id="w1", unsigned_per_minute=6).note("twilio", hook, route, why)
        call_id = call_id_of("org_1", Twilio(), hook)
        await first.create("org_1", call_id, started("w1"))

        (own,), _ = await second.read(call_id)
        told = CallRefused(code="signature", genuine=False, **started("w1").model_dump(), detail="")
        (refused,), _ = await second.read(refused_id("org_1", told.model_copy(update={"carrier_call_id": "CA9"})))
    assert (own.name, refused.name) == ("started", "refused")
    assert refused.data["detail"] == "compare twilio_config.auth_token"
