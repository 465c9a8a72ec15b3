"""Twilio's words: signatures, TwiML, Media Streams messages, resource documents. Pure.

Sources: Twilio's documentation of webhook security, TwiML voice, Media Streams messages, the Call resource, errors.
"""

import base64
import hashlib
import hmac
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import urlsplit, urlunsplit

import orjson

MAX_TWIML: Final = 4_000
"""Of a `Twiml` parameter; a fetched document may be longer."""
MAX_PARAMETER: Final = 500
VERBS: Final = frozenset({"Connect", "Redirect", "Hangup", "Reject", "Say", "Pause", "Dial"})

LANGUAGES: Final = frozenset((
    "da-DK", "de-DE", "en-AU", "en-CA", "en-GB", "en-IN", "en-US", "ca-ES", "es-ES", "es-MX", "fi-FI", "fr-CA",
    "fr-FR", "it-IT", "ja-JP", "ko-KR", "nb-NO", "nl-NL", "pl-PL", "pt-BR", "pt-PT", "ru-RU", "sv-SE", "zh-CN",
    "zh-HK", "zh-TW",
))  # fmt: skip
"""Of the voices that `<Say>` has without a name."""


class IncomingNumber(Protocol):
    """What is told of a number."""

    @property
    def number(self) -> str: ...
    @property
    def account_sid(self) -> str: ...
    @property
    def voice_url(self) -> str: ...
    @property
    def voice_method(self) -> str: ...
    @property
    def status_callback(self) -> str: ...
    @property
    def voice_application_sid(self) -> str: ...


class TwimlError(ValueError):
    """A document that Twilio refuses; `code` is its error number."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{code}: {words}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: its attributes and text; of `<Connect>` the stream with its parameters, of `<Dial>` the number."""

    name: str
    attributes: Mapping[str, str]
    text: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse(document: str) -> list[Verb]:
    """The verbs of a TwiML document. Raises: TwimlError."""
    try:
        root = ET.fromstring(document)  # noqa: S314 - our own product's answer, on loopback
    except ET.ParseError as exc:
        raise TwimlError(12100, f"document parse failure: {exc}") from exc
    if root.tag != "Response":
        raise TwimlError(12100, f"the root is <{root.tag}>, not <Response>")
    return [_verb(element) for element in root]


def _verb(element: ET.Element) -> Verb:
    if element.tag not in VERBS:
        raise TwimlError(12200, f"<{element.tag}> is not played here; known are {', '.join(sorted(VERBS))}")
    if element.tag == "Connect":
        return _connect(element)
    if element.tag == "Say" and element.get("language", "en-US") not in LANGUAGES:
        raise TwimlError(13512, f"<Say> does not speak {element.get('language')}")
    number = element.find("Number")
    text = (number.text if number is not None else element.text) or ""
    return Verb(element.tag, dict(element.attrib), text.strip())


def _connect(element: ET.Element) -> Verb:
    stream = element.find("Stream")
    if stream is None:
        raise TwimlError(12200, "<Connect> without <Stream>")
    url = urlsplit(stream.get("url", ""))
    if url.scheme not in {"wss", "ws"}:  # ws only here: the sandbox has no certificates
        raise TwimlError(31922, f"the stream URL's scheme is {url.scheme or 'missing'}")
    if url.query:
        raise TwimlError(31920, "a stream URL cannot have a query string")
    if stream.get("track", "inbound_track") != "inbound_track":
        raise TwimlError(31941, "<Connect> streams inbound_track only")
    parameters = {one.get("name", ""): one.get("value", "") for one in stream.findall("Parameter")}
    for name, value in parameters.items():
        if len(name) + len(value) >= MAX_PARAMETER:
            raise TwimlError(12200, f"the parameter {name} is longer than {MAX_PARAMETER} characters")
    return Verb("Connect", {**stream.attrib, "action": element.get("action", "")}, parameters=parameters)


