"""One phone call at Twilio: asks the product what to do, plays its TwiML, and keeps the caller's clock to the end."""

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode, urljoin

import aiohttp
from yarl import URL

from calliope_sandbox.person import FRAME_MS
from calliope_sandbox.tone_speech import speak
from calliope_sandbox.vendors import twilio_words as words
from calliope_sandbox.vendors.caller_side import CallerSide
from calliope_sandbox.vendors.twilio_stream import MediaStream

VENDOR: Final = "twilio"
HOOK_S: Final = 15.0  # Twilio's hard cap
HOOK_TRIES: Final = 2  # one retry, for connections that fail
MAX_DOCUMENTS: Final = 100  # a redirect loop ends here
WORD_END_S: Final = 0.2  # silence in which an ear notices that the last word is over
TALK_MS: Final = 200.0  # how long a transferred call goes on
_ANSWERING: Final = frozenset({"Connect", "Say", "Pause", "Dial"})


@dataclass(frozen=True, slots=True)
class Number:
    """A phone number at Twilio, where its calls are asked for, and where their end is told.

    `early_frames` of each call's audio overtake the stream's `start`.
    """

    number: str
    account_sid: str
    auth_token: str
    voice_url: str
    voice_application_sid: str = ""  # when set, the URL counts for nothing
    status: str = "active"  # of the account
    voice_method: str = "POST"  # or GET
    status_callback: str = ""
    early_frames: int = 0

    @property
    def account(self) -> str:
        """See `OwnedNumber`."""
        return self.account_sid

    @property
    def hook(self) -> str:
        """See `OwnedNumber`."""
        return self.voice_url


class HookFailedError(Exception):
    """The product did not answer a hook with TwiML."""


