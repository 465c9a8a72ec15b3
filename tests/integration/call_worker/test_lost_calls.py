"""Calls whose worker died, on a real bus: their journals get an end, once, and only theirs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from calliope.contracts.assistants import PinnedAssistant
from calliope.contracts.base import Event
from calliope.contracts.calls import (
    CallAnswered,
    CallEnded,
    CallStarted,
    Direction,
    EndReason,
    TransferStarted,
    TurnStarted,
)
from calliope.messaging.broker import Bus, build_broker, start, stop
from calliope.secrets import Opener
from calliope.settings import NatsSettings
from calliope_call_worker.accounts import CarrierAccounts
from calliope_call_worker.adapters.journal import NatsJournals
from calliope_call_worker.adapters.lease import NatsLeaseStore
from calliope_call_worker.adapters.open_calls import NatsOpenCalls
from calliope_call_worker.calls.authenticate import HookAuthenticator
from calliope_call_worker.calls.documents import CallDocuments
from calliope_call_worker.lost_calls import LostCalls
from calliope_call_worker.opened_documents import OpenedDocuments
from calliope_call_worker.ownership.journal import CallJournal
from calliope_call_worker.ownership.lease import LeaseKeeper
from calliope_call_worker.providers.telephony.base import CarrierAccount, CarrierApi
from calliope_call_worker.settings import CallSettings, CarriersSettings, TwilioSettings, WorkerSettings
from support.acceptance import FakeAssistants, FakePins
from support.waiting import until

pytestmark = pytest.mark.promise("P3")
SETTINGS = WorkerSettings(
    call=CallSettings(lost_after_s=0.2),
    carriers=CarriersSettings(twilio=TwilioSettings.model_validate({"account_sid": "AC1", "auth_token": "t"})),
)
BROKEN = "asst_broken"
STARTED = CallStarted(
    direction=Direction.INBOUND, from_number="+15550001", to_number="+15550002", assistant_id="asst_1",
    assistant_revision=1, carrier="twilio", carrier_call_id="CA1", worker_id="worker_0",
)  # fmt: skip


@dataclass(slots=True)
class Outside:
    """The directory, and the carrier's REST with the calls that were hung up."""

    hung_up: list[tuple[str, str]] = field(default_factory=list)

    async def pin(self, organization_id: str, assistant_id: str) -> PinnedAssistant:
        """See `Directory`."""
        if assistant_id == BROKEN:
            raise RuntimeError("nobody thought of this")
        document = {"name": "Ann", "llm_provider_config": {"api_key": "k"}}
        return PinnedAssistant(id=assistant_id, organization_id=organization_id, revision=1, document=document)

    async def hang_up(self, account: CarrierAccount, carrier_call_id: str) -> None:
        """See `CarrierApi`."""
        self.hung_up.append((account.account_id, carrier_call_id))


@dataclass(slots=True)
class Worker:
    """As far as lost calls go."""

    journals: NatsJournals
    open_calls: NatsOpenCalls
    leases: LeaseKeeper
    outside: Outside
    lost_calls: LostCalls

    async def takes(self, call_id: str, *, assistant_id: str = "asst_1") -> CallJournal:
        """A call begins."""
        await self.open_calls.note(call_id)
        first = STARTED.model_copy(update={"assistant_id": assistant_id})
        return await self.journals.create("org_1", call_id, first)

    async def facts(self, call_id: str) -> tuple[Event, ...]:
        """So far."""
        return (await self.journals.read(call_id))[0]

    async def ended(self, call_id: str) -> Event:
        """The end, once it is there."""
        async with asyncio.timeout(20):
            while True:
                if (last := (await self.facts(call_id))[-1]).name == "ended":
                    return last
                await asyncio.sleep(0.02)


OpenWorker = Callable[[], Coroutine[Any, Any, Worker]]


@pytest.fixture
async def another_worker(bus_settings: NatsSettings) -> AsyncIterator[OpenWorker]:
    async with AsyncExitStack() as stack:
        yield lambda: stack.enter_async_context(_a_worker(bus_settings))