def sign(url: str, form: Mapping[str, str], auth_token: str) -> str:
    """`X-Twilio-Signature`: over https a non-standard port is dropped before signing, over http and ws it is kept."""
    parts = urlsplit(url)
    if parts.scheme in {"https", "wss"}:
        url = urlunsplit(parts._replace(netloc=parts.hostname or ""))
    text = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def connected() -> str:
    """The first message of a stream."""
    return '{"event":"connected","protocol":"Call","version":"1.0.0"}'


def start(stream_sid: str, account_sid: str, call_sid: str, parameters: Mapping[str, str]) -> str:
    """The second."""
    return _text(
        {
            "event": "start",
            "sequenceNumber": "1",
            "streamSid": stream_sid,
            "start": {
                "streamSid": stream_sid,
                "accountSid": account_sid,
                "callSid": call_sid,
                "tracks": ["inbound"],
                "customParameters": dict(parameters),
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            },
        }
    )


def media(stream_sid: str, sequence: int, chunk: int, timestamp_ms: int, payload: str) -> str:
    """A frame of the caller; numbers are strings."""
    return (
        f'{{"event":"media","sequenceNumber":"{sequence}","streamSid":"{stream_sid}","media":{{"track":"inbound",'
        f'"chunk":"{chunk}","timestamp":"{timestamp_ms}","payload":"{payload}"}}}}'
    )


def mark(stream_sid: str, sequence: int, name: str) -> str:
    """Our mark comes back."""
    message = {"event": "mark", "sequenceNumber": str(sequence), "streamSid": stream_sid, "mark": {"name": name}}
    return _text(message)


def dtmf(stream_sid: str, sequence: int, digit: str) -> str:
    """A key; note the other spelling of the track."""
    pressed = {"track": "inbound_track", "digit": digit}
    return _text({"event": "dtmf", "streamSid": stream_sid, "sequenceNumber": str(sequence), "dtmf": pressed})


def stop(stream_sid: str, sequence: int, account_sid: str, call_sid: str) -> str:
    """The stream was stopped, or the call ended."""
    ended = {"accountSid": account_sid, "callSid": call_sid}
    return _text({"event": "stop", "sequenceNumber": str(sequence), "streamSid": stream_sid, "stop": ended})


def _text(message: dict[str, Any]) -> str:
    return orjson.dumps(message).decode()


def error(status: int, code: int, words: str) -> dict[str, Any]:
    """An error of the REST API."""
    return {"code": code, "message": words, "more_info": f"https://www.twilio.com/docs/errors/{code}", "status": status}


def account(account_sid: str, status: str) -> dict[str, Any]:
    """An Account resource."""
    return {
        "sid": account_sid,
        "friendly_name": "sandbox",
        "status": status,
        "type": "Full",
        "owner_account_sid": account_sid,
        "uri": f"/2010-04-01/Accounts/{account_sid}.json",
    }


def incoming(number: IncomingNumber) -> dict[str, Any]:
    """An IncomingPhoneNumber resource; the `sid` is made of the number."""
    sid = "PN" + hashlib.sha256(number.number.encode()).hexdigest()[:32]
    return {
        "sid": sid,
        "account_sid": number.account_sid,
        "phone_number": number.number,
        "friendly_name": number.number,
        "capabilities": {"voice": True, "sms": True, "mms": False, "fax": False},
        "voice_url": number.voice_url,
        "voice_method": number.voice_method,
        "status_callback": number.status_callback,
        "voice_application_sid": number.voice_application_sid or None,
        "trunk_sid": None,
        "status": "in-use",
        "uri": f"/2010-04-01/Accounts/{number.account_sid}/IncomingPhoneNumbers/{sid}.json",
    }


def page(name: str, items: list[dict[str, Any]], path: str) -> dict[str, Any]:
    """A list that fits one page."""
    uri = path[path.index("/2010-04-01") :]
    return {
        name: items,
        "page": 0,
        "page_size": 50,
        "start": 0,
        "end": max(0, len(items) - 1),
        "uri": uri,
        "first_page_uri": uri,
        "next_page_uri": None,
        "previous_page_uri": None,
    }
