"""A call whose worker fell silent: its carrier is told once to ask who goes on, and nobody else's is."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from calliope.contracts.base import Event
from calliope.contracts.calls import CallStarted
from calliope.errors import TransientError
from calliope_call_worker.calls.authenticate import BegunCall, HookAuthenticator
from calliope_call_worker.ports import Journals, OpenCalls
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.telephony.base import CarrierAccount, CarrierApi
from calliope_call_worker.settings import WorkerSettings
from calliope_call_worker.silent_owners import LOOK_S, SILENT_S, SilentOwners
from support.virtual_time import in_virtual_time

STARTED = CallStarted(
    direction="inbound", from_number="+15550001", to_number="+15550002", assistant_id="asst_1",
    assistant_revision=1, carrier="twilio", carrier_call_id="CA1", worker_id="worker_0",
)  # fmt: skip
TALKING = ("started", "answered", "turn_started")
OLD, NEW = CarrierAccount("AC1", "old"), CarrierAccount("AC1", "new")


class World:
    """Calls without a lease, their journals, the claims of all workers, and what carriers were told."""

    def __init__(self, *names: str, age_s: float = 60.0) -> None:
        self.without: set[str] = {"call_1"}
        self.facts = {"call_1": facts("call_1", names, age_s)}
        self.claimed: set[tuple[str, str]] = set()
        self.asked: list[str] = []
        self.taken_up: list[str] = []
        self.accounts: Sequence[CarrierAccount] = (NEW,)
        self.away = False
        self.refuses: Failure | None = None

    async def without_owner(self) -> set[str]:
        if self.away:
            raise TransientError("the bus is away")
        return set(self.without)

    async def recent(self, call_id: str) -> tuple[tuple[Event, ...], int]:
        return self.facts[call_id], len(self.facts[call_id])

    async def claim(self, call_id: str, what: str) -> bool:
        if (call_id, what) in self.claimed:
            return False
        self.claimed.add((call_id, what))
        return True

    async def accounts_of(self, call: BegunCall) -> Sequence[CarrierAccount]:
        return self.accounts

    async def ask_again(self, account: CarrierAccount, carrier_call_id: str, *, after_url: str, key: str) -> None:
        if self.refuses is not None and account is NEW:
            raise ProviderError("twilio", self.refuses, "no")
        self.asked.append(after_url.removeprefix(WorkerSettings().public_url))

    async def take_up(self, carrier: str, call_id: str) -> None:
        self.taken_up.append(f"{carrier} {call_id}")
        if len(self.taken_up) == 1:
            raise TransientError("no free slot")

    @asynccontextmanager
    async def watching(self, *, workers: int = 1, here: str = "") -> AsyncIterator[None]:
        """While so many workers look; calls in `here` run on them."""
        owners = SilentOwners(
            settings=WorkerSettings(),
            open_calls=cast("OpenCalls", self),
            journals=cast("Journals", self),
            authenticator=cast("HookAuthenticator", self),
            apis={"twilio": cast("CarrierApi", self)},
            take_up=self.take_up,
            runs_here=lambda call_id: call_id == here,
        )
        async with asyncio.TaskGroup() as tasks:
            looking = [tasks.create_task(owners.run()) for _ in range(workers)]
            yield
            for task in looking:
                task.cancel()

    async def watched(self, seconds: float, *, workers: int = 1, here: str = "") -> list[str]:
        """What carriers were told when so many workers had looked for so long."""
        async with self.watching(workers=workers, here=here):
            await asyncio.sleep(seconds)
        return self.asked


def facts(call_id: str, names: Sequence[str], age_s: float) -> tuple[Event, ...]:
    data: dict[str, dict[str, Any]] = {"started": STARTED.model_dump(mode="json")}
    return tuple(
        Event.model_validate(
            {
                "id": f"evt_{sequence}",
                "type": f"calliope.call.{name}.v1",
                "source": "/calliope/call-worker",
                "subject": f"call/{call_id}",
                "time": datetime.now(UTC) - timedelta(seconds=age_s),
                "organization": "org_1",
                "sequence": sequence,
                "data": data.get(name, {}),
            }
        )
        for sequence, name in enumerate(names, 1)
    )


@in_virtual_time
@pytest.mark.promise("P4")
async def test_the_carrier_is_told_once_whatever_the_number_of_workers_that_look() -> None:
    world = World(*TALKING)
    assert await world.watched(60, workers=3) == ["/telephony/twilio/resume/call_1"]


@in_virtual_time
async def test_a_call_that_goes_on_and_is_lost_again_is_asked_about_again() -> None:
    world = World(*TALKING)
    async with world.watching():
        await asyncio.sleep(20)
        lost, world.without = world.without, set()
        await asyncio.sleep(2 * LOOK_S)
        world.without = lost
        world.facts["call_1"] = facts("call_1", (*TALKING, "resumed", "answered"), 60)
        await asyncio.sleep(20)
    assert len(world.asked) == 2


@in_virtual_time
@pytest.mark.parametrize(
    "names",
    [
        (*TALKING, "ended"),
        ("started", "ended"),
        (*TALKING, "transfer_started"),
        ("refused",),
        (),
    ],
    ids=["over", "over before it was answered", "on his way to somebody else", "never taken", "unknown"],
)
async def test_whose_caller_does_not_wait_for_us_is_let_alone(names: tuple[str, ...]) -> None:
    world = World(*names)
    assert await world.watched(60) == []
    assert not world.taken_up


@in_virtual_time
@pytest.mark.promise("P4")
async def test_a_call_that_rings_is_taken_up_as_soon_as_somebody_can() -> None:
    world = World("started")
    assert await world.watched(60) == []
    assert world.taken_up == ["twilio call_1"] * 2


@in_virtual_time
async def test_a_worker_that_still_writes_or_runs_the_call_here_is_not_silent() -> None:
    assert await World(*TALKING, age_s=0).watched(SILENT_S + 2 * LOOK_S) == []
    assert await World(*TALKING).watched(60, here="call_1") == []


@in_virtual_time
async def test_leases_that_come_back_with_the_bus_are_no_loss() -> None:
    world = World(*TALKING)
    lost = world.without
    async with world.watching():
        for away, without in [(True, lost), (False, set())] * 3:
            world.away, world.without = away, without
            await asyncio.sleep(2 * LOOK_S)
            world.away, world.without = False, lost
            await asyncio.sleep(SILENT_S - 1)
        assert world.asked == []
        await asyncio.sleep(SILENT_S + LOOK_S)
    assert len(world.asked) == 1


@in_virtual_time
async def test_with_a_token_that_was_rotated_the_old_one_is_tried_too() -> None:
    world = World(*TALKING)
    world.accounts, world.refuses = (NEW, OLD), Failure.KEY
    assert await world.watched(20) == ["/telephony/twilio/resume/call_1"]


@in_virtual_time
async def test_a_carrier_that_cannot_be_told_does_not_keep_the_others_waiting() -> None:
    world = World(*TALKING)
    world.without, world.refuses = {"call_1", "call_2"}, Failure.ERROR
    world.facts["call_2"] = facts("call_2", TALKING, 60)
    await world.watched(20)
    assert {call_id for call_id, _ in world.claimed} == {"call_1", "call_2"}
