"""Twilio: signed hooks, TwiML, Media Streams messages and the few REST calls that a live call needs.

Sources: Twilio's documentation of webhook security, `<Connect><Stream>`, Media Streams messages and the Call resource.
"""

import base64
import hmac
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit
from xml.sax.saxutils import escape, quoteattr

import aiohttp
import orjson

from calliope.contracts.calls import CarrierRequest
from calliope.contracts.carriers import twiml
from calliope_call_worker.providers.errors import Failure, ProviderError, failure_of_status
from calliope_call_worker.providers.telephony import twilio_hooks
from calliope_call_worker.providers.telephony.base import (
    CarrierAccount,
    CarrierAnswer,
    CarrierLine,
    MediaAnswer,
    MediaDtmf,
    MediaEvent,
    MediaFrame,
    MediaMark,
    MediaStarted,
    MediaStopped,
    TransferRequest,
    VoiceHook,
)
from calliope_call_worker.providers.telephony.fields import one_key, short_text
from calliope_call_worker.providers.wire import broken

NAME: Final = "twilio"
SIGNATURE: Final = "x-twilio-signature"
_GONE: Final = {20404, 21220}  # no such call; call not in progress: both mean it is over already


class Twilio:
    """Twilio's words; pure."""

    name = NAME
    reads_answers = True

    def read_voice_hook(self, request: CarrierRequest) -> VoiceHook:
        """See `twilio_hooks`. Raises: ValueError, when a field is missing."""
        return twilio_hooks.read(request)

    def verify(self, request: CarrierRequest, account: CarrierAccount, public_url: str, now: float) -> bool:
        """HMAC-SHA1 over URL and, by POST, sorted parameters; with or without the port of an https URL."""
        given = _header(request, SIGNATURE)
        if given is None:
            return False
        url = public_url.rstrip("/") + request.path_and_query
        form = twilio_hooks.fields(request) if request.method == "POST" else ()  # by GET the URL holds them already
        fields = "".join(name + value for name, value in sorted(set(form)))
        return any(_same(given, _sign(variant + fields, account.secret)) for variant in _ports(url))

    def verify_media(self, headers: Mapping[str, str], account: CarrierAccount, media_url: str) -> bool:
        """The upgrade is signed like a hook without parameters; Twilio may sign with a slash appended."""
        signature = headers.get(SIGNATURE)
        if signature is None:
            return False
        urls = [variant + slash for variant in _ports(media_url) for slash in ("", "/")]
        return any(_same(signature, _sign(url, account.secret)) for url in urls)

    def answer_with_media(self, answer: MediaAnswer) -> CarrierAnswer:
        """A stream to us; when it ends for whatever reason, Twilio asks `after_url` what to do."""
        return _twiml(
            f"<Connect><Stream url={quoteattr(answer.media_url)}>"
            f'<Parameter name="token" value={quoteattr(answer.token)}/>'
            f'<Parameter name="call_id" value={quoteattr(answer.call_id)}/>'
            f'</Stream></Connect><Redirect method="POST">{escape(answer.after_url)}</Redirect>'
        )

    def answer_with_transfer(self, wanted: TransferRequest) -> CarrierAnswer:
        """`<Dial>`; a call that was given other TwiML since it asked does not heed the answer."""
        return _twiml(_dial(wanted))

    def refuse(self, reason: str) -> CarrierAnswer:
        """`<Reject>` is neither answered nor billed; it knows only two reasons."""
        return _twiml(f'<Reject reason="{"busy" if reason == "busy" else "rejected"}"/>')

    def noted(self) -> CarrierAnswer:
        """Nothing to do."""
        return _twiml("")

    def leave(self) -> CarrierAnswer:
        """Every question must be told something; a caller whom another worker has hears nothing of this one."""
        return self.refuse("busy")

    def end(self) -> CarrierAnswer:
        """Hang up."""
        return _twiml("<Hangup/>")

    def say_and_end(self, line: CarrierLine, *, call_id: str, answered: bool) -> CarrierAnswer:
        """Twilio's own voice of that language."""
        return _twiml(f"<Say language={quoteattr(line.language)}>{escape(line.text)}</Say><Hangup/>")

    def codec(self) -> "TwilioMedia":
        """Words of one media socket."""
        return TwilioMedia()


