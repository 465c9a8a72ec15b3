"""The store's own promises: one row per pair, one holder of a lease, facts that outlive a lost lease."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from calliope.contracts.webhooks import DeliveryAttempt, DeliveryState
from calliope.settings import MongoSettings
from calliope_webhooks.adapters.mongo import MongoStore, connect
from calliope_webhooks.model import Endpoint, EndpointKind, Row
from calliope_webhooks.ports import Announcement

ROW = Row(
    id="dlv_1", organization_id="org_1", endpoint_id="end_1", assistant_id="asst_1", event_id="evt_1",
    event_type="calliope.call.ended.v1", subject="call/call_1", url="https://a.example/", body=b'{"a":"\xc3\xbc"}',
    created_at_ms=1_000, since_ms=1_000, claim_at_ms=1_000,
)  # fmt: skip
FAILED = DeliveryAttempt(number=1, at=datetime(2026, 1, 2, tzinfo=UTC), status=500, duration_ms=3.5)


@pytest.fixture
async def store(mongo_settings: MongoSettings) -> AsyncIterator[MongoStore]:
    async with connect(mongo_settings) as store:
        await store.prepare()
        await store.prepare()
        yield store


async def claim(store: MongoStore, lease: str, *, now_ms: int = 2_000) -> Row | None:
    return await store.claim("end_1", now_ms=now_ms, lease=lease, lease_until_ms=now_ms + 1_000)


async def test_a_row_comes_back_as_it_was_stored(store: MongoStore) -> None:
    assert await store.add(ROW)
    assert await store.find("org_1", "dlv_1") == ROW
    assert await store.find("org_2", "dlv_1") is None


async def test_of_many_who_add_or_claim_at_once_one_succeeds(store: MongoStore) -> None:
    async with asyncio.TaskGroup() as tasks:
        adds = [tasks.create_task(store.add(ROW)) for _ in range(20)]
    async with asyncio.TaskGroup() as tasks:
        claims = [tasks.create_task(claim(store, f"lease_{n}")) for n in range(20)]
    assert sum(task.result() for task in adds) == 1
    assert sum(task.result() is not None for task in claims) == 1


async def test_a_row_is_not_claimed_before_its_time_and_again_after_its_lease(store: MongoStore) -> None:
    await store.add(ROW)
    assert await claim(store, "early", now_ms=999) is None
    assert (first := await claim(store, "first", now_ms=1_000)) is not None
    assert await claim(store, "second", now_ms=1_999) is None
    assert (later := await claim(store, "third", now_ms=2_000)) is not None
    assert (first.attempts, later.attempts, later.lease) == (1, 2, "third")


async def test_who_lost_the_lease_can_record_success_only(store: MongoStore) -> None:
    await store.add(ROW)
    late = await claim(store, "late", now_ms=1_000)
    holder = await claim(store, "holder", now_ms=5_000)
    assert late is not None
    assert holder is not None
    assert not await store.again(late, FAILED, due_ms=9_000)
    assert not await store.bury(late, FAILED, Announcement("evt_d", "s", b"{}"))
    await store.delivered(late, replace_status(FAILED, 200))
    assert not await store.again(holder, replace_status(FAILED, 500), due_ms=9_000)
    found = await store.find("org_1", "dlv_1")
    assert found is not None
    assert (found.state, found.claim_at_ms) == (DeliveryState.DELIVERED, None)


async def test_a_death_is_announced_until_it_is_said(store: MongoStore) -> None:
    await store.add(ROW)
    row = await claim(store, "lease")
    assert row is not None
    assert await store.bury(row, FAILED, Announcement("evt_d", "subject", b"bytes"))
    assert await store.unannounced(10) == [("dlv_1", Announcement("evt_d", "subject", b"bytes"))]
    await store.announced("dlv_1", "evt_d")
    assert await store.unannounced(10) == []
    found = await store.find("org_1", "dlv_1")
    assert found is not None
    assert (found.state, found.deaths, found.log) == (DeliveryState.DEAD, 1, (FAILED,))


async def test_the_log_keeps_the_last_attempts(store: MongoStore) -> None:
    await store.add(ROW)
    for number in range(1, 41):
        row = await claim(store, f"lease_{number}", now_ms=number * 10_000)
        assert row is not None
        await store.again(row, FAILED.model_copy(update={"number": number}), due_ms=0)
    found = await store.find("org_1", "dlv_1")
    assert found is not None
    assert [attempt.number for attempt in found.log] == list(range(11, 41))


async def test_endpoints_with_due_rows_are_found_once_each(store: MongoStore) -> None:
    for n in range(30):
        await store.add(replace(ROW, id=f"dlv_{n}", endpoint_id=f"end_{n % 3}", organization_id=f"org_{n % 3}"))
    await store.add(replace(ROW, id="dlv_later", endpoint_id="end_later", claim_at_ms=9_000))
    found = await store.due_endpoints(now_ms=1_000, limit=100)
    assert sorted(found) == [("end_0", "org_0"), ("end_1", "org_1"), ("end_2", "org_2")]


async def test_older_rows_can_be_taken_apart_from_younger(store: MongoStore) -> None:
    await store.add(ROW)
    await store.add(replace(ROW, id="dlv_2", since_ms=5_000))
    taken = [
        await store.claim_older("end_1", since_before_ms=4_000, now_ms=6_000, lease=f"l{n}", lease_until_ms=7_000)
        for n in range(2)
    ]
    assert [row.id if row else None for row in taken] == ["dlv_1", None]


async def test_a_gone_url_is_remembered_when_the_endpoint_is_written_again(store: MongoStore) -> None:
    endpoint = Endpoint("end_1", "org_1", "asst_1", EndpointKind.WEBHOOK, "https://a.example/", ())
    await store.put([endpoint])
    await store.set_gone("end_1", endpoint.url)
    await store.put([endpoint])
    gone = await store.get("end_1")
    await store.put([replace(endpoint, url="https://b.example/")])
    moved = await store.get("end_1")
    assert gone is not None
    assert moved is not None
    assert (gone.is_gone, moved.is_gone) == (True, False)


def replace_status(attempt: DeliveryAttempt, status: int) -> DeliveryAttempt:
    return attempt.model_copy(update={"status": status})
