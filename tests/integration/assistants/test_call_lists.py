"""Lists of calls are ranges of an index: what is read for a page does not grow with the calls of an organization."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

import pytest
from pymongo.monitoring import CommandListener, CommandStartedEvent, CommandSucceededEvent, register

from calliope.contracts.base import Event
from calliope.contracts.call_records import CallPage, ListCalls
from calliope.ids import new_id
from calliope_assistants.adapters import mongo_calls
from calliope_assistants.adapters.mongo import MongoStore
from calliope_assistants.adapters.mongo_calls import MongoCallEvents
from calliope_assistants.call_listing import questions
from calliope_assistants.calls import CallRecords
from support.call_events import BEGAN, REFUSED, STARTED, an_event
from support.mongo import mongo_settings

__all__ = ["mongo_settings"]

LIMIT: Final = 5
FEW, MANY = 40, 400
BY_INDEX: Final[list[dict[str, Any]]] = [
    {},
    {"assistant_id": "asst_1"},
    {"status": "ended"},
    {"ended_reason": "caller_hung_up"},
    {"ended_reason": "caller_hung_up", "status": "ended"},
    {"number": "+15550000003"},
    {"problem": "any"},
    {"since": BEGAN + timedelta(seconds=3), "until": BEGAN + timedelta(seconds=30)},
    {"assistant_id": "asst_1", "status": "ended"},
    {"assistant_id": "asst_1", "ended_reason": "idle", "since": BEGAN + timedelta(seconds=3)},
    {"assistant_id": "asst_1", "problem": "any"},
    {"number": STARTED["to_number"], "ended_reason": "idle"},
    {"number": STARTED["to_number"], "status": "in_progress"},
]
"""Filters that an index covers, alone or together."""


class RowsRead(CommandListener):
    """Counts the rows that the store sent."""

    def __init__(self) -> None:
        self.rows = 0
        self.questions = 0

    def started(self, event: CommandStartedEvent) -> None: ...

    def succeeded(self, event: CommandSucceededEvent) -> None:
        self.questions += 1
        cursor = event.reply.get("cursor", {})
        self.rows += len(cursor.get("firstBatch", ())) + len(cursor.get("nextBatch", ()))

    def failed(self, event: object) -> None: ...


@pytest.fixture(scope="session")
def read() -> RowsRead:
    """Listens to every client that is made from now on: there is no way to stop."""
    listener = RowsRead()
    register(listener)
    return listener


@pytest.fixture
async def store(mongo_settings: Any, read: RowsRead) -> AsyncIterator[MongoStore]:
    store = MongoStore(mongo_settings)
    await store.prepare()
    yield store
    store.close()


def a_month(organization: str, calls: int) -> list[Event]:
    """Calls of two assistants from ten numbers; of twenty ten ended, two had a problem, one was refused."""
    events = []
    for at in range(calls):
        whose: dict[str, Any] = {
            "call_id": f"call_{at:06d}", "organization": organization, "began": BEGAN + timedelta(seconds=at)
        }  # fmt: skip
        told = {"from_number": f"+1555000000{at % 10}", "assistant_id": f"asst_{at // 10 % 2}"}
        if at % 20 == 7:
            events.append(an_event(1, "refused", **whose, **REFUSED | told))
            continue
        events.append(an_event(1, "started", **whose, **STARTED | told))
        events.append(an_event(2, "answered", stream_id="MZ1", **whose))
        if at % 10 == 0:
            reason = "key" if at == 0 else "quota"
            events.append(an_event(3, "provider_failed", stage="llm", provider="openai", reason=reason, **whose))
        if at % 2 == 1:
            reason = "idle" if at % 4 == 1 else "caller_hung_up"
            events.append(an_event(4, "ended", reason=reason, duration_ms=1.0, **whose))
    return events


@pytest.mark.parametrize("filters", BY_INDEX, ids=lambda filters: ",".join(filters) or "all")
async def test_every_usual_list_is_a_search_of_one_index(store: MongoStore, filters: dict[str, Any]) -> None:
    """The store's own plan: no scan, and nothing to check on the rows that are found."""
    for question in questions("org_1", ListCalls(**filters), None):
        path = f"listed.{question.key}"
        find = {"find": "calls", "filter": {path: {"$gte": question.low, "$lt": question.high}}, "sort": {path: -1}}
        explained = await store.database.command({"explain": find, "verbosity": "queryPlanner"})
        (step,) = explained["queryPlanner"]["winningPlan"]
        assert step["detail"].startswith("SEARCH calls USING INDEX"), step
        assert question.also == {}


async def test_a_page_reads_no_more_rows_of_many_calls_than_of_few(store: MongoStore, read: RowsRead) -> None:
    rows, costs = MongoCallEvents(store), dict[str, list[int]]()
    for calls in (FEW, MANY):
        organization = new_id("org")
        await rows.add(a_month(organization, calls))
        for filters in BY_INDEX:
            read.rows = 0
            found = await rows.page(organization, ListCalls(limit=LIMIT, **filters), before=None)
            costs.setdefault(str(filters), []).append(read.rows)
            assert found.calls, filters
    branches = {filters: 2 if "number" in filters else 1 for filters in costs}
    assert {filters: cost for filters, cost in costs.items() if max(cost) > branches[filters] * (LIMIT + 1)} == {}


@pytest.mark.parametrize("limit", [1, 3, 200])
async def test_pages_are_the_whole_list_for_any_filters(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Also where no index covers the filters and a page ends because enough was looked at, with nothing on it."""
    organization, rows = new_id("org"), MongoCallEvents(store)
    await rows.add(a_month(organization, FEW))
    records = CallRecords(organization, rows)
    more: list[dict[str, Any]] = [
        {"problem": "key"},
        {"assistant_id": "asst_0", "number": "+15550000007", "ended_reason": "refused"},
        {"assistant_id": "asst_0", "number": STARTED["to_number"], "problem": "quota"},
        {"ended_reason": "idle", "status": "ringing"},
    ]
    for filters in [*BY_INDEX, *more]:
        whole = [call.id for call in (await records.page(ListCalls(limit=200, **filters))).items]
        monkeypatch.setattr(mongo_calls, "EXAMINED_AT_ONCE", 4)
        seen: list[str] = []
        page: CallPage | None = None
        while page is None or page.next_cursor is not None:
            cursor = page.next_cursor if page else None
            page = await records.page(ListCalls(limit=limit, cursor=cursor, **filters))
            seen += [call.id for call in page.items]
        monkeypatch.setattr(mongo_calls, "EXAMINED_AT_ONCE", 1_000)
        assert seen == whole, filters
        assert whole or filters == more[-1], filters


async def test_a_list_that_no_index_covers_looks_at_so_many_rows_and_no_more(
    store: MongoStore, read: RowsRead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo_calls, "EXAMINED_AT_ONCE", 10)
    organization, rows = new_id("org"), MongoCallEvents(store)
    await rows.add(a_month(organization, MANY))
    read.rows = read.questions = 0
    found = await rows.page(organization, ListCalls(limit=LIMIT, problem="key"), before=None)
    assert (found.calls, read.rows, read.questions) == ((), 10, 1)
    assert found.next is not None
