"""Twilio's words: signatures against known vectors, TwiML, media messages."""

import base64

import pytest

from calliope.contracts.calls import CarrierRequest
from calliope_call_worker.providers.telephony.base import (
    CarrierAccount,
    CarrierLine,
    MediaAnswer,
    MediaDtmf,
    MediaFrame,
    MediaMark,
    MediaStarted,
    MediaStopped,
)
from calliope_call_worker.providers.telephony.languages import locale_of
from calliope_call_worker.providers.telephony.twilio import Twilio
from calliope_sandbox.vendors.twilio_words import parse

ACCOUNT = CarrierAccount("AC" + "2" * 32, "0123456789abcdef0123456789abcdef")
FORM = f"CallSid=CA{'1' * 32}&CallStatus=ringing&Digits=&From=%2B15550001111&To=%2B15550002222"


def a_hook(signature: str | None, body: str = FORM, path: str = "/twilio/voice?tenant=7") -> CarrierRequest:
    headers = () if signature is None else (("X-Twilio-Signature", signature),)
    return CarrierRequest(
        carrier="twilio", method="POST", path_and_query=path, headers=headers, body=base64.b64encode(body.encode())
    )


@pytest.mark.parametrize("public_url", ["https://voice.example.test", "https://voice.example.test:8443"])
def test_a_genuine_signature_is_accepted_with_or_without_the_port(public_url: str) -> None:
    assert Twilio().verify(a_hook("pA/TnrWdDaoBhk81AtoDIxhOP4U="), ACCOUNT, public_url, 0)


@pytest.mark.parametrize(
    "hook",
    [
        a_hook(None),
        a_hook(""),
        a_hook("pA/TnrWdDaoBhk81AtoDIxhOP4V="),
        a_hook("pA/TnrWdDaoBhk81AtoDIxhOP4U=", FORM + "&Extra=1"),
        a_hook("pA/TnrWdDaoBhk81AtoDIxhOP4U=", path="/twilio/voice?tenant=8"),
        a_hook("é"),
    ],
)
def test_anything_else_is_refused(hook: CarrierRequest) -> None:
    assert not Twilio().verify(hook, ACCOUNT, "https://voice.example.test", 0)


@pytest.mark.parametrize("signature", ["Q+82Zh+6h3XUYGulJvqj0Cl5hC4=", "WXl7GbRi5OguIbldyOSd0r7cDkE="])
def test_a_media_upgrade_is_signed_with_or_without_a_slash(signature: str) -> None:
    headers = {"x-twilio-signature": signature}
    assert Twilio().verify_media(headers, ACCOUNT, "wss://voice.example.test/media")
    assert not Twilio().verify_media({}, ACCOUNT, "wss://voice.example.test/media")


def test_a_hook_without_its_fields_is_refused_with_words() -> None:
    with pytest.raises(ValueError, match="CallSid, AccountSid, To"):
        Twilio().read_voice_hook(a_hook(None, "x=1"))


def test_the_answer_leads_media_to_us_and_back_again() -> None:
    told = Twilio().answer_with_media(MediaAnswer("wss://w/media/1?a&b", "to<ken", "call_1", "https://g/after"))
    answer = told.response
    assert answer.content_type == "application/xml"
    assert '<Stream url="wss://w/media/1?a&amp;b">' in answer.body
    assert 'name="token" value="to&lt;ken"' in answer.body
    assert '<Redirect method="POST">https://g/after</Redirect>' in answer.body


@pytest.mark.parametrize(
    "tag", ["en-US", "es-419", "fr-BE", "de-AT", "pt", "it", "nl-BE", "pl", "ja", "sv", "hi", "multi"]
)
def test_last_words_are_said_in_a_language_that_twilio_speaks(tag: str) -> None:
    answer = Twilio().say_and_end(CarrierLine("¿Qué & cómo?", locale_of(tag)), call_id="call_1", answered=True)
    said, hangup = parse(answer.response.body)
    assert (said.name, said.text, hangup.name) == ("Say", "¿Qué & cómo?", "Hangup")
    assert said.attributes == {"language": locale_of(tag)}


def test_media_messages_are_read() -> None:
    codec = Twilio().codec()
    start = (
        '{"event":"start","sequenceNumber":"1","streamSid":"MZ1","start":{"streamSid":"MZ1","accountSid":"AC","callSid":'
        '"CA1","tracks":["inbound"],"customParameters":{"token":"t"},"mediaFormat":{"encoding":"audio/x-mulaw",'
        '"sampleRate":8000,"channels":1}}}'
    )
    assert codec.parse('{"event":"connected","protocol":"Call","version":"1.0.0"}') is None
    assert codec.parse(start) == MediaStarted("MZ1", "CA1", {"token": "t"})
    media = (
        '{"event":"media","streamSid":"MZ1","media":{"track":"inbound","chunk":"1","timestamp":"20","payload":"//8="}}'
    )
    assert codec.parse(media) == MediaFrame(b"\xff\xff")
    assert codec.parse('{"event":"mark","streamSid":"MZ1","mark":{"name":"r1:1"}}') == MediaMark("r1:1")
    assert codec.parse('{"event":"dtmf","streamSid":"MZ1","dtmf":{"track":"inbound_track","digit":"#"}}') == MediaDtmf(
        "#"
    )
    assert codec.parse('{"event":"stop","streamSid":"MZ1","stop":{}}') == MediaStopped()
    assert codec.parse('{"event":"something_new"}') is None
    assert codec.audio(b"\xff") == ('{"event":"media","streamSid":"MZ1","media":{"payload":"/w=="}}',)
    assert codec.clear() == '{"event":"clear","streamSid":"MZ1"}'


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "1", '{"event":"media"}', '{"event":"media","media":{"payload":"%%"}}', '{"event":"mark","mark":1}',
     '{"event":"mark","mark":{"name":["r1:1"]}}', '{"event":"dtmf","dtmf":{"digit":{}}}',
     '{"event":"dtmf","dtmf":{"digit":[]}}', '{"event":"dtmf","dtmf":{"digit":"11"}}',
     '{"event":"start","start":{"streamSid":7,"callSid":"CA1","mediaFormat":{"encoding":"audio/x-mulaw",'
     '"sampleRate":8000,"channels":1}}}',
     '{"event":"start","start":{"mediaFormat":{"encoding":"audio/l16","sampleRate":16000,"channels":1}}}'],
)  # fmt: skip
def test_malformed_media_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the words
        Twilio().codec().parse(text)
