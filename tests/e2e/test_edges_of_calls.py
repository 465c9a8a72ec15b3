"""Calls that must not be: unknown numbers, false signatures, sleeping assistants, foreign media, no free slot."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from calliope_local.stack import LocalStack
from calliope_sandbox.vendors import twilio_words as words
from support.house import CALLER, House, Json, PhoneLine, a_document, names, visiting

HELLO: list[Json] = [{"wait_for": "Anna"}, {"hang_up": True}]
POLICY_VIOLATION = 1008


async def own_number(house: House, number: str, **changes: str) -> None:
    """The sandbox's Twilio rings the gateway for this number."""
    owner = {
        "account_sid": house.stack.keys.twilio_account_sid,
        "auth_token": house.stack.keys.twilio_auth_token,
        "voice_url": f"{house.stack.address('gateway')}/telephony/twilio/voice",
    }
    await house.sandbox("PUT", f"/sandbox/twilio/numbers/{quote(number)}", owner | changes)


async def test_a_number_that_nobody_answers_is_rejected_before_it_is_answered(house: House) -> None:
    nobody = PhoneLine("+15559990001", {}, "")
    await own_number(house, nobody.number)

    call = await house.heard(await house.place(nobody, HELLO))

    assert (call["status"], call["streams"], call["answered_at_s"]) == ("no-answer", 0, None)
    assert 'reason="rejected"' in call["twiml"][0]


@pytest.mark.parametrize(
    ("forged", "code", "advice"),
    [
        ({"auth_token": "0" * 32}, "signature", "compare twilio_config.auth_token"),
        ({"account_sid": "AC" + "0" * 32}, "other_account", "set twilio_config.account_sid of the assistant"),
    ],
)
async def test_a_hook_that_is_not_signed_by_the_numbers_own_account_is_forbidden(
    house: House, forged: dict[str, str], code: str, advice: str
) -> None:
    line = await house.phone_line()
    await own_number(house, line.number, **forged)

    sid = await house.place(line, HELLO)
    call = await house.heard(sid)

    assert call["status"] == "failed"
    assert "answered 403" in call["failed"]
    assert advice in (await refused(house, line, sid, code))["ended_detail"]


