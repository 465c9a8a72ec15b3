"""The journal of calls while a real bus is frozen, killed or full: nothing lost, nothing twice, no call nobody's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.js.api import DiscardPolicy

from calliope.contracts.calls import DtmfReceived, Resumed
from calliope.errors import TransientError
from calliope.messaging.broker import Bus, build_broker, start, stop
from calliope.messaging.streams import EVENTS
from calliope.settings import NatsSettings
from calliope_call_worker.adapters import journal as adapter
from calliope_call_worker.adapters.journal import NatsJournals
from calliope_call_worker.ownership import journal as journals
from support.event_log import STARTED
from support.nats import NatsServer, provisioned
from support.waiting import until

RESUMED = Resumed(worker_id="worker_2", previous_worker_id="worker_1", reason="media ended")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    server = NatsServer(tmp_path)
    server.start()
    await provisioned(server.url)
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of seconds, shortened."""
    monkeypatch.setattr(journals, "FIRST_S", 0.3)
    monkeypatch.setattr(journals, "MAX_RETRY_S", 0.5)


class Worker(NatsJournals):
    """As far as journals go."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self.bus = bus


@asynccontextmanager
async def worker(server: NatsServer) -> AsyncIterator[Worker]:
    bus = build_broker(NatsSettings(url=server.url), "call-worker", graceful_timeout_s=2.0)
    await start(bus, within_s=10)
    try:
        async with Worker(bus) as opened:
            yield opened
    finally:
        await stop(bus)


async def names(at: NatsJournals, call_id: str) -> list[str]:
    facts, _ = await at.read(call_id)
    assert [fact.sequence for fact in facts] == list(range(1, len(facts) + 1))
    return [fact.name for fact in facts]


async def eventually(at: NatsJournals, call_id: str, wanted: list[str]) -> None:
    found: list[str] = []
    async with asyncio.timeout(20):
        while found != wanted:
            try:
                found = await names(at, call_id)
            except TransientError:
                found = []
            await asyncio.sleep(0.02)


@pytest.mark.promise("P3")
@pytest.mark.parametrize("how", ["frozen", "killed"])
async def test_fifty_calls_go_on_while_the_bus_is_away_and_every_fact_is_there_afterwards(
    server: NatsServer, how: str
) -> None:
    async with worker(server) as at:
        own = [await at.create("org_1", f"call_{number}", STARTED) for number in range(50)]
        server.freeze() if how == "frozen" else server.kill()
        for at_ms in range(40):
            for journal in own:
                journal.append(DtmfReceived(digit="1", at_ms=at_ms))
            await asyncio.sleep(0)
        await asyncio.sleep(0.5)
        server.thaw() if how == "frozen" else server.start()
        assert all([await journal.flush(30) for journal in own])

        for number in (0, 17, 49):
            assert await names(at, f"call_{number}") == ["started", *["dtmf_received"] * 40]


@pytest.mark.promise("P3")
async def test_a_takeover_that_the_bus_took_and_did_not_confirm_is_closed_and_another_worker_goes_on(
    server: NatsServer,
) -> None:
    async with worker(server) as first, worker(server) as second:
        old = await first.create("org_1", "call_1", STARTED)
        facts, position = await second.read("call_1")
        server.freeze()
        with pytest.raises(TransientError):
            await second.reopen(facts, position, RESUMED)
        await asyncio.sleep(0.2)
        server.thaw()
        await eventually(first, "call_1", ["started", "resumed", "abandoned"])

        facts, position = await first.read("call_1")
        new = await first.reopen(facts, position, RESUMED)
        new.append(DtmfReceived(digit="1", at_ms=0))
        assert await new.flush(5)

        assert await names(second, "call_1") == ["started", "resumed", "abandoned", "resumed", "dtmf_received"]
        assert old.waiting == 0


@pytest.mark.promise("P3")
async def test_a_call_that_was_begun_without_a_word_of_the_bus_is_begun_by_the_next_worker(server: NatsServer) -> None:
    async with worker(server) as first, worker(server) as second:
        server.freeze()
        with pytest.raises(TransientError):
            await first.create("org_1", "call_1", STARTED)
        server.thaw()
        await eventually(second, "call_1", ["started", "abandoned"])

        await second.create("org_1", "call_1", STARTED.model_copy(update={"worker_id": "worker_2"}))

        assert await names(second, "call_1") == ["started", "abandoned", "resumed"]


async def test_a_call_that_the_bus_was_never_told_of_leaves_no_record(server: NatsServer) -> None:
    async with worker(server) as at:
        server.kill()
        await until(lambda: not at.bus.up.is_set())
        with pytest.raises(TransientError):
            await at.create("org_1", "call_1", STARTED)
        server.start()
        await until(at.bus.up.is_set)
        last = await at.create("org_1", "call_2", STARTED)
        assert await last.flush(5)

        assert await names(at, "call_1") == []


@pytest.mark.promise("P3")
async def test_a_bus_that_is_full_refuses_and_takes_all_of_it_when_it_has_room_again(server: NatsServer) -> None:
    async with worker(server) as at:
        journal = await at.create("org_1", "call_1", STARTED)
        await _limit(server, max_bytes=4_096)
        for at_ms in range(100):
            journal.append(DtmfReceived(digit="1", at_ms=at_ms))
        assert not await journal.flush(0.5)
        with pytest.raises(TransientError):
            await at.create("org_1", "call_refused", STARTED)
        assert journal.waiting > 0
        await _limit(server, max_bytes=-1)
        assert await journal.flush(20)

        assert await names(at, "call_1") == ["started", *["dtmf_received"] * 100]
        assert await names(at, "call_refused") == []  # refused, so surely not stored: nothing to close


async def test_facts_that_wait_when_the_process_ends_get_a_moment(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with worker(server) as other:
        async with worker(server) as at:
            journal = await at.create("org_1", "call_1", STARTED)
            server.freeze()
            journal.append(DtmfReceived(digit="1", at_ms=0))
            asyncio.get_running_loop().call_later(0.5, server.thaw)
        assert await names(other, "call_1") == ["started", "dtmf_received"]

        monkeypatch.setattr(adapter, "LAST_FACTS_S", 0.2)
        async with worker(server) as at:
            journal = await at.create("org_1", "call_2", STARTED)
            await _limit(server, max_bytes=1_024)
            journal.append(DtmfReceived(digit="1", at_ms=0))
        assert journal.waiting == 0  # given up, and said


async def _limit(server: NatsServer, *, max_bytes: int) -> None:
    connection = await nats.connect(server.url)
    config = EVENTS.config()
    config.max_bytes, config.discard = max_bytes, DiscardPolicy.NEW
    await connection.jetstream().update_stream(config)
    await connection.close()
