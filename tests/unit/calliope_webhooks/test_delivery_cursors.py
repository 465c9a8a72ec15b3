"""A page of deliveries is asked for with the cursor of the page before, and with nothing else."""

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from calliope.contracts.errors import ErrorCode
from calliope.contracts.webhooks import ListDeliveries
from calliope.errors import CommandError
from calliope_webhooks.model import Row
from calliope_webhooks.service import Deliveries, SystemClock

A_ROW = Row(
    id="dlv_1",
    organization_id="org_1",
    endpoint_id="end_1",
    event_id="evt_1",
    event_type="calliope.call.ended.v1",
    subject="call/call_1",
    assistant_id="asst_1",
    url="https://hooks.example.com/",
    body=b"{}",
    created_at_ms=1_700_000_000_000,
    since_ms=1_700_000_000_000,
)


class Log:
    """Two deliveries; remembers where a page began."""

    def __init__(self) -> None:
        self.before: list[str | None] = []

    async def page(self, organization_id: str, query: ListDeliveries, *, before: str | None) -> Sequence[Row]:
        self.before.append(before)
        rows = [replace(A_ROW, id="dlv_2"), A_ROW]
        return [row for row in rows if before is None or row.position < before][: query.limit + 1]


def deliveries(log: Log) -> Deliveries:
    return Deliveries(cast("Any", log), cast("Any", None), SystemClock())


async def test_a_cursor_leads_to_the_next_page() -> None:
    log = Log()
    first = await deliveries(log).list("org_1", ListDeliveries(limit=1))
    second = await deliveries(log).list("org_1", ListDeliveries(limit=1, cursor=first.next_cursor))
    assert [item.id for page in (first, second) for item in page.items] == ["dlv_2", "dlv_1"]
    assert second.next_cursor is None


@pytest.mark.parametrize("cursor", ["", "!!!!", "dlv_1", "AAAA", base64.b64encode(b"000|x").decode(), "é"])
async def test_a_cursor_that_no_page_gave_is_refused_and_begins_no_page(cursor: str) -> None:
    log = Log()
    with pytest.raises(CommandError) as caught:
        await deliveries(log).list("org_1", ListDeliveries(cursor=cursor))
    (field,) = caught.value.problem.fields
    assert (caught.value.code, field.path, log.before) == (ErrorCode.INVALID, "cursor", [])
