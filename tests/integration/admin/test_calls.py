"""`calliope-admin calls …` against a real bus, beside workers whose calls are not real."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from calliope.contracts.calls import CallAnswered, CallEnded, CallStarted, Direction, EndReason, Resumed
from calliope.contracts.workers import WorkerDescription
from calliope.messaging.broker import build_broker, start, stop
from calliope.settings import NatsSettings
from calliope_call_worker.adapters.journal import NatsJournals
from calliope_call_worker.adapters.lease import NatsLeaseStore
from calliope_call_worker.adapters.open_calls import NatsOpenCalls
from calliope_call_worker.calls.authenticate import HookAuthenticator
from calliope_call_worker.calls.operate import OperatedCalls
from calliope_call_worker.handlers import answer_operators, describe_worker
from calliope_call_worker.lost_calls import LostCalls
from calliope_call_worker.ownership.journal import CallJournal
from calliope_call_worker.ownership.lease import LeaseKeeper
from calliope_call_worker.registry import LiveCall, LiveCalls
from calliope_call_worker.settings import WorkerSettings
from support.admin import Said, admin_here
from support.nats import bus_settings

__all__ = ["bus_settings"]


class RunningCall:
    """A call as operators see it."""

    def __init__(self, call_id: str, journal: CallJournal, worker: "Worker") -> None:
        self.plan = SimpleNamespace(call_id=call_id)
        self.journal, self.worker = journal, worker
        self.ending, self.waiting_facts = False, 0
        self.over = asyncio.Event()

    def end(self, reason: EndReason, detail: str) -> None:
        self.ending = True
        self.journal.append(CallEnded(reason=reason, duration_ms=7, detail=detail))
        self.over.set()

    async def released(self) -> None:
        await self.over.wait()
        await self.journal.flush(5)


@dataclass
class Worker:
    """A worker as operators see it."""

    worker_id: str
    journals: NatsJournals
    leases: LeaseKeeper
    live: LiveCalls = field(default_factory=lambda: LiveCalls(5, lambda: None))
    taken_by: "Worker | None" = None

    async def takes(self, call_id: str) -> CallJournal:
        """A call begins, and is answered."""
        first = CallStarted(
            direction=Direction.INBOUND, from_number="+15550001", to_number="+15550002", assistant_id="asst_1",
            assistant_revision=3, carrier="twilio", carrier_call_id="CA1", worker_id=self.worker_id,
        )  # fmt: skip
        return await self.runs(call_id, await self.journals.create("org_1", call_id, first))

    async def runs(self, call_id: str, journal: CallJournal) -> CallJournal:
        await self.leases.take(call_id, "org_1")
        journal.append(CallAnswered(stream_id="MZ1"))
        await journal.flush(5)
        self.live.register(cast("LiveCall", RunningCall(call_id, journal, self)))
        return journal

    async def dies_with(self, call_id: str) -> None:
        self.live.release(call_id)
        await self.leases.release(call_id)

    async def hand_over(self, call: LiveCall) -> None:
        call_id = call.plan.call_id
        await self.dies_with(call_id)
        if self.taken_by is not None:
            facts, last = await self.taken_by.journals.read(call_id)
            resumed = Resumed(
                worker_id=self.taken_by.worker_id, previous_worker_id=self.worker_id, reason="handed over"
            )
            await self.taken_by.runs(call_id, await self.taken_by.journals.reopen(facts, last, resumed))

    def describe(self) -> WorkerDescription:
        return WorkerDescription.model_validate(
            {
                "worker_id": self.worker_id,
                "slots": 5,
                "calls": len(self.live),
                "accepting": True,
                "public_url": "https://x",
                "media_url": "wss://x",
                "at": "2030-01-01T00:00:00Z",
            }
        )


StartWorker = Callable[[str], Awaitable[Worker]]


@asynccontextmanager
async def a_worker(settings: NatsSettings, worker_id: str) -> AsyncIterator[Worker]:
    bus = build_broker(settings, "call-worker", graceful_timeout_s=2.0)
    async with NatsJournals(bus) as journals:
        worker = Worker(worker_id, journals, LeaseKeeper(NatsLeaseStore(bus), worker_id))
        lost_calls = LostCalls(
            settings=WorkerSettings(),
            open_calls=NatsOpenCalls(bus),
            journals=journals,
            authenticator=cast("HookAuthenticator", None),
            apis={},
        )
        answer_operators(bus, worker_id, OperatedCalls(worker_id, worker.live, lost_calls, worker.hand_over))
        describe_worker(bus, worker_id, worker.describe)
        await start(bus, within_s=10)
        try:
            yield worker
        finally:
            await stop(bus)


@pytest.fixture
async def worker(bus_settings: NatsSettings) -> AsyncIterator[StartWorker]:
    async with AsyncExitStack() as stack:

        async def started(worker_id: str) -> Worker:
            return await stack.enter_async_context(a_worker(bus_settings, worker_id))

        yield started


@pytest.fixture
def say(bus_settings: NatsSettings) -> Callable[..., Awaitable[Said]]:
    def said(*words: str) -> Awaitable[Said]:
        return admin_here("calls", *words, "--nats", bus_settings.url)

    return said


Say = Callable[..., Awaitable[Said]]
CALL = "call_1"


async def facts(worker: Worker) -> list[str]:
    return [fact.name for fact in (await worker.journals.read(CALL))[0]]


async def test_a_call_is_shown_with_its_owner_its_facts_and_what_waits(worker: StartWorker, say: Say) -> None:
    one, _ = await worker("worker_a"), await worker("worker_b")
    await one.takes(CALL)
    said, scripts = await say("show", CALL), (await say("show", CALL, "--json")).json
    assert (said.status, said.err) == (0, "")
    assert "state         talking; last fact 0 s ago" in said.out
    assert "owner         worker_a, which answers\n" in said.out
    assert "facts         2: started, answered" in said.out
    assert (
        "waits         webhooks-fanout, which has handled EVENTS up to number 0; the last fact is number 2" in said.out
    )
    assert "+1555" not in said.out + str(scripts)
    assert (scripts["owner"], scripts["lease"]["worker_id"], scripts["waiting_facts"]) == ("worker_a", "worker_a", 0)
    assert [each["name"] for each in scripts["facts"]] == ["started", "answered"]


async def test_a_call_whose_worker_died_says_that_nobody_has_it(worker: StartWorker, say: Say) -> None:
    one = await worker("worker_a")
    await one.takes(CALL)
    await one.dies_with(CALL)
    assert "owner         nobody: the lease of worker_a has lapsed" in (await say("show", CALL)).out


async def test_its_worker_ends_it_and_once_is_enough(worker: StartWorker, say: Say) -> None:
    one, _ = await worker("worker_a"), await worker("worker_b")
    await one.takes(CALL)
    first, again = await say("end", CALL), await say("end", CALL)
    (*_, end) = (await one.journals.read(CALL))[0]
    assert (first.status, first.out) == (0, "worker_a has ended call_1.\n")
    assert (again.status, again.out.startswith("call_1 has ended already: operator_ended, at ")) == (0, True)
    assert (end.name, end.data["reason"]) == ("ended", "operator_ended")
    assert "waits         its analysis" in (await say("show", CALL)).out


async def test_a_call_that_nobody_has_is_closed_once_nobody_can_be_on_the_way_to_it(
    worker: StartWorker, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = await worker("worker_a"), await worker("worker_b")
    await one.takes(CALL)
    await one.dies_with(CALL)
    early = await say("end", CALL)
    monkeypatch.setattr("calliope_call_worker.lost_calls.QUIET_S", 0.0)
    done = await say("end", CALL)
    assert (early.status, early.out) == (1, "")
    assert "call_1 changes hands" in early.err
    assert (done.status, done.out) == (
        0,
        "No worker had call_1: its record ends as worker_lost, and its line is put down.\n",
    )
    assert await facts(one) == ["started", "answered", "ended"]


async def test_a_worker_that_does_not_answer_keeps_its_call_until_its_lease_has_lapsed(
    worker: StartWorker, say: Say
) -> None:
    one = await worker("worker_a")
    await one.takes(CALL)
    one.live.release(CALL)
    said = await say("end", CALL)
    assert said.status == 1
    assert "worker_a holds the lease of call_1 and does not answer: try again in 5 s" in said.err
    assert await facts(one) == ["started", "answered"]


async def test_another_worker_goes_on_with_a_call_that_is_released(worker: StartWorker, say: Say) -> None:
    one, other = await worker("worker_a"), await worker("worker_b")
    one.taken_by = other
    await one.takes(CALL)
    said = await say("release", CALL)
    shown = await say("show", CALL)
    assert (said.status, said.out) == (0, "worker_b goes on with call_1; worker_a has left it.\n")
    assert "owner         worker_b, which answers\n" in shown.out
    assert await facts(one) == ["started", "answered", "resumed", "answered"]


async def test_a_call_is_kept_where_nobody_else_could_go_on(worker: StartWorker, say: Say) -> None:
    one = await worker("worker_a")
    await one.takes(CALL)
    said = await say("release", CALL)
    assert (said.status, said.out) == (1, "")
    assert "worker_a keeps the call: there is no other call-worker. Start one more, and release it then." in said.err
    assert one.live.get(CALL) is not None


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (("show", "call_none"), 1, "There is no call call_none on this bus"),
        (("end", "call_none"), 1, "There is no call call_none on this bus"),
        (("show", "call.*"), 2, "argument CALL_ID: 'call.*' is no id of a call"),
        (("end", "x" * 129), 2, "is no id of a call"),
        (("release",), 2, "the following arguments are required: CALL_ID"),
    ],
)
async def test_a_refusal_names_what_is_wrong(say: Say, words: tuple[str, ...], status: int, expected: str) -> None:
    said = await say(*words)
    assert (said.status, said.out) == (status, "")
    assert expected in said.err


async def test_without_workers_nothing_can_be_closed(worker: StartWorker, say: Say, bus_settings: NatsSettings) -> None:
    async with a_worker(bus_settings, "worker_a") as one:
        await one.takes(CALL)
        await one.dies_with(CALL)
    said = await say("end", CALL)
    assert said.status == 1
    assert "No call-worker can close call_1" in said.err
    assert "start one" in said.err
