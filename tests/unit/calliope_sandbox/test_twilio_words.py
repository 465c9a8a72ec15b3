"""The twin's signatures and TwiML, held against Twilio's own SDK."""

import pytest
from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import Connect, Dial, VoiceResponse

from calliope_sandbox.vendors.twilio_words import TwimlError, parse, sign

TOKEN = "12345"
FORM = {"CallSid": "CA123", "From": "+15550001111", "To": "+15550002222", "FromCity": "", "Unknown": "a b&c=ü"}


@pytest.mark.parametrize(
    "url",
    [
        "https://va.example/telephony/twilio/voice",
        "https://va.example/telephony/twilio/voice?x=1&y=%2B",
        "https://va.example:8443/telephony/twilio/voice",
        "http://127.0.0.1:8080/telephony/twilio/voice",
    ],
)
def test_twilios_own_validator_accepts_our_signatures(url: str) -> None:
    assert RequestValidator(TOKEN).validate(url, FORM, sign(url, FORM, TOKEN))
    assert not RequestValidator(TOKEN).validate(url, FORM, sign(url, FORM, "another token"))
    assert not RequestValidator(TOKEN).validate(url, FORM | {"From": "+1"}, sign(url, FORM, TOKEN))


def test_what_twilios_sdk_writes_is_read() -> None:
    response = VoiceResponse()
    connect = Connect(action="/after")
    connect.stream(url="wss://va.example/media").parameter(name="token", value="s-1 & <2>")
    response.append(connect)
    dial = Dial(action="/dialled", timeout=30)
    dial.number("+15550007777")
    response.append(dial)
    response.say("Good & bye")
    response.redirect("/again", method="POST")
    response.hangup()

    verbs = parse(str(response))

    assert [verb.name for verb in verbs] == ["Connect", "Dial", "Say", "Redirect", "Hangup"]
    assert verbs[0].attributes["url"] == "wss://va.example/media"
    assert verbs[0].attributes["action"] == "/after"
    assert verbs[0].parameters == {"token": "s-1 & <2>"}
    assert (verbs[1].text, verbs[1].attributes["action"]) == ("+15550007777", "/dialled")
    assert verbs[2].text == "Good & bye"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("not xml", 12100),
        ("<Answer/>", 12100),
        ("<Response><Dance/></Response>", 12200),
        ("<Response><Connect/></Response>", 12200),
        ('<Response><Say language="de-AT">Guten Tag</Say></Response>', 13512),
        ('<Response><Connect><Stream url="https://va.example"/></Connect></Response>', 31922),
        ('<Response><Connect><Stream url="wss://va.example?x=1"/></Connect></Response>', 31920),
        ('<Response><Connect><Stream url="wss://va.example" track="both_tracks"/></Connect></Response>', 31941),
        (
            '<Response><Connect><Stream url="wss://va.example">'
            f'<Parameter name="long" value="{"x" * 500}"/></Stream></Connect></Response>',
            12200,
        ),
    ],
)
def test_what_twilio_refuses_is_refused_with_its_number(document: str, code: int) -> None:
    with pytest.raises(TwimlError) as refused:
        parse(document)

    assert refused.value.code == code
