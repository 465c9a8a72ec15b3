"""When a call counts as lost, and how many that are lost at once end."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from calliope.contracts.base import Event, Message
from calliope.contracts.calls import CallEnded
from calliope.errors import TransientError
from calliope_call_worker.calls.authenticate import BegunCall, HookAuthenticator
from calliope_call_worker.errors import OwnershipError
from calliope_call_worker.lost_calls import AT_ONCE, CLOSE_S, LostCalls
from calliope_call_worker.ownership.absences import MOST_AT_A_LOOK, Absences
from calliope_call_worker.ports import Journals, OpenCalls
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.telephony.base import CarrierAccount, CarrierApi
from calliope_call_worker.settings import CallSettings, WorkerSettings
from support.call_events import STARTED, told
from support.virtual_time import in_virtual_time
from support.waiting import until

BEGAN = datetime.now(UTC) - timedelta(hours=1)
LOST_AFTER_S = 60.0
HANG_UP_S = 2.0


class World:
    """Calls without a worker, whose carrier takes two seconds for everything. Their time is the loop's."""

    def __init__(self, calls: int, *, stuck: Sequence[str] = (), fails: Sequence[Exception] = ()) -> None:
        facts = [("started", STARTED), ("answered", {"stream_id": "MZ1"})]
        self.journals = {f"call_{n}": tuple(told(facts, call_id=f"call_{n}", began=BEGAN)) for n in range(calls)}
        self.open = set(self.journals)
        self.ends: dict[str, CallEnded] = {}
        self.ended_after_s: list[float] = []
        self.hanging_up = self.most_at_once = self.hung_up = 0
        self._stuck, self._fails = set(stuck), list(fails)
        self.lost_calls = LostCalls(
            settings=WorkerSettings(call=CallSettings(lost_after_s=LOST_AFTER_S)),
            open_calls=cast("OpenCalls", self),
            journals=cast("Journals", self),
            authenticator=cast("HookAuthenticator", self),
            apis={"twilio": cast("CarrierApi", self)},
        )

    async def without_owner(self) -> set[str]:
        return set(self.open)

    async def forget(self, call_id: str) -> None:
        self.open.remove(call_id)

    async def recent(self, call_id: str) -> tuple[tuple[Event, ...], int]:
        if call_id in self._stuck:
            await asyncio.Event().wait()
        return self.journals[call_id], 2

    async def reopen(self, facts: tuple[Event, ...], last: int, first: Message) -> None:
        call_id = facts[0].entity_id
        if call_id in self.ends:
            raise OwnershipError("somebody wrote since")
        self.ends[call_id] = cast("CallEnded", first)
        self.ended_after_s.append(asyncio.get_running_loop().time())
        end = facts[-1].model_copy(
            update={
                "type": "calliope.call.ended.v1",
                "data": first.model_dump(mode="json"),
                "time": datetime.now(UTC) - timedelta(seconds=CLOSE_S + 1),
            }
        )
        self.journals[call_id] = (*facts, end)

    async def accounts_of(self, call: BegunCall) -> list[CarrierAccount]:
        return [CarrierAccount("AC1", "t")]

    async def hang_up(self, account: CarrierAccount, carrier_call_id: str) -> None:
        self.hanging_up += 1
        self.most_at_once = max(self.most_at_once, self.hanging_up)
        await asyncio.sleep(HANG_UP_S)
        self.hanging_up -= 1
        if self._fails:
            raise self._fails.pop(0)
        self.hung_up += 1

    async def all_forgotten(self, within_s: float) -> None:
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(self.lost_calls.run())
            try:
                await until(lambda: not self.open, within_s=within_s)
            finally:
                work.cancel()


@in_virtual_time
async def test_a_hundred_lost_calls_end_side_by_side() -> None:
    world = World(100)
    await world.all_forgotten(LOST_AFTER_S * 2)
    assert (len(world.ends), world.hung_up, world.most_at_once) == (100, 100, AT_ONCE)
    assert max(world.ended_after_s) - min(world.ended_after_s) <= 100 / AT_ONCE * HANG_UP_S


@in_virtual_time
async def test_one_that_cannot_be_read_holds_up_no_other() -> None:
    world = World(AT_ONCE + 1, stuck=["call_0"])
    with pytest.RaisesGroup(TimeoutError):
        await world.all_forgotten(LOST_AFTER_S * 2)
    assert world.open == {"call_0"}


@in_virtual_time
async def test_a_line_that_its_carrier_did_not_put_down_is_put_down_later() -> None:
    world = World(1, fails=[ProviderError("twilio", Failure.DEADLINE, ""), TransientError("not now")])
    await world.all_forgotten(LOST_AFTER_S * 2)
    assert (len(world.ends), world.hung_up) == (1, 1)


@in_virtual_time
async def test_a_carrier_that_refuses_to_put_a_line_down_is_not_asked_for_ever() -> None:
    world = World(1, fails=[ProviderError("twilio", Failure.REFUSED, "")])
    await world.all_forgotten(LOST_AFTER_S * 2)
    assert world.hung_up == 0


@in_virtual_time
async def test_a_lost_call_ended_when_it_was_last_heard_of() -> None:
    world = World(1)
    await world.all_forgotten(LOST_AFTER_S * 2)
    end = world.ends["call_0"]
    assert end.ended_at == world.journals["call_0"][1].time
    assert end.duration_ms == 0.0


def test_a_call_is_lost_when_nobody_has_held_it_for_long() -> None:
    absences = Absences(lost_after_s=60)
    assert absences.lost({"call_1"}, 10.0) == []
    assert absences.lost({"call_1"}, 69.9) == []
    assert absences.lost({"call_1", "call_2"}, 70.0) == ["call_1"]


def test_a_call_that_somebody_took_over_begins_anew() -> None:
    absences = Absences(lost_after_s=60)
    absences.lost({"call_1"}, 0.0)
    absences.lost(set(), 30.0)
    assert absences.lost({"call_1"}, 61.0) == []
    assert absences.lost({"call_1"}, 121.0) == ["call_1"]


def test_so_many_lost_at_once_take_several_rounds() -> None:
    absences = Absences(lost_after_s=1)
    calls = {f"call_{number}" for number in range(MOST_AT_A_LOOK + 50)}
    absences.lost(calls, 0.0)
    first = absences.lost(calls, 1.0)
    assert len(first) == MOST_AT_A_LOOK
    assert len(absences.lost(calls - set(first), 2.0)) == 50