@asynccontextmanager
async def _a_worker(settings: NatsSettings) -> AsyncIterator[Worker]:
    bus: Bus = build_broker(settings, "call-worker", graceful_timeout_s=2.0)
    await start(bus, within_s=10)
    outside, open_calls = Outside(), NatsOpenCalls(bus)
    try:
        async with NatsJournals(bus) as journals, asyncio.TaskGroup() as tasks:
            leases = LeaseKeeper(NatsLeaseStore(bus), "worker_1")
            documents = CallDocuments(outside, FakePins(), OpenedDocuments(Opener([])))
            accounts = CarrierAccounts(SETTINGS.carriers, Opener([]))
            authenticator = HookAuthenticator(SETTINGS, accounts, FakeAssistants({}), documents)
            lost_calls = LostCalls(
                settings=SETTINGS,
                open_calls=open_calls,
                journals=journals,
                authenticator=authenticator,
                apis={"twilio": cast("CarrierApi", outside)},
            )
            background = [tasks.create_task(lost_calls.run()), tasks.create_task(leases.renew())]
            yield Worker(journals, open_calls, leases, outside, lost_calls)
            for task in background:
                task.cancel()
    finally:
        await stop(bus)


async def test_its_record_ends_and_the_line_is_put_down(another_worker: OpenWorker) -> None:
    worker = await another_worker()
    journal = await worker.takes("call_lost")
    journal.append(CallAnswered(stream_id="MZ1"))
    journal.append(TurnStarted(turn=1, text="Hello?", at_ms=900))
    assert await journal.flush(5)

    end = await worker.ended("call_lost")

    assert CallEnded.model_validate(end.data).reason is EndReason.WORKER_LOST
    assert end.sequence == 4
    assert CallEnded.model_validate(end.data).ended_at == (await worker.facts("call_lost"))[2].time
    await until(lambda: worker.outside.hung_up)
    assert worker.outside.hung_up == [("AC1", "CA1")]


async def test_a_call_that_somebody_holds_is_let_alone(another_worker: OpenWorker) -> None:
    worker = await another_worker()
    await worker.takes("call_held")
    await worker.leases.take("call_held", "org_1")
    await worker.takes("call_left")

    await worker.ended("call_left")

    assert [fact.name for fact in await worker.facts("call_held")] == ["started"]


async def test_whose_caller_talks_to_someone_else_stays_on_the_line(another_worker: OpenWorker) -> None:
    worker = await another_worker()
    journal = await worker.takes("call_moved")
    journal.append(TransferStarted(to_number="+15550009"))
    await journal.flush(5)

    await worker.ended("call_moved")
    await _forgotten(worker, "call_moved")

    assert worker.outside.hung_up == []


async def test_several_workers_write_one_end(another_worker: OpenWorker) -> None:
    workers = [await another_worker() for _ in range(3)]
    await workers[0].takes("call_1")

    await workers[0].ended("call_1")
    await _forgotten(workers[0], "call_1")

    assert [fact.name for fact in await workers[0].facts("call_1")] == ["started", "ended"]


async def test_a_call_that_cannot_be_closed_well_does_not_hold_up_the_others(another_worker: OpenWorker) -> None:
    worker = await another_worker()
    await worker.takes("call_a", assistant_id=BROKEN)
    await worker.ended("call_a")
    await worker.takes("call_b")

    await worker.ended("call_b")
    await _forgotten(worker, "call_b")


async def test_a_call_that_has_ended_is_forgotten_and_nothing_is_added(another_worker: OpenWorker) -> None:
    worker = await another_worker()
    journal = await worker.takes("call_over")
    journal.append(CallEnded(reason=EndReason.CALLER_HUNG_UP, duration_ms=5))
    assert await journal.flush(5)

    await _forgotten(worker, "call_over")

    assert [fact.name for fact in await worker.facts("call_over")] == ["started", "ended"]


async def _forgotten(worker: Worker, call_id: str) -> None:
    async with asyncio.timeout(20):
        while call_id in await worker.open_calls.without_owner():  # noqa: ASYNC110 - the bus tells nobody
            await asyncio.sleep(0.02)
