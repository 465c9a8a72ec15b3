"""A worker's calls end alone, and when it drains, all of them are over or with somebody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

from calliope.contracts.workers import WorkerState
from calliope.runtime.isolated_tasks import IsolatedTasks
from calliope_call_worker.call import Call
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.ports import Journal, Leases, OpenCalls
from calliope_call_worker.settings import WorkerSettings
from calliope_call_worker.worker import AWAY_S, TURN_S, Worker
from support.virtual_time import in_virtual_time


class FakeCall:
    """Talks until it is told to stop, or fails when `bug` is set."""

    def __init__(self, call_id: str, *, abandon_s: float = 0.0) -> None:
        self.plan = SimpleNamespace(call_id=call_id)
        self.abandoned, self.told, self.ending = False, False, False
        self.bug, self._over, self._abandon_s = asyncio.Event(), asyncio.Event(), abandon_s

    async def run(self) -> None:
        over, bug = self._over.wait(), self.bug.wait()
        async with asyncio.TaskGroup() as tasks:
            waits = [tasks.create_task(over), tasks.create_task(bug)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for task in waits:
                task.cancel()
        if self.bug.is_set():
            raise KeyError("a bug")
        self.told = True

    def hangs_up(self) -> None:
        self._over.set()

    async def hand_over(self, within_s: float) -> None:
        await self.abandon()

    async def abandon(self) -> None:
        await asyncio.sleep(self._abandon_s)
        self.abandoned = True
        self._over.set()


@dataclass
class Held:
    """Leases and the list of open calls."""

    leases: set[str] = field(default_factory=set)
    forgotten: list[str] = field(default_factory=list)

    async def release(self, call_id: str) -> None:
        self.leases.discard(call_id)

    def drop(self, call_id: str) -> None:
        self.leases.discard(call_id)

    async def forget(self, call_id: str) -> None:
        self.forgotten.append(call_id)


class Queue:
    """The queue of accepting workers; each change takes `takes_s`, as on a bus."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.joined, self._takes_s = True, takes_s

    async def pause(self) -> None:
        await asyncio.sleep(self._takes_s)
        self.joined = False

    async def resume(self) -> None:
        await asyncio.sleep(self._takes_s)
        self.joined = True


@dataclass
class Scene:
    worker: Worker
    held: Held
    calls: dict[str, FakeCall]

    async def begin(self, call_id: str, *, abandon_s: float = 0.0) -> FakeCall:
        assert self.worker.live.reserve(call_id)
        return await self.register(call_id, abandon_s=abandon_s)

    async def register(self, call_id: str, *, abandon_s: float = 0.0) -> FakeCall:
        call = self.calls[call_id] = FakeCall(call_id, abandon_s=abandon_s)
        self.held.leases.add(call_id)
        await self.worker.start(cast("CallPlan", call.plan), cast("Journal", None))
        return call


@asynccontextmanager
async def scene(slots: int = 10) -> AsyncIterator[Scene]:
    held, calls = Held(), dict[str, FakeCall]()
    async with IsolatedTasks() as tasks:
        worker = Worker(
            worker_id="worker_1",
            settings=WorkerSettings(slots=slots),
            carriers=(),
            tasks=tasks,
            leases=cast("Leases", held),
            open_calls=cast("OpenCalls", held),
            new_call=lambda plan, _: cast("Call", calls[plan.call_id]),
        )
        yield Scene(worker, held, calls)


@in_virtual_time
async def test_a_bug_ends_its_call_only_and_frees_its_slot() -> None:
    async with scene() as at:
        broken, sound = await at.begin("call_broken"), await at.begin("call_sound")

        broken.bug.set()
        await asyncio.sleep(60)

        assert [call.plan.call_id for call in at.worker.live] == ["call_sound"]
        assert at.held.leases == {"call_sound"}
        assert at.held.forgotten == []  # its end is not told: whoever looks after lost calls writes it
        sound.hangs_up()
    assert at.held.forgotten == ["call_sound"]


