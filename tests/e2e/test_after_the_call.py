"""After the call, through the public API: the record gets its summary and its data, and the webhook is told."""

import asyncio
from typing import Any

from support.house import House, Json, a_document, facts, names

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
    told = await house.delivered(line, len(record["events"]))
    attempts = [attempt for attempt in told["attempts"] if attempt["webhook_id"] == record["events"][-1]["id"]]
    assert [(attempt["verified"], attempt["body"]["data"]["structured_data"]) for attempt in attempts] == [(True, DATA)]


async def answering(house: House, *rules: Json) -> None:
    await house.sandbox("POST", "/sandbox/llm/scripts", {"name": "after", "rules": list(rules)})


async def analysed(house: House, call_id: str) -> Any:
    async with asyncio.timeout(15):
        while True:
            record = (await house.api("GET", f"/api/v1/calls/{call_id}")).body
            if record["analysis_status"] is not None:
                return record
            await asyncio.sleep(0.05)
