"""A hook of Twilio is read for what it says, whichever address it came to, and by which method."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlencode

import pytest

from calliope.contracts.calls import CarrierRequest, Direction, EndReason
from calliope_call_worker.providers.telephony.base import CarrierAccount, HookKind, VoiceHook
from calliope_call_worker.providers.telephony.twilio import Twilio

VOICE, RESUME = "/telephony/twilio/voice", "/telephony/twilio/resume/call_1"
URL = "https://voice.example.test"
ACCOUNT = CarrierAccount("AC" + "2" * 32, "0" * 32)
CALL = {"CallSid": "CA7", "AccountSid": ACCOUNT.account_id, "From": "+15550100177", "To": "+15550100170"}


def a_hook(path: str = VOICE, method: str = "POST", **more: str) -> CarrierRequest:
    """Signed, with these fields besides those of every hook about a call."""
    return signed(path, method, CALL | more)


def signed(path: str, method: str, form: Mapping[str, str]) -> CarrierRequest:
    body, text = urlencode(form), "".join(name + form[name] for name in sorted(form))
    if method == "GET":
        path, body, text = f"{path}{'&' if '?' in path else '?'}{body}", "", ""
    made = hmac.digest(ACCOUNT.secret.encode(), (URL + path + text).encode(), hashlib.sha1)
    return CarrierRequest(
        carrier="twilio",
        method=method,
        path_and_query=path,
        headers=(("X-Twilio-Signature", base64.b64encode(made).decode()),),
        body=base64.b64encode(body.encode()),
    )


def read(hook: CarrierRequest) -> VoiceHook:
    return Twilio().read_voice_hook(hook)


@pytest.mark.parametrize("path", [VOICE, RESUME])
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("completed", EndReason.CALLER_HUNG_UP),
        ("canceled", EndReason.CALLER_HUNG_UP),
        ("busy", EndReason.BUSY),
        ("no-answer", EndReason.NO_ANSWER),
        ("failed", EndReason.CARRIER_FAILED),
    ],
)
def test_a_status_after_which_nothing_happens_is_the_end_of_a_call(path: str, status: str, reason: EndReason) -> None:
    hook = read(a_hook(path, CallStatus=status))
    assert (hook.kind, hook.ended, hook.carrier_call_id) == (HookKind.CALL_ENDED, reason, "CA7")
    assert (status in hook.detail) == (reason is not EndReason.CALLER_HUNG_UP)


@pytest.mark.parametrize(
    ("path", "said", "kind"),
    [
        (VOICE, {"CallStatus": "ringing"}, HookKind.CALL),
        (VOICE, {"CallStatus": "in-progress"}, HookKind.CALL),
        (VOICE, {"CallStatus": "a new one"}, HookKind.CALL),
        (VOICE, {}, HookKind.CALL),
        (RESUME, {"CallStatus": "in-progress"}, HookKind.MEDIA_ENDED),
        (RESUME, {"CallStatus": "in-progress", "DialCallStatus": "busy"}, HookKind.TRANSFER_ENDED),
        (RESUME, {"CallStatus": "completed", "DialCallStatus": "completed"}, HookKind.TRANSFER_ENDED),
        (VOICE, {"CallStatus": "initiated"}, HookKind.OTHER),
        (VOICE, {"CallStatus": "ringing", "CallbackSource": "call-progress-events"}, HookKind.OTHER),
        (RESUME, {"CallStatus": "in-progress", "CallbackSource": "call-progress-events"}, HookKind.OTHER),
    ],
)
def test_only_what_is_no_news_is_a_question(path: str, said: Mapping[str, str], kind: HookKind) -> None:
    assert read(a_hook(path, **said)).kind is kind


@pytest.mark.parametrize(
    "form",
    [
        {"CallSid": "CA7", "StreamSid": "MZ1", "StreamEvent": "stream-stopped"},
        {"CallSid": "CA7", "RecordingSid": "RE1", "RecordingStatus": "completed"},
        {"MessageSid": "SM1", "From": "+15550100177", "To": "+15550100170", "Body": "hello"},
    ],
    ids=["stream", "recording", "text message"],
)
def test_news_of_something_else_need_not_name_a_call(form: Mapping[str, str]) -> None:
    assert read(signed(VOICE, "POST", form)).kind is HookKind.OTHER


@pytest.mark.parametrize(
    ("direction", "meant", "ours"),
    [
        ("inbound", Direction.INBOUND, "+15550100170"),
        ("outbound-api", Direction.OUTBOUND, "+15550100177"),
        ("outbound-dial", Direction.OUTBOUND, "+15550100177"),
    ],
)
def test_the_direction_is_the_one_that_is_stated(direction: str, meant: Direction, ours: str) -> None:
    hook = read(a_hook(Direction=direction))
    assert (hook.direction, hook.our_number) == (meant, ours)


def test_a_caller_who_shows_the_called_number_still_called() -> None:
    assert read(a_hook(Direction="inbound", From=CALL["To"])).direction is Direction.INBOUND


@pytest.mark.parametrize("path", [VOICE, VOICE + "?tenant=7", RESUME + "?try=2"])
def test_a_hook_by_get_says_the_same_and_its_signature_covers_the_query(path: str) -> None:
    posted, got = a_hook(path, CallStatus="ringing", Digits=""), a_hook(path, "GET", CallStatus="ringing", Digits="")

    assert read(got) == read(posted)
    for hook in (got, posted):
        assert Twilio().verify(hook, ACCOUNT, URL, 0)
        changed = hook.model_copy(update={"path_and_query": hook.path_and_query + "&x=1"})
        assert not Twilio().verify(changed, ACCOUNT, URL, 0)


def test_a_query_is_not_taken_for_the_fields_of_a_posted_hook() -> None:
    with pytest.raises(ValueError, match="no CallSid, AccountSid, To"):
        read(signed(f"{VOICE}?{urlencode(CALL)}", "POST", {"Digits": "1"}))
