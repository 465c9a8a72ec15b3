"""Leases are renewed together within a second, however many and however slow the bus; a lapse is acted upon."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

from calliope.errors import TransientError
from calliope.messaging.streams import CALLS
from calliope.observability import metrics
from calliope_call_worker.ownership.lease import LEASE_S, RENEW_S, LeaseKeeper
from support.virtual_time import in_virtual_time


class Bucket:
    """A bus that stores what it is sent `latency_s` later, answers as late again, or is away."""

    def __init__(self, latency_s: float = 0.0) -> None:
        self.latency_s, self.connected, self.frozen = latency_s, True, False
        self.stored: dict[str, list[float]] = defaultdict(list)
        self.removed: list[str] = []
        self.open = 0
        self.most_open = 0

    async def send(self, call_id: str, lease: bytes) -> None:
        if not self.connected:
            raise TransientError("away")
        if not self.frozen:
            loop = asyncio.get_running_loop()
            loop.call_later(self.latency_s, lambda: self.stored[call_id].append(loop.time()))

    async def confirm(self, call_id: str, lease: bytes) -> None:
        await self.send(call_id, lease)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await asyncio.sleep(2 * self.latency_s)
            if self.frozen:
                await asyncio.Event().wait()
        finally:
            self.open -= 1

    async def remove(self, call_id: str) -> None:
        self.removed.append(call_id)


class Checks:
    def __init__(self) -> None:
        self.at: list[float] = []

    async def look(self) -> None:
        self.at.append(asyncio.get_running_loop().time())


@asynccontextmanager
async def keeping(bucket: Bucket, calls: int, checks: Checks | None = None) -> AsyncIterator[LeaseKeeper]:
    leases = LeaseKeeper(bucket, "worker_1", on_renewed_again=None if checks is None else checks.look)
    async with asyncio.TaskGroup() as tasks:
        renewing = tasks.create_task(leases.renew())
        for number in range(calls):
            await leases.take(f"call_{number}", "org_1")
        yield leases
        renewing.cancel()


def longest_gap(moments: list[float]) -> float:
    return max(later - earlier for earlier, later in pairwise(moments))


def test_the_server_keeps_a_lease_as_long_as_this_says() -> None:
    assert CALLS.max_age_s == LEASE_S


@in_virtual_time
async def test_a_hundred_leases_on_a_slow_bus_are_each_renewed_every_second() -> None:
    bucket = Bucket(latency_s=1.5)
    async with keeping(bucket, calls=100):
        await asyncio.sleep(60)

    assert len(bucket.stored) == 100
    assert max(longest_gap(moments) for moments in bucket.stored.values()) <= RENEW_S + 0.001
    assert bucket.most_open <= LEASE_S / RENEW_S


@in_virtual_time
async def test_taking_and_releasing_a_lease_waits_for_nobody() -> None:
    bucket = Bucket(latency_s=3.0)
    async with keeping(bucket, calls=1) as leases:
        await leases.take("call_new", "org_1")
        await leases.release("call_new")
        assert asyncio.get_running_loop().time() == 0

    assert bucket.removed == ["call_new"]


@in_virtual_time
async def test_one_that_was_released_or_dropped_is_renewed_no_more() -> None:
    bucket = Bucket()
    async with keeping(bucket, calls=3) as leases:
        await asyncio.sleep(5.5)
        await leases.release("call_0")
        leases.drop("call_1")
        await asyncio.sleep(10)

    assert [len(bucket.stored[f"call_{number}"]) for number in range(3)] == [6, 6, 16]


@in_virtual_time
async def test_leases_that_lapsed_are_counted_and_the_calls_looked_after_when_they_are_renewed_again() -> None:
    bucket, checks, before = Bucket(), Checks(), _lapsed()
    async with keeping(bucket, calls=10, checks=checks):
        await asyncio.sleep(10)
        bucket.frozen = True
        await asyncio.sleep(60)
        assert _lapsed() == before + 10
        assert checks.at == []
        bucket.frozen = False
        await asyncio.sleep(10)

    assert len(checks.at) == 1
    assert checks.at[0] <= 70 + 2 * RENEW_S


@in_virtual_time
async def test_a_connection_that_is_cut_for_less_than_a_lease_lives_is_no_lapse() -> None:
    bucket, checks, before = Bucket(), Checks(), _lapsed()
    async with keeping(bucket, calls=10, checks=checks):
        await asyncio.sleep(10)
        bucket.connected = False
        await asyncio.sleep(3)
        bucket.connected = True
        await asyncio.sleep(10)

    assert (checks.at, _lapsed()) == ([], before)


@in_virtual_time
async def test_without_calls_there_is_nothing_that_could_lapse() -> None:
    bucket, checks, before = Bucket(), Checks(), _lapsed()
    async with keeping(bucket, calls=0, checks=checks) as leases:
        bucket.connected = False
        await asyncio.sleep(60)
        await leases.take("call_1", "org_1")
        bucket.connected = True
        await asyncio.sleep(10)

    assert (checks.at, _lapsed()) == ([], before)


def _lapsed() -> float:
    value = metrics.REGISTRY.get_sample_value("calliope_leases_lapsed_total")
    assert value is not None
    return value
