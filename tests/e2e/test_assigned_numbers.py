"""A number that was only assigned rings in the sandbox, and an assistant without a carrier's account answers it."""

import asyncio
from urllib.parse import quote

import pytest

from support.house import GREETING, House, Json, PhoneLine, a_document, said

HELLO: list[Json] = [{"wait_for": "Anna"}, {"say": "hello there"}, {"wait_for_silence_ms": 300}, {"hang_up": True}]


async def assigned(house: House, carrier: str, number: str) -> PhoneLine:
    """An assistant without any account of its own, and a number that the sandbox was not told of."""
    made = await house.api("POST", "/api/v1/assistants", a_document())
    spec = {"assistant_id": made.body["id"], "carrier": carrier}
    answer = await house.api("PUT", f"/api/v1/phone-numbers/{quote(number)}", spec)
    assert answer.status in {200, 201}, answer.body
    return PhoneLine(number, made.body, "", carrier)


@pytest.mark.parametrize(("carrier", "number"), [("twilio", "+15558880001"), ("telnyx", "+15558880002")])
async def test_an_assigned_number_is_answered_without_being_registered(house: House, carrier: str, number: str) -> None:
    line = await assigned(house, carrier, number)

    call, record = await house.call(line, HELLO)

    assert (call["failed"], call["streams"]) == (None, 1)
    assert said(record, "assistant").startswith(GREETING)
    assert record["ended_reason"] == "caller_hung_up"


async def test_assigned_numbers_still_ring_when_the_sandbox_was_started_again(house: House) -> None:
    line = await assigned(house, "twilio", "+15558880003")
    await asyncio.to_thread(house.stack.restart, "sandbox")
    call, _ = await house.call(line, HELLO)
    assert (call["failed"], call["streams"]) == (None, 1)
