"""One phone call at Twilio: asks the product what to do, plays its TwiML, and keeps the caller's clock to the end."""

import asyncio
import random
import secrets
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from urllib.parse import urljoin

import aiohttp

from calliope_sandbox.person import FRAME_BYTES, FRAME_MS, Line, Person
from calliope_sandbox.tone_speech import speak
from calliope_sandbox.vendors import twilio_words as words
from calliope_sandbox.vendors.host import Host
from calliope_sandbox.vendors.twilio_stream import MediaStream

VENDOR: Final = "twilio"
HOOK_S: Final = 15.0  # Twilio's hard cap
HOOK_TRIES: Final = 2  # one retry, for connections that fail
MAX_DOCUMENTS: Final = 100  # a redirect loop ends here
MAX_TOLD: Final = 2_000
WORD_END_S: Final = 0.2  # silence in which an ear notices that the last word is over
TALK_MS: Final = 200.0  # how long a transferred call goes on
_ANSWERING: Final = frozenset({"Connect", "Say", "Pause", "Dial"})


@dataclass(frozen=True, slots=True)
class Number:
    """A phone number at Twilio and where its calls are asked for."""

    number: str
    account_sid: str
    auth_token: str
    voice_url: str


@dataclass(slots=True)
class Exchange:
    """The caller said something and the product spoke after it; seconds of this machine's monotonic clock."""

    text: str
    last_voice_at_s: float
    first_audio_at_s: float | None = None


class HookFailedError(Exception):
    """The product did not answer a hook with TwiML."""


