"""Telnyx's words: signatures against known vectors, events, commands, media messages in any order."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from calliope.contracts.calls import CarrierRequest, EndReason
from calliope_call_worker.providers.telephony.base import (
    CarrierAccount,
    CarrierAction,
    CarrierLine,
    HookKind,
    MediaAnswer,
    MediaDtmf,
    MediaFrame,
    MediaMark,
    MediaStarted,
    MediaStopped,
)
from calliope_call_worker.providers.telephony.telnyx import Telnyx
from calliope_call_worker.providers.telephony.telnyx_api import state
from calliope_call_worker.providers.telephony.telnyx_media import WINDOW, TelnyxMedia

PUBLIC_KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
ACCOUNT = CarrierAccount("1234567890", "KEY1", PUBLIC_KEY)
AT_S = 1_700_000_000
BODY = b'{"data":{"event_type":"call.initiated"}}'
GENUINE = "aBuTQ1AtxQGraK6PrtJP6VW9Mu+R2aG6TbxS7lim9/ia8dN94a42JYoTifASA18z3xe+GLlYfveWOuyyKq7OCw=="
OTHER_KEY = base64.b64encode(Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()).decode()


def a_hook(body: bytes, signature: str | None = GENUINE, at: str = str(AT_S)) -> CarrierRequest:
    headers = (("Telnyx-Timestamp", at), *(() if signature is None else (("Telnyx-Signature-Ed25519", signature),)))
    return CarrierRequest(
        carrier="telnyx",
        method="POST",
        path_and_query="/telephony/telnyx/voice",
        headers=headers,
        body=base64.b64encode(body),
    )


def an_event(name: str, **payload: Any) -> CarrierRequest:
    leg = {"call_control_id": "v3:a", "connection_id": "1234567890", "from": "+15550001111", "to": "+15550002222"}
    data = {"event_type": name, "occurred_at": "2026-01-01T10:00:00.123456Z", "payload": leg | payload}
    return a_hook(orjson.dumps({"data": data}))


def test_a_genuine_signature_is_accepted_within_five_minutes() -> None:
    for now in (AT_S - 300, AT_S, AT_S + 300):
        assert Telnyx().verify(a_hook(BODY), ACCOUNT, "", now)


@pytest.mark.parametrize(
    ("hook", "now", "key"),
    [
        (a_hook(BODY), AT_S + 301, PUBLIC_KEY),
        (a_hook(BODY), AT_S - 301, PUBLIC_KEY),
        (a_hook(BODY + b" "), AT_S, PUBLIC_KEY),
        (a_hook(BODY, at=str(AT_S + 1)), AT_S, PUBLIC_KEY),
        (a_hook(BODY, at=f" {AT_S}"), AT_S, PUBLIC_KEY),
        (a_hook(BODY, at="-1"), AT_S, PUBLIC_KEY),
        (a_hook(BODY, at=""), AT_S, PUBLIC_KEY),
        (a_hook(BODY, None), AT_S, PUBLIC_KEY),
        (a_hook(BODY, ""), AT_S, PUBLIC_KEY),
        (a_hook(BODY, "é"), AT_S, PUBLIC_KEY),
        (a_hook(BODY, GENUINE[:-4]), AT_S, PUBLIC_KEY),
        (a_hook(BODY), AT_S, OTHER_KEY),
        (a_hook(BODY), AT_S, "short"),
        (a_hook(BODY), AT_S, None),
    ],
)
def test_anything_else_is_refused_and_so_is_everything_without_a_key(
    hook: CarrierRequest, now: float, key: str | None
) -> None:
    assert not Telnyx().verify(hook, CarrierAccount("1234567890", "KEY1", key), "", now)


@pytest.mark.parametrize(
    ("event", "payload", "kind"),
    [
        ("call.initiated", {"direction": "incoming"}, HookKind.CALL),
        ("call.initiated", {"direction": "outgoing"}, HookKind.OTHER),
        ("call.answered", {}, HookKind.OTHER),
        ("call.dtmf.received", {"digit": "1"}, HookKind.OTHER),
        ("call.hangup", {"hangup_cause": "normal_clearing"}, HookKind.CALL_ENDED),
        ("call.hangup", {"client_state": "not base64"}, HookKind.CALL_ENDED),
        ("call.hangup", {"client_state": state(transfer_of="v3:b")}, HookKind.TRANSFER_ENDED),
        ("call.initiated", {"client_state": state(transfer_of="v3:b")}, HookKind.OTHER),
        ("streaming.stopped", {}, HookKind.MEDIA_ENDED),
        ("streaming.failed", {}, HookKind.MEDIA_ENDED),
        ("message.received", {"from": {"phone_number": "+1"}, "to": []}, HookKind.OTHER),
        ("something.new", {}, HookKind.OTHER),
    ],
)
def test_an_event_is_news_of_a_call_or_nothing_to_us(event: str, payload: Mapping[str, Any], kind: HookKind) -> None:
    assert Telnyx().read_voice_hook(an_event(event, **payload)).kind is kind


def test_a_new_call_names_its_leg_its_application_and_its_numbers() -> None:
    hook = Telnyx().read_voice_hook(an_event("call.initiated", direction="incoming"))
    assert (hook.carrier_call_id, hook.account_id) == ("v3:a", "1234567890")
    assert (hook.from_number, hook.our_number) == ("+15550001111", "+15550002222")
    assert hook.at == datetime(2026, 1, 1, 10, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        ("normal_clearing", EndReason.CALLER_HUNG_UP),
        ("originator_cancel", EndReason.CALLER_HUNG_UP),
        ("user_busy", EndReason.BUSY),
        ("time_limit", EndReason.CARRIER_FAILED),
        ("a new one", EndReason.CARRIER_FAILED),
    ],
)
def test_the_cause_of_a_hangup_is_the_reason_of_the_end(cause: str, reason: EndReason) -> None:
    hook = Telnyx().read_voice_hook(an_event("call.hangup", hangup_cause=cause))
    assert (hook.ended, cause in hook.detail) == (reason, reason is not EndReason.CALLER_HUNG_UP)


@pytest.mark.parametrize(("cause", "failed"), [("normal_clearing", False), ("user_busy", True), ("timeout", True)])
def test_news_of_a_dialled_leg_are_about_the_caller_who_is_transferred(cause: str, failed: bool) -> None:
    leg = {"call_control_id": "v3:desk", "direction": "outgoing"}
    leg["client_state"] = state(call_id="call_1", transfer_of="v3:a")
    hook = Telnyx().read_voice_hook(an_event("call.hangup", hangup_cause=cause, **leg))
    assert (hook.carrier_call_id, hook.call_id, hook.transfer_failed) == ("v3:a", "call_1", failed)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"1", b'{"data":{}}', b'{"event_type":"call_initiated"}', BODY,
     b'{"data":{"event_type":"call.hangup","occurred_at":"2026-01-01T10:00:00Z","payload":{}}}',
     b'{"data":{"event_type":"call.hangup","occurred_at":"2026-01-01T10:00:00Z","payload":[1]}}'],
)  # fmt: skip
def test_what_is_no_event_or_lacks_a_field_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"event of Telnyx|has no"):
        Telnyx().read_voice_hook(a_hook(body))


def an_answer(*, resumed: bool, once: str = "t0ken") -> CarrierAction:
    told = Telnyx().answer_with_media(MediaAnswer("wss://w/media/telnyx/call_1", once, "call_1", "", resumed))
    assert (told.response.status, told.action is None) == (200, False)
    assert told.action is not None
    return told.action


def test_a_call_is_answered_with_a_stream_that_both_sides_can_hear() -> None:
    first = an_answer(resumed=False)
    assert first.name == "answer"
    assert first.body == {
        "stream_url": "wss://w/media/telnyx/call_1/t0ken",
        "stream_track": "inbound_track",
        "stream_codec": "PCMU",
        "stream_bidirectional_mode": "rtp",
        "stream_bidirectional_codec": "PCMU",
        "client_state": state(call_id="call_1"),
    }


def test_a_call_that_goes_on_gets_a_new_stream_and_a_repeated_hook_the_same_command() -> None:
    assert an_answer(resumed=True).name == "streaming_start"
    assert an_answer(resumed=False).command_id == an_answer(resumed=False).command_id
    assert an_answer(resumed=True).command_id != an_answer(resumed=True, once="another").command_id


def test_last_words_are_said_step_by_step() -> None:
    told = Telnyx().say_and_end(CarrierLine("Gute Nacht.", "de-DE"), call_id="call_1", answered=False).action
    assert told is not None
    assert (told.name, "stream_url" in told.body) == ("answer", False)

    answered = Telnyx().read_voice_hook(an_event("call.answered", client_state=told.body["client_state"]))
    speak = Telnyx().say_and_end(CarrierLine("Gute Nacht.", "de-DE"), call_id="call_1", answered=True).action
    assert speak is not None
    assert (answered.kind, answered.then, speak.body["payload"]) == (HookKind.FOLLOW_UP, speak, "Gute Nacht.")
    assert speak.body["language"] == "de-DE"
    assert answered.call_id == "call_1"

    said = an_event("call.speak.ended", client_state=speak.body["client_state"], status="completed")
    assert Telnyx().read_voice_hook(said).then == Telnyx().end().action


def test_media_messages_are_read() -> None:
    codec = TelnyxMedia()
    start = {"call_control_id": "v3:a", "custom_parameters": {"token": "t"}, "media_format": a_format()}
    message = {"event": "start", "sequence_number": "1", "stream_id": "s1", "start": start}
    assert codec.parse('{"event":"connected","version":"1.0.0"}') is None
    assert codec.parse(orjson.dumps(message).decode()) == MediaStarted("s1", "v3:a", {"token": "t"})
    assert codec.parse('{"event":"mark","stream_id":"s1","mark":{"name":"r1:1"}}') == MediaMark("r1:1")
    assert codec.parse('{"event":"dtmf","stream_id":"s1","dtmf":{"digit":"#"}}') == MediaDtmf("#")
    assert codec.parse('{"event":"stop","stream_id":"s1","stop":{}}') == MediaStopped()
    assert codec.parse('{"event":"something_new"}') is None


def a_format(**changes: Any) -> dict[str, Any]:
    return {"encoding": "PCMU", "sample_rate": 8000, "channels": 1, **changes}


@pytest.mark.parametrize("form", [a_format(encoding="PCMA"), a_format(encoding="L16", sample_rate=16_000)])
def test_a_stream_that_is_not_what_was_asked_for_is_refused(form: dict[str, Any]) -> None:
    message = {"event": "start", "stream_id": "s1", "start": {"call_control_id": "v3:a", "media_format": form}}
    with pytest.raises(ValueError, match="not PCMU 8 kHz mono"):
        TelnyxMedia().parse(orjson.dumps(message).decode())


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "1", '{"event":"media"}', '{"event":"media","media":{"chunk":"x","payload":"/w=="}}',
             '{"event":"media","media":{"chunk":"1","payload":"%%"}}', '{"event":"mark","mark":1}'],
)  # fmt: skip
def test_malformed_media_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the words
        TelnyxMedia().parse(text)


def test_an_error_that_telnyx_tells_is_shown() -> None:
    text = '{"event":"error","stream_id":"s1","payload":{"code":100004,"title":"invalid_media","detail":""}}'
    with pytest.raises(ValueError, match="100004 invalid_media"):
        TelnyxMedia().parse(text)


def heard(*chunks: int) -> bytes:
    """What a call hears of frames that arrive in this order; a frame is its number, once."""
    codec, audio = TelnyxMedia(), b""
    for chunk in chunks:
        payload = base64.b64encode(bytes([chunk])).decode()
        event = codec.parse(
            f'{{"event":"media","media":{{"track":"inbound","chunk":"{chunk}","payload":"{payload}"}}}}'
        )
        audio += event.audio if isinstance(event, MediaFrame) else b""
    return audio


@pytest.mark.parametrize(
    ("arrived", "order"),
    [
        ((1, 2, 3), (1, 2, 3)),
        ((2, 3), (2, 3)),
        ((1, 3, 2, 5, 4), (1, 2, 3, 4, 5)),
        ((1, 4, 3, 2), (1, 2, 3, 4)),
        ((1, 2, 2, 1, 3), (1, 2, 3)),
        ((1, 3, 4, 5), (1,)),
        ((1, 3, 4, 5, 6), (1, 3, 4, 5, 6)),
        ((1, 3, 4, 5, 6, 2, 7), (1, 3, 4, 5, 6, 7)),
    ],
)
def test_frames_are_put_in_order_and_a_lost_one_is_not_waited_for_long(
    arrived: tuple[int, ...], order: tuple[int, ...]
) -> None:
    assert WINDOW == 3
    assert heard(*arrived) == bytes(order)


def played(messages: tuple[str, ...]) -> list[bytes]:
    """Audio of the messages that are audio."""
    parsed = [orjson.loads(message) for message in messages]
    return [base64.b64decode(each["media"]["payload"]) for each in parsed if each["event"] == "media"]


def test_audio_leaves_in_whole_frames_and_its_end_with_the_mark() -> None:
    codec = TelnyxMedia()
    assert played(codec.audio(b"\x01" * 200)) == [b"\x01" * 160]
    assert codec.audio(b"\x02" * 100) == ()
    assert played(codec.audio(b"\x03" * 30)) == [b"\x01" * 40 + b"\x02" * 100 + b"\x03" * 20]
    tail, mark = codec.mark("r1:1")
    assert played((tail,)) == [b"\x03" * 10 + b"\xff" * 150]
    assert mark == '{"event":"mark","mark":{"name":"r1:1"}}'
    assert codec.mark("r1:2") == ('{"event":"mark","mark":{"name":"r1:2"}}',)


def test_a_clear_drops_the_waiting_end_too() -> None:
    codec = TelnyxMedia()
    codec.audio(b"\x01" * 50)
    assert codec.clear() == '{"event":"clear"}'
    assert codec.mark("r1:1") == ('{"event":"mark","mark":{"name":"r1:1"}}',)
