"""After the call, through the public API: the record gets its summary and its data, and the webhook is told."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from support.house import House, Json, PhoneLine, a_document, facts, names

SCRIPT: list[Json] = [
    {"wait_for": "Anna"},
    {"wait_for_silence_ms": 300},
    {"say": "A table for two please, my name is Ada"},
    {"wait_for": "Gladly"},
    {"hang_up": True},
]
SCHEMA: Json = {
    "type": "object",
    "required": ["people", "name"],
    "properties": {"people": {"type": "integer", "minimum": 1}, "name": {"type": "string"}},
}
EXAMPLES = Path(__file__).parents[2] / "examples"
BOOKING: list[Json] = [
    {"wait_for": "book a table"},
    {"wait_for_silence_ms": 300},
    {"say": "Yes please, book a table for two tomorrow at seven"},
    {"wait_for": "anything else"},
    {"wait_for_silence_ms": 300},
    {"say": "No thank you, goodbye"},
    {"expect_hang_up": True},
]
DATA: Json = {"people": 2, "name": "Ada"}


async def test_a_call_ends_with_a_summary_and_data_in_its_record_and_at_its_webhook(house: House) -> None:
    line = await house.phone_line(a_document(custom_settings={"structured_data_schema": SCHEMA}))
    await answering(house, {"system": "JSON Schema of your answer", "json": DATA}, {"match": "table", "say": "Gladly."})

    _, record = await house.call(line, SCRIPT)
    record = await analysed(house, record["id"])

    assert names(record)[-2:] == ["ended", "analyzed"]
    assert [event["sequence"] for event in record["events"]] == list(range(1, len(record["events"]) + 1))
    assert (record["analysis_status"], record["analysis_error"]) == ("done", None)
    assert record["structured_data"] == DATA
    assert record["summary"] == facts(record, "analyzed")[0]["summary"]
    told = await house.delivered(line, record)
    attempts = [attempt for attempt in told["attempts"] if attempt["webhook_id"] == record["events"][-1]["id"]]
    assert [(attempt["verified"], attempt["body"]["data"]["structured_data"]) for attempt in attempts] == [(True, DATA)]


async def test_a_call_is_analysed_with_the_assistant_that_took_it_though_that_is_deleted(house: House) -> None:
    line = await house.phone_line(a_document(custom_settings={"structured_data_schema": SCHEMA}))
    await answering(house, {"system": "JSON Schema of your answer", "json": DATA}, {"match": "table", "say": "Gladly."})

    sid = await house.place(line, SCRIPT)
    await in_progress(house, line)
    for gone in (f"phone-numbers/{quote(line.number)}", f"assistants/{line.assistant['id']}"):
        assert (await house.api("DELETE", f"/api/v1/{gone}")).status in {200, 204}
    call, record = await house.finished(line, sid)
    record = await analysed(house, record["id"])

    assert call["failed"] is None
    assert (record["analysis_status"], record["structured_data"]) == ("done", DATA)


async def in_progress(house: House, line: PhoneLine) -> None:
    async with asyncio.timeout(15):
        while True:
            page = await house.api("GET", f"/api/v1/calls?assistant_id={line.assistant['id']}&status=in_progress")
            if page.body["items"]:
                return
            await asyncio.sleep(0.05)


async def answering(house: House, *rules: Json) -> None:
    await house.sandbox("POST", "/sandbox/llm/scripts", {"name": "after", "rules": list(rules)})


async def analysed(house: House, call_id: str) -> Any:
    async with asyncio.timeout(15):
        while True:
            record = (await house.api("GET", f"/api/v1/calls/{call_id}")).body
            if record["analysis_status"] is not None:
                return record
            await asyncio.sleep(0.05)


async def test_the_booking_example_books_through_its_tool_and_reports_the_booking(house: House) -> None:
    document = json.loads((EXAMPLES / "booking.json").read_text(encoding="utf-8"))
    tool = document["tools_settings"]["custom_tools"][0]
    tool["url"] = f"{house.stack.address('sandbox')}/hooks/own-bookings"
    await house.sandbox("PUT", "/sandbox/hooks/own-bookings", {"answer": {"body": {"table": 7, "reference": "B-17"}}})
    line = await house.phone_line({**document, "name": "Bella, tested"})

    call, record = await house.call(line, BOOKING)
    record = await analysed(house, record["id"])

    assert call["failed"] is None
    assert record["ended_reason"] == "assistant_ended"
    assert facts(record, "tool_finished")[0]["result"] == '{"table":7,"reference":"B-17"}'
    asked = (await house.sandbox("GET", "/sandbox/hooks/own-bookings"))["attempts"]
    assert [one["body"] for one in asked] == [facts(record, "tool_started")[0]["arguments"]]
    assert record["analysis_status"] == "done", record["analysis_error"]
    assert set(record["structured_data"]) >= {"booked", "people", "when", "name"}