@dataclass(slots=True, eq=False)
class PhoneCall:
    """From the first ring to the last status. `dialled` says how numbers answer that it is transferred to."""

    host: Host
    number: Number
    caller_number: str
    person: Person
    dialled: Mapping[str, str]
    ring_ms: float = 0.0
    sid: str = field(default_factory=lambda: "CA" + secrets.token_hex(16))
    status: str = "ringing"
    failed: str | None = None
    ended_by: str | None = None
    stream: MediaStream | None = None
    streams: int = 0
    first_audio_ms: list[float | None] = field(default_factory=list)
    answered_at_s: float | None = None
    ended_at_s: float | None = None
    twiml: list[str] = field(default_factory=list)
    dials: list[dict[str, str]] = field(default_factory=list)
    clears_ms: list[float] = field(default_factory=list)
    clears_at_s: list[float] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    gaps_ms: list[int] = field(default_factory=list)
    late_ticks: int = 0
    latest_tick_ms: float = 0.0
    problems: list[str] = field(default_factory=list)
    told: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MAX_TOLD))
    done: asyncio.Event = field(default_factory=asyncio.Event)
    _update: list[words.Verb] | None = None
    _document_url: str = ""  # relative URLs of a document start here
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, session: aiohttp.ClientSession) -> None:
        """The whole call. Never raises but for cancellation."""
        try:
            async with asyncio.TaskGroup() as tasks:
                clock = tasks.create_task(self._clock(), name="twilio.clock")
                try:
                    await self._play(session)
                finally:
                    clock.cancel()
        except* (HookFailedError, words.TwimlError) as group:
            self.status, self.failed = "failed", f"application error: {group.exceptions[0]}"
        await self._end()

    def update(self, verbs: list[words.Verb] | None, *, ended_by: str | None = None) -> None:
        """New TwiML over REST, or the end of the call; either stops the stream at once."""
        self._update, self.ended_by = verbs, ended_by or self.ended_by
        self._changed.set()

    @property
    def over(self) -> bool:
        """Whether nothing more happens."""
        return self.ended_by is not None or self.done.is_set()

    @property
    def now_ms(self) -> float:
        """Since the call was answered."""
        return 0.0 if self.answered_at_s is None else (time.monotonic() - self.answered_at_s) * 1_000

    def document(self) -> dict[str, Any]:
        """Everything that was seen."""
        return {
            "sid": self.sid,
            "from": self.caller_number,
            "to": self.number.number,
            "status": self.status,
            "failed": self.failed or self.person.caller.failed,
            "ended_by": self.ended_by,
            "streams": self.streams,
            "first_audio_ms": self.first_audio_ms,
            "twiml": self.twiml,
            "dials": self.dials,
            "steps": [asdict(step) for step in self.person.caller.outcomes],
            "lines": [line.told() for line in self.person.lines],
            "heard_words": [asdict(word) for word in self.person.heard],
            "clears_ms": self.clears_ms,
            "clears_at_s": self.clears_at_s,
            "exchanges": [asdict(exchange) for exchange in self.exchanges],
            "answered_at_s": self.answered_at_s,
            "ended_at_s": self.ended_at_s,
            "gaps_ms": self.gaps_ms,
            "late_ticks": self.late_ticks,
            "latest_tick_ms": self.latest_tick_ms,
            "problems": self.problems,
        }

    # What the product wants

    async def _play(self, session: aiohttp.ClientSession) -> None:
        verbs = await self._ask(session, self.number.voice_url, {})
        while verbs and not self.over:
            verb, *verbs = verbs
            if verb.name in _ANSWERING and self.answered_at_s is None:
                await self._pause(self.ring_ms / 1_000)
                self.status, self.answered_at_s = "in-progress", time.monotonic()
                self._answered.set()
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
            on_clear=self._cleared,
            on_audio=self._audio,
        )
        if not await stream.open(session):
            self.problems.extend(stream.problems)
            return
        self.stream, self.streams = stream, self.streams + 1
        self._tell({"type": "stream", "sid": stream.sid})
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
            self.stream = None
            self.gaps_ms.extend(stream.buffer.gaps_ms)
            self.first_audio_ms.append(stream.first_audio_ms)
            self.problems.extend(stream.problems)
            self._tell({"type": "stream_ended", "close_code": stream.close_code})

    async def _dial(self, session: aiohttp.ClientSession, verb: words.Verb) -> list[words.Verb] | None:
        outcome = self.dialled.get(verb.text, "completed")
        self.dials.append({"number": verb.text, "outcome": outcome})
        self._tell({"type": "dial", "number": verb.text, "outcome": outcome})
        await self._pause(TALK_MS / 1_000)
        action = verb.attributes.get("action")
        if not action or self.over:
            return None
        return await self._ask(
            session, action, {"DialCallStatus": outcome, "DialCallSid": "CA" + secrets.token_hex(16)}
        )

    async def _hear(self, audio: bytes) -> None:
        """Twilio's own voice."""
        stream = MediaStream(self.number.account_sid, self.sid, "", "", {}, trouble=lambda _: None)
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

    async def _ask(self, session: aiohttp.ClientSession, url: str, more: Mapping[str, str]) -> list[words.Verb]:
        """Fetch TwiML. Raises: HookFailedError, TwimlError."""
        url = self._document_url = urljoin(self._document_url or self.number.voice_url, url)
        form = self._parameters() | dict(more)
        headers = {
            "X-Twilio-Signature": words.sign(url, form, self.number.auth_token),
            "User-Agent": "TwilioProxy/1.1",
            "I-Twilio-Idempotency-Token": secrets.token_hex(16),
        }
        document = await self._post(session, url, form, headers)
        self.twiml.append(document)
        if len(self.twiml) > MAX_DOCUMENTS:
            raise HookFailedError(f"more than {MAX_DOCUMENTS} documents in one call")
        return words.parse(document)

    async def _post(
        self, session: aiohttp.ClientSession, url: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> str:
        why = ""
        for _ in range(HOOK_TRIES):
            try:
                timeout = aiohttp.ClientTimeout(total=HOOK_S)
                async with session.post(url, data=form, headers=headers, timeout=timeout) as answer:
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

    # The caller's clock

    async def _clock(self) -> None:
        """A frame in and a frame out every 20 ms, at a phase of its own, whether or not a stream is there."""
        await self._answered.wait()
        due_s = time.monotonic() + random.uniform(0, FRAME_MS / 1_000)  # noqa: S311 - a phase, no secret
        frame = 0
        while not self.over:
            wait_s = due_s - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            else:
                self.late_ticks += wait_s < -FRAME_MS / 1_000
                self.latest_tick_ms = max(self.latest_tick_ms, -wait_s * 1_000)
            await self._frame(frame * FRAME_MS)
            due_s += FRAME_MS / 1_000
            frame += 1

    async def _frame(self, now_ms: float) -> None:
        stream = self.stream
        played, marks = stream.buffer.take(FRAME_BYTES) if stream is not None else (b"\xff" * FRAME_BYTES, [])
        tick, ended = self.person.tick(now_ms, played)
        if ended:
            self._lines_ended(ended)
        if stream is not None and stream.url:
            with suppress(ConnectionError):
                await stream.returned(marks)
                await stream.frame(tick.audio, voiced=tick.voiced, digits=tick.digits)
        for document in tick.faults:
            self._arm(document)
        if tick.voiced:
            self._voiced()
        if tick.hangs_up:
            self._tell({"type": "hung_up", "by": "caller", "at_ms": now_ms})
            self.update(None, ended_by="caller")

    def _arm(self, document: dict[str, Any]) -> None:
        if document.get("vendor") == VENDOR:
            document = {"call": self.sid} | document
        try:
            self.host.arm(document)
        except ValueError as exc:
            self.problems.append(f"the script's fault is none: {exc}")

    def _voiced(self) -> None:
        saying = self.person.saying
        if saying is None:
            return
        now_s = time.monotonic()
        if self.exchanges and self.exchanges[-1].text == saying and self.exchanges[-1].first_audio_at_s is None:
            self.exchanges[-1].last_voice_at_s = now_s
        elif not self.exchanges or self.exchanges[-1].text != saying:
            self.exchanges.append(Exchange(saying, now_s))

    def _audio(self) -> None:
        if self.exchanges and self.exchanges[-1].first_audio_at_s is None and self.person.saying is None:
            self.exchanges[-1].first_audio_at_s = time.monotonic()

    def _cleared(self) -> None:
        self.person.cut()
        self.clears_ms.append(round(self.now_ms, 1))
        self.clears_at_s.append(time.monotonic())
        self._tell({"type": "clear", "at_ms": round(self.now_ms, 1)})

    def _lines_ended(self, ended: list[Line]) -> None:
        for line in ended:
            self._tell(line.told())

    # Ending and telling

    async def _end(self) -> None:
        for line in self.person.finish(self.now_ms):
            self._tell(line.told())
        self.ended_by, self.ended_at_s = self.ended_by or "product", time.monotonic()
        self._tell({"type": "ended", "status": self.status, "by": self.ended_by, "at_ms": round(self.now_ms, 1)})
        self.done.set()

    def _tell(self, event: dict[str, Any]) -> None:
        self.told.append(event)
