"""Carriers at their rudest: audio before `start`, hooks by GET, ends told twice or before the beginning."""

from support.house import GREETING, House, Json, a_document, names
from support.scenes import call_of, unique

READY: list[Json] = [{"wait_for": "Anna"}, {"wait_for_silence_ms": 300}]
DROPPED: list[Json] = [{"expect_hang_up": True}]
DESK = "+15557760001"


async def test_a_caller_from_a_browser_is_handed_over_whatever_twilio_sends_when(house: House) -> None:
    offer: Json = {"transfer_call": {"enabled": True, "transfer_numbers": [DESK]}}
    tag = unique("rude")
    llm = {"system_prompt": f"You are {tag}.", "welcome_message": GREETING}
    line = await house.phone_line(a_document(tools_settings=offer, llm_settings=llm))
    hook = f"{house.stack.address('gateway')}/telephony/twilio/voice"
    await house.own_number(line, voice_method="GET", status_callback=hook, early_frames=3)
    rule: Json = {"say": "Please hold the line.", "tool_calls": [call_of("transfer_call", destination=DESK)]}
    await house.sandbox("POST", "/sandbox/llm/scripts", {"name": tag, "system": tag, "rules": [rule]})

    call, record = await house.call(line, [*READY, {"say": "a person please"}, *DROPPED], **{"from": "client:bob"})

    assert (call["failed"], call["problems"], call["streams"]) == (None, [], 1)
    assert (call["dials"], call["shown_numbers"]) == ([{"number": DESK, "outcome": "completed"}], [line.number])
    assert (record["direction"], record["ended_reason"], names(record).count("started")) == (
        "inbound",
        "transferred",
        1,
    )


async def test_a_call_whose_end_telnyx_tells_first_ends_at_once(house: House) -> None:
    line = await house.phone_line(carrier="telnyx")
    await house.own_number(line, end_first=True)

    call, record = await house.call(line, DROPPED)

    assert (call["failed"], call["problems"], call["hooks"]) == (None, [], ["call.hangup", "call.initiated"])
    assert (names(record)[:2], record["ended_reason"]) == (["started", "ended"], "caller_hung_up")