class TwilioMedia:
    """Media Streams messages of one socket; learns the stream's id from `start`."""

    def __init__(self) -> None:
        self._stream_id = ""

    def parse(self, text: str) -> MediaEvent | None:
        """One text frame. Raises: ValueError, for what Twilio would never send."""
        message: dict[str, Any] = orjson.loads(text)
        try:
            match message["event"]:
                case "media":
                    media = message["media"]
                    if media.get("track", "inbound") != "inbound":
                        return None
                    return MediaFrame(base64.b64decode(media["payload"], validate=True))
                case "mark":
                    return MediaMark(short_text(message["mark"]["name"]))
                case "dtmf":
                    return MediaDtmf(one_key(message["dtmf"]["digit"]))
                case "start":
                    return self._start(message)
                case "stop":
                    return MediaStopped()
                case _:
                    return None
        except (KeyError, TypeError, AttributeError) as exc:
            raise ValueError("a Media Streams message without its fields") from exc

    def _start(self, message: dict[str, Any]) -> MediaStarted:
        start = message["start"]
        form = start["mediaFormat"]
        if (form["encoding"], int(form["sampleRate"]), int(form["channels"])) != ("audio/x-mulaw", 8000, 1):
            raise ValueError(f"the stream is {form['encoding']} at {form['sampleRate']} Hz, not μ-law 8 kHz mono")
        self._stream_id = short_text(start["streamSid"])
        parameters = {str(name): str(value) for name, value in (start.get("customParameters") or {}).items()}
        return MediaStarted(self._stream_id, short_text(start["callSid"]), parameters)

    def audio(self, payload: bytes) -> tuple[str, ...]:
        """Raw μ-law, no header; played after what was sent before."""
        encoded = base64.b64encode(payload).decode()
        return (f'{{"event":"media","streamSid":"{self._stream_id}","media":{{"payload":"{encoded}"}}}}',)

    def mark(self, name: str) -> tuple[str, ...]:
        """Echoed when everything before it was played, or dropped by `clear`."""
        return (f'{{"event":"mark","streamSid":"{self._stream_id}","mark":{{"name":"{name}"}}}}',)

    def clear(self) -> str:
        """Drop what is buffered; all pending marks come back."""
        return f'{{"event":"clear","streamSid":"{self._stream_id}"}}'


class TwilioApi:
    """REST of one installation; accounts differ per call."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, *, deadline_s: float = 5.0) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=deadline_s)

    async def hang_up(self, account: CarrierAccount, carrier_call_id: str) -> None:
        """Status=completed; a call that is over already is success."""
        await self._update(account, carrier_call_id, {"Status": "completed"})

    async def transfer(self, account: CarrierAccount, wanted: TransferRequest) -> None:
        """`<Dial>`; applying it stops the media stream at once, so the goodbye must have been heard before.

        Twilio does not know a command again, so this one is sent once: a second `<Dial>` would ring anew.
        """
        await self._update(account, wanted.carrier_call_id, {"Twiml": twiml(_dial(wanted)).body})

    async def ask_again(self, account: CarrierAccount, carrier_call_id: str, *, after_url: str, key: str) -> None:
        """A redirect ends the verb that plays, and with it the stream."""
        await self._update(account, carrier_call_id, {"Url": after_url, "Method": "POST"})

    async def _update(self, account: CarrierAccount, call_sid: str, form: dict[str, str]) -> None:
        try:
            await self._post(account, f"Calls/{quote(call_sid, safe='')}.json", list(form.items()))
        except _CallOverError:
            return

    async def _post(self, account: CarrierAccount, path: str, form: list[tuple[str, str]]) -> dict[str, Any]:
        url = f"{self._base_url}/2010-04-01/Accounts/{quote(account.account_id, safe='')}/{path}"
        headers = authorization(account)
        try:
            async with self._session.post(
                url, data=form, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as response:
                body = await response.content.read(65_536)
        except TimeoutError as exc:
            raise ProviderError(NAME, Failure.DEADLINE, "REST call took too long") from exc
        except aiohttp.ClientError as exc:
            raise ProviderError(NAME, Failure.DROPPED, f"REST call failed: {broken(exc)}") from exc
        answer = _json_object(body)
        if response.status < 300:
            return answer
        if answer.get("code") in _GONE:
            raise _CallOverError
        raise ProviderError(NAME, failure_of_status(response.status), f"{response.status} {answer.get('message', '')}")


def authorization(account: CarrierAccount) -> dict[str, str]:
    """Who asks: the account with its token."""
    pair = f"{account.account_id}:{account.secret}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


class _CallOverError(Exception):
    """Twilio does not know the call any more."""


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _twiml(verbs: str) -> CarrierAnswer:
    return CarrierAnswer(twiml(verbs))


def _dial(wanted: TransferRequest) -> str:
    caller, to_number = f" callerId={quoteattr(wanted.caller_id)}" if wanted.caller_id else "", escape(wanted.to_number)
    return f'<Dial action={quoteattr(wanted.after_url)} timeout="30"{caller}><Number>{to_number}</Number></Dial>'


def _header(request: CarrierRequest, name: str) -> str | None:
    return next((value for key, value in request.headers if key.lower() == name), None)


def _sign(message: str, token: str) -> str:
    return base64.b64encode(hmac.digest(token.encode(), message.encode(), "sha1")).decode()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _ports(url: str) -> set[str]:
    """Twilio drops a non-standard port of an https hook before it signs, and keeps it for http."""
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=parts.hostname or ""))
    return {url, bare}