@pytest.fixture(scope="module")
def small_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Its worker takes one call at a time, and has no account of its own at Twilio."""
    account = ("CALLIOPE_CARRIERS__TWILIO__ACCOUNT_SID", "CALLIOPE_CARRIERS__TWILIO__AUTH_TOKEN")
    worker = dict.fromkeys(account, "") | {"CALLIOPE_SLOTS": "1"}
    with LocalStack(tmp_path_factory.mktemp("small"), extra={"worker": worker}) as stack:
        yield stack


async def test_a_number_without_an_account_at_the_carrier_says_so_when_it_is_assigned_and_when_it_rings(
    small_stack: LocalStack,
) -> None:
    async with visiting(small_stack) as house:
        line = await house.phone_line(a_document(twilio_config=None))
        spec = {"assistant_id": line.assistant["id"]}
        assigned = await house.api("PUT", f"/api/v1/phone-numbers/{quote(line.number)}", spec)
        assert [warning["path"] for warning in assigned.body["warnings"]] == ["twilio_config"]
        sid = await house.place(line, HELLO)
        assert (await house.heard(sid))["status"] == "no-answer"
        record = await refused(house, line, sid, "no_account")
    assert "set twilio_config of the assistant" in record["ended_detail"]


async def test_a_hook_for_the_wrong_carrier_is_refused_and_says_so(house: House) -> None:
    line = await house.phone_line()
    spec = {"assistant_id": line.assistant["id"], "carrier": "telnyx"}
    assert (await house.api("PUT", f"/api/v1/phone-numbers/{quote(line.number)}", spec)).status == 200

    sid = await house.place(line, HELLO)
    assert (await house.heard(sid))["status"] == "no-answer"
    assert "assigned with carrier telnyx" in (await refused(house, line, sid, "wrong_carrier"))["ended_detail"]


async def refused(house: House, line: PhoneLine, sid: str, code: str) -> Json:
    """The record of a call that was not taken, which lists find and webhooks tell too."""
    record = await house.record(line, sid)
    assert (record["status"], record["ended_reason"], record["refusal"]) == ("ended", "refused", code)
    assert (record["from_number"], record["to_number"], names(record)) == (CALLER, line.number, ["refused"])
    found = await house.api("GET", f"/api/v1/calls?ended_reason=refused&number={quote(line.number, safe='')}")
    assert [item["id"] for item in found.body["items"]] == [record["id"]]
    await house.delivered(line, record)
    return record


async def test_an_assistant_that_is_not_active_answers_no_more_and_answers_again_when_it_is(house: House) -> None:
    line = await house.phone_line()
    path = f"/api/v1/assistants/{line.assistant['id']}"

    assert (await house.api("PATCH", path, {"is_active": False})).status == 200
    sid = await house.place(line, HELLO)
    asleep = await house.heard(sid)
    await refused(house, line, sid, "inactive")
    assert (await house.api("PATCH", path, {"is_active": True})).status == 200
    awake = await house.heard(await house.place(line, HELLO))

    assert (asleep["status"], asleep["streams"]) == ("no-answer", 0)
    assert (awake["failed"], awake["streams"]) == (None, 1)


async def test_media_needs_the_carriers_signature_and_the_calls_own_token_once(house: House) -> None:
    line = await house.phone_line()
    account = {"sid": house.stack.keys.twilio_account_sid, "token": house.stack.keys.twilio_auth_token}
    call_sid, (verb, *_) = await ring(house, line, account)
    url, token = verb.attributes["url"], verb.parameters["token"]

    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        async with knock(house, url, signature="bm8="):
            pass
    signed = words.sign(url, {}, account["token"])
    async with knock(house, url, signed, start(account, call_sid, "guessed")) as guessed:
        assert await closed(guessed) == POLICY_VIOLATION
    async with knock(house, url, signed, start(account, "CA" + "0" * 32, token)) as foreign:
        assert await closed(foreign) == POLICY_VIOLATION
    async with knock(house, url, signed, start(account, call_sid, token)) as right:
        assert (await right.receive_json(timeout=5))["event"] == "media"
        async with knock(house, url, signed, start(account, call_sid, token)) as again:
            assert await closed(again) == POLICY_VIOLATION
        await right.send_str(words.stop("MZ1", 9, account["sid"], call_sid))
        assert (await house.record(line, call_sid))["ended_reason"] == "caller_hung_up"


async def test_a_full_house_is_busy_for_calls_not_for_checks_and_free_again_when_a_call_has_ended(
    small_stack: LocalStack,
) -> None:
    async with visiting(small_stack) as house:
        line = await house.phone_line()
        first = await house.place(line, [{"wait_for": "Anna"}, {"pause_ms": 30_000, "within_s": 60}])
        await house.answered(first)

        turned_away = await house.place(line, HELLO)
        refused = await house.heard(turned_away)
        record = await house.record(line, turned_away)
        check = await house.api("POST", f"/api/v1/assistants/{line.assistant['id']}/check")
        await house.sandbox("DELETE", f"/sandbox/twilio/calls/{first}")
        await house.finished(line, first)
        taken = await house.heard(await house.place(line, HELLO))

    assert (refused["status"], refused["streams"]) == ("busy", 0)
    assert (record["ended_reason"], record["refusal"]) == ("refused", "full")
    assert (check.status, check.body["problems"]) == (200, [])
    assert (taken["status"], taken["failed"], taken["streams"]) == ("completed", None, 1)


async def ring(house: House, line: PhoneLine, account: dict[str, str]) -> tuple[str, list[words.Verb]]:
    """What the product wants to happen with a call that the sandbox does not follow up."""
    call_sid = "CA" + secrets.token_hex(16)
    form = {"CallSid": call_sid, "AccountSid": account["sid"], "From": CALLER, "To": line.number}
    url = f"{house.stack.address('gateway')}/telephony/twilio/voice"
    headers = {"X-Twilio-Signature": words.sign(url, form, account["token"])}
    async with house.http.post(url, data=form, headers=headers) as answer:
        return call_sid, words.parse(await answer.text())


def start(account: dict[str, str], call_sid: str, token: str) -> str:
    """The carrier's first word about a stream."""
    return words.start("MZ1", account["sid"], call_sid, {"token": token})


@asynccontextmanager
async def knock(
    house: House, url: str, signature: str, *messages: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A media socket, opened and told these messages."""
    timeout: Any = aiohttp.ClientWSTimeout(ws_close=1.0)
    async with house.http.ws_connect(url, headers={"X-Twilio-Signature": signature}, timeout=timeout) as socket:
        for message in (words.connected(), *messages):
            await socket.send_str(message)
        yield socket


async def closed(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """With which code the other side closed."""
    while (await socket.receive(timeout=5)).type != aiohttp.WSMsgType.CLOSE:
        pass
    return socket.close_code