@dataclass(slots=True, eq=False, kw_only=True)
class PhoneCall(CallerSide):
    """From the first ring to the last status. `dialled` says how numbers answer that it is transferred to."""

    vendor = VENDOR
    sid: str = field(default_factory=lambda: "CA" + secrets.token_hex(16))
    number: Number
    dialled: Mapping[str, str]
    twiml: list[str] = field(default_factory=list)
    _update: list[words.Verb] | None = None
    _document_url: str = ""  # relative URLs of a document start here
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, session: aiohttp.ClientSession) -> None:
        """The whole call. Never raises but for cancellation."""
        try:
            async with asyncio.TaskGroup() as tasks:
                clock = tasks.create_task(self.clock(), name="twilio.clock")
                try:
                    await self._play(session)
                finally:
                    clock.cancel()
        except* (HookFailedError, words.TwimlError) as group:
            self.status, self.failed = "failed", f"application error: {group.exceptions[0]}"
        if self.number.status_callback:
            await self._tell_the_end(session)
        self.end()

    def update(self, verbs: list[words.Verb] | None, *, ended_by: str | None = None) -> None:
        """New TwiML over REST, or the end of the call; either stops the stream at once."""
        self._update, self.ended_by = verbs, ended_by or self.ended_by
        self._changed.set()

    def hang_up(self, by: str) -> None:
        """See `CallerSide`."""
        self.update(None, ended_by=by)

    def document(self) -> dict[str, Any]:
        """Everything that was seen."""
        return self.seen() | {"twiml": self.twiml}

    # What the product wants

    async def _play(self, session: aiohttp.ClientSession) -> None:
        verbs = await self._ask(session, self.number.voice_url, {}, self.number.voice_method)
        while verbs and not self.over:
            verb, *verbs = verbs
            if verb.name in _ANSWERING and self.answered_at_s is None:
                await self._pause(self.ring_ms / 1_000)
                self.status = "in-progress"
                self.answered()
            following = await self._verb(session, verb)
            if self._update is not None:
                verbs, self._update = self._update, None
                self._changed.clear()
            elif following is not None:
                verbs = following
        if self.status not in {"busy", "no-answer"}:
            self.status = "completed"

    async def _verb(self, session: aiohttp.ClientSession, verb: words.Verb) -> list[words.Verb] | None:
        """Play one verb; the verbs that replace the rest, if any."""
        match verb.name:
            case "Connect":
                await self._connect(session, verb)
                action = verb.attributes.get("action")
                return await self._ask(session, action, {}) if action and not self.over else None
            case "Redirect":
                return await self._ask(session, verb.text, {})
            case "Dial":
                return await self._dial(session, verb)
            case "Say":
                await self._hear(speak(verb.text).audio)
            case "Pause":
                await self._pause(float(verb.attributes.get("length", "1")))
            case "Reject":
                self.status = "busy" if verb.attributes.get("reason") == "busy" else "no-answer"
                self.ended_by = self.ended_by or "product"
            case _:
                self.ended_by = self.ended_by or "product"
        return None

    async def _connect(self, session: aiohttp.ClientSession, verb: words.Verb) -> None:
        stream = MediaStream(
            account_sid=self.number.account_sid,
            call_sid=self.sid,
            auth_token=self.number.auth_token,
            url=verb.attributes["url"],
            parameters=dict(verb.parameters),
            trouble=lambda sent: self.host.trouble(VENDOR, call=self.sid, key=self.number.account_sid, sent=sent),
            early_frames=self.number.early_frames,
            on_clear=self.cleared,
            on_audio=self.audible,
        )
        if not await stream.open(session):
            self.problems.extend(stream.problems)
            return
        self.stream_began(stream)
        try:
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(stream.read(), name="twilio.read")
                waiting = tasks.create_task(self._changed.wait(), name="twilio.changed")
                await asyncio.wait({reading, waiting}, return_when=asyncio.FIRST_COMPLETED)
                if waiting.done():
                    await stream.stop()
                reading.cancel()
                waiting.cancel()
        finally:
            self.stream_ended(stream)

    async def _dial(self, session: aiohttp.ClientSession, verb: words.Verb) -> list[words.Verb] | None:
        outcome = self.dialled.get(verb.text, "completed")
        shown = verb.attributes.get("callerId", self.caller_number)
        self.shown_numbers.append(shown)
        if not shown.startswith("+"):
            self.problems.append(f"13214: {shown} is no caller ID")
            outcome = "failed"
        self.dials.append({"number": verb.text, "outcome": outcome})
        self.tell({"type": "dial", "number": verb.text, "outcome": outcome})
        await self._pause(TALK_MS / 1_000)
        action = verb.attributes.get("action")
        if not action or self.over:
            return None
        return await self._ask(
            session, action, {"DialCallStatus": outcome, "DialCallSid": "CA" + secrets.token_hex(16)}
        )

    async def _hear(self, audio: bytes) -> None:
        """Twilio's own voice."""
        stream = MediaStream(
            account_sid=self.number.account_sid,
            call_sid=self.sid,
            auth_token="",
            url="",
            parameters={},
            trouble=lambda _: None,
        )
        stream.buffer.add(audio)
        self.stream = stream
        try:
            await self._pause(len(audio) / 8_000)
            while stream.buffer.waiting_ms and not self.over and self._update is None:  # the clock may be late
                await self._pause(FRAME_MS / 1_000)
            await self._pause(WORD_END_S)
        finally:
            self.stream = None

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def _ask(
        self, session: aiohttp.ClientSession, url: str, more: Mapping[str, str], method: str = "POST"
    ) -> list[words.Verb]:
        """Fetch TwiML. Raises: HookFailedError, TwimlError."""
        url = self._document_url = urljoin(self._document_url or self.number.voice_url, url)
        document = await self._request(session, method, url, self._parameters() | dict(more))
        self.twiml.append(document)
        if len(self.twiml) > MAX_DOCUMENTS:
            raise HookFailedError(f"more than {MAX_DOCUMENTS} documents in one call")
        return words.parse(document)

    async def _tell_the_end(self, session: aiohttp.ClientSession) -> None:
        """The status callback. Its answer is not played; one that is none of a callback is a problem."""
        told = {"CallbackSource": "call-progress-events", "SequenceNumber": "0"}
        told["CallDuration"] = str(round(self.now_ms / 1_000))
        try:
            document = await self._request(
                session, self.number.voice_method, self.number.status_callback, self._parameters() | told
            )
            if verbs := words.parse(document):
                self.problems.append(f"the status callback was answered with <{verbs[0].name}>")
        except (HookFailedError, words.TwimlError) as exc:
            self.problems.append(f"the status callback failed: {exc}")

    async def _request(self, session: aiohttp.ClientSession, method: str, url: str, form: Mapping[str, str]) -> str:
        """A signed hook and its answer. Raises: HookFailedError."""
        why = ""
        sent: Mapping[str, str] | None = form
        if method == "GET":
            url, form, sent = f"{url}{'&' if '?' in url else '?'}{urlencode(form)}", {}, None
        headers = {
            "X-Twilio-Signature": words.sign(url, form, self.number.auth_token),
            "User-Agent": "TwilioProxy/1.1",
            "I-Twilio-Idempotency-Token": secrets.token_hex(16),
        }
        for _ in range(HOOK_TRIES):
            try:
                timeout = aiohttp.ClientTimeout(total=HOOK_S)
                async with session.request(
                    method, URL(url, encoded=True), data=sent, headers=headers, timeout=timeout
                ) as answer:
                    text = await answer.text()
            except TimeoutError as exc:
                raise HookFailedError(f"{url} did not answer within {HOOK_S:g} s") from exc
            except aiohttp.ClientError as exc:
                why = f"{url}: {exc}"
                continue
            if answer.status != 200:
                raise HookFailedError(f"{url} answered {answer.status}: {text[:200]}")
            if answer.content_type not in {"text/xml", "application/xml"}:
                raise HookFailedError(f"12300: {url} answered with {answer.content_type}")
            return text
        raise HookFailedError(why)

    def _parameters(self) -> dict[str, str]:
        """As Twilio posts them, with one that nobody knows and one that is empty."""
        return {
            "CallSid": self.sid,
            "AccountSid": self.number.account_sid,
            "From": self.caller_number,
            "To": self.number.number,
            "Caller": self.caller_number,
            "Called": self.number.number,
            "CallStatus": self.status,
            "Direction": "inbound",
            "ApiVersion": "2010-04-01",
            "FromCity": "",
            "SandboxUnknown": "a value that Twilio may add one day",
        }