@in_virtual_time
async def test_a_drain_waits_for_calls_that_end_by_themselves() -> None:
    async with scene() as at:
        call = await at.begin("call_1")
        asyncio.get_running_loop().call_later(30, call.hangs_up)

        await at.worker.drain([Queue()], within_s=100)

        assert asyncio.get_running_loop().time() == 30
        assert not call.abandoned


@in_virtual_time
async def test_a_drain_hands_over_all_that_is_left_at_once() -> None:
    async with scene() as at:
        calls = [await at.begin(f"call_{number}", abandon_s=2) for number in range(10)]

        await at.worker.drain([Queue()], within_s=100)

        assert asyncio.get_running_loop().time() == 102 - TURN_S
        assert all(call.abandoned for call in calls)
        assert at.held.leases == set()


@in_virtual_time
async def test_a_call_whose_acceptance_is_under_way_when_the_rest_is_handed_over_is_handed_over_too() -> None:
    async with scene() as at:
        await at.begin("call_1")
        at.worker.live.reserve("call_late")

        async def accepted() -> None:
            await asyncio.sleep(7)
            await at.register("call_late")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(accepted())
            await at.worker.drain([Queue()], within_s=5)

        assert at.calls["call_late"].abandoned
        assert len(at.worker.live) == 0


@in_virtual_time
async def test_an_acceptance_that_fails_while_draining_holds_up_nothing() -> None:
    async with scene() as at:
        at.worker.live.reserve("call_never")
        asyncio.get_running_loop().call_later(7, at.worker.live.release, "call_never")

        await at.worker.drain([Queue()], within_s=5)

        assert asyncio.get_running_loop().time() == 7


@in_virtual_time
async def test_an_acceptance_that_never_ends_does_not_hold_up_the_process() -> None:
    async with scene() as at:
        at.worker.live.reserve("call_stuck")

        await at.worker.drain([Queue()], within_s=5)

        assert asyncio.get_running_loop().time() <= 30


@in_virtual_time
async def test_a_call_that_is_released_goes_elsewhere_because_its_worker_takes_none_for_a_moment() -> None:
    async with scene() as at, asyncio.TaskGroup() as tasks:
        queue = Queue(takes_s=0.1)
        keeping = tasks.create_task(at.worker.keep_slots(queue))
        call, other = await at.begin("call_1", abandon_s=2), await at.begin("call_2")

        released = tasks.create_task(at.worker.release(cast("Call", call), queue))
        await asyncio.sleep(1)
        during = (queue.joined, call.abandoned, at.worker.describe().state)
        await released
        await asyncio.sleep(0.1)
        after = (queue.joined, call.abandoned, set(at.held.leases))
        await asyncio.sleep(AWAY_S + 1)
        back = (queue.joined, at.worker.describe().state)
        other.hangs_up()
        keeping.cancel()

    assert during == (False, False, WorkerState.RELEASING)
    assert after == (False, True, {"call_2"})
    assert back == (True, WorkerState.ACCEPTING)
    assert not other.abandoned


@in_virtual_time
async def test_it_leaves_the_queue_when_full_and_comes_back() -> None:
    async with scene(slots=1) as at, asyncio.TaskGroup() as tasks:
        queue = Queue()
        keeping = tasks.create_task(at.worker.keep_slots(queue))
        call = await at.begin("call_1")
        await asyncio.sleep(1)
        full = queue.joined
        call.hangs_up()
        await asyncio.sleep(1)
        free = queue.joined
        keeping.cancel()

    assert (full, free) == (False, True)


@in_virtual_time
async def test_one_that_begins_to_drain_while_it_comes_back_to_the_queue_leaves_it() -> None:
    async with scene(slots=1) as at, asyncio.TaskGroup() as tasks:
        queue = Queue(takes_s=1.0)
        keeping = tasks.create_task(at.worker.keep_slots(queue))
        call = await at.begin("call_1")
        await asyncio.sleep(2.5)
        call.hangs_up()  # coming back takes a second
        await asyncio.sleep(0.5)
        await at.worker.drain([], within_s=5)
        await asyncio.sleep(5)
        keeping.cancel()

    assert not queue.joined
