"""Calls over Telnyx: what is answered, said, transferred and ended by commands, whatever order its hooks come in."""

import base64
from urllib.parse import quote

import pytest

from calliope_local.stack import LocalStack
from support.house import GREETING, House, Json, names
from support.scenes import Scene, Seen, call_of, played

READY: list[Json] = [{"wait_for": "Anna"}, {"wait_for_silence_ms": 300}]
DROPPED: list[Json] = [{"expect_hang_up": True}]
DESK, BUSY_DESK = "+15557780001", "+15557780002"
TALK: list[Json] = [*READY, {"say": "are you open today"}, {"wait_for": "until six"}, {"hang_up": True}]


def over_telnyx(script: list[Json], *rules: Json, **tools: Json) -> Scene:
    document = {"tools_settings": tools} if tools else {}
    return Scene(script, rules, document, carrier="telnyx")


def transferring(number: str) -> Scene:
    offer: Json = {"enabled": True, "transfer_numbers": [DESK, BUSY_DESK]}
    rule: Json = {"say": "Please hold the line.", "tool_calls": [call_of("transfer_call", destination=number)]}
    return over_telnyx([*READY, {"say": "a person please"}, *DROPPED], rule, transfer_call=offer)


OPEN: Json = {"say": "We are open until six."}
SCENES = {
    "talk": over_telnyx(TALK, OPEN),
    "keys": over_telnyx(
        [*READY, {"dtmf": "7"}, {"say": "are you open"}, {"wait_for": "until six"}, {"hang_up": True}], OPEN
    ),
    "end": over_telnyx(
        [*READY, {"say": "that is all"}, *DROPPED],
        {"say": "Good night to you.", "tool_calls": [call_of("end_call")]},
        end_call={"enabled": True},
    ),
    "transfer": transferring(DESK),
    "transfer to a busy desk": transferring(BUSY_DESK),
}


@pytest.fixture(scope="module")
def seen(stack: LocalStack) -> dict[str, Seen]:
    busy: Json = {"outcome": "busy"}
    return played(stack, SCENES, before=[("PUT", f"/sandbox/telnyx/dialled/{quote(BUSY_DESK)}", busy)])


def test_every_caller_could_follow_the_script(seen: dict[str, Seen]) -> None:
    failed = {name: (talk.call["failed"], talk.call["problems"], talk.assistant) for name, talk in seen.items()}
    assert {name: what for name, what in failed.items() if what[0] or what[1]} == {}


@pytest.mark.promise("P2")
def test_a_call_is_answered_heard_and_recorded_with_the_documents_own_account(seen: dict[str, Seen]) -> None:
    talk = seen["talk"]

    assert talk.heard == f"{GREETING} We are open until six."
    assert talk.users == ["are you open today"]
    assert talk.record["ended_reason"] == "caller_hung_up"
    assert (talk.call["commands"][0], talk.call["streams"]) == ("answer", 1)
    assert names(talk.record)[:2] == ["started", "answered"]


def test_a_key_counts_once_though_a_hook_tells_it_again(seen: dict[str, Seen]) -> None:
    talk = seen["keys"]

    assert [pressed["digit"] for pressed in talk.facts("dtmf_received")] == ["7"]
    assert "call.dtmf.received" in talk.call["hooks"]


def test_the_goodbye_is_heard_to_its_end_before_the_line_drops(seen: dict[str, Seen]) -> None:
    talk = seen["end"]

    assert talk.heard == f"{GREETING} Good night to you."
    assert (talk.record["ended_reason"], talk.call["ended_by"]) == ("assistant_ended", "product")


def test_a_transfer_leaves_the_caller_with_the_other_side(seen: dict[str, Seen]) -> None:
    talk = seen["transfer"]

    assert talk.call["dials"] == [{"number": DESK, "outcome": "completed"}]
    assert talk.heard == f"{GREETING} Please hold the line."
    assert (talk.record["ended_reason"], talk.call["ended_by"]) == ("transferred", "other side")


def test_a_transfer_that_nobody_takes_is_told_to_the_caller_by_the_carriers_voice(seen: dict[str, Seen]) -> None:
    talk = seen["transfer to a busy desk"]

    assert talk.call["dials"] == [{"number": BUSY_DESK, "outcome": "busy"}]
    assert talk.heard.endswith("sorry, nobody could take your call. Please call again later.")
    assert (talk.record["ended_reason"], talk.call["ended_by"]) == ("transferred", "product")


async def test_hooks_that_come_twice_and_frames_out_of_order_change_nothing(house: House) -> None:
    line = await house.phone_line(carrier="telnyx")
    await house.own_number(line, restless=True)

    call, record = await house.call(line, [{"wait_for": "Anna"}, {"say": "hello there"}, {"hang_up": True}])

    assert (call["failed"], call["problems"]) == (None, [])
    assert (call["streams"], call["commands"].count("answer")) == (1, 1)
    assert names(record).count("started") == 1
    assert record["ended_reason"] == "caller_hung_up"


@pytest.mark.parametrize(
    ("forged", "code"),
    [
        ({"signing_key": base64.b64encode(bytes(32)).decode()}, "signature"),
        ({"connection_id": "1" * 19}, "other_account"),
    ],
)
async def test_a_hook_that_is_not_of_the_numbers_own_account_is_forbidden(
    house: House, forged: dict[str, str], code: str
) -> None:
    line = await house.phone_line(carrier="telnyx")
    await house.own_number(line, **forged)

    sid = await house.place(line, DROPPED)
    call = await house.heard(sid)

    assert (call["status"], call["streams"], call["commands"]) == ("no-answer", 0, [])
    assert call["problems"] == ["call.initiated: answered 403"]
    record = await house.record(line, sid)
    assert (record["ended_reason"], record["refusal"], names(record)) == ("refused", code, ["refused"])


async def test_a_caller_who_gives_up_before_media_flows_hung_up(house: House) -> None:
    line = await house.phone_line(carrier="telnyx")
    sid = await house.place(line, DROPPED, ring_ms=5_000)
    await house.commanded(sid, "answer")
    await house.sandbox("DELETE", house.seen_at(sid))

    record = await house.record(line, sid)

    assert record["ended_reason"] == "caller_hung_up"


async def test_a_call_whose_media_breaks_goes_on_with_a_new_stream(house: House) -> None:
    line = await house.phone_line(carrier="telnyx")
    broken: Json = {"faults": [{"vendor": "telnyx", "kind": "drop"}]}
    script = [*READY, broken, {"wait_for_silence_ms": 1_500}, {"say": "hello there"}, {"hang_up": True}]

    call, record = await house.call(line, script)

    assert (call["failed"], call["streams"]) == (None, 2)
    assert call["commands"][:2] == ["answer", "streaming_start"]
    assert names(record).count("resumed") == 1
    assert record["ended_reason"] == "caller_hung_up"
