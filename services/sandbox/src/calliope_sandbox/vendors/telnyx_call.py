"""One phone call at Telnyx: tells the product what happens, does what it is told over REST, and ends when it ends."""

import asyncio
import secrets
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp

from calliope_sandbox.person import FRAME_MS
from calliope_sandbox.tone_speech import speak
from calliope_sandbox.vendors import telnyx_words as words
from calliope_sandbox.vendors.caller_side import CallerSide
from calliope_sandbox.vendors.telnyx_stream import TelnyxStream

VENDOR: Final = "telnyx"
HOOK_S: Final = 2.0
HOOK_TRIES: Final = 3
RETRY_S: Final = 2.0
RING_S: Final = 30.0
WORD_END_S: Final = 0.2  # silence in which an ear notices that the last word is over
TALK_MS: Final = 200.0  # how long a transferred call goes on
_RETRIED: Final = frozenset({408, 429})


@dataclass(frozen=True, slots=True)
class Number:
    """A phone number at Telnyx; hooks go where its application says. `restless`: hooks come twice, frames shuffled.

    `early_frames` of each call's audio overtake the stream's `start`. `end_first`: callers give up at once, and the
    hook of the end overtakes the one of the beginning.
    """

    number: str
    connection_id: str
    api_key: str
    signing_key: str
    webhook_url: str
    restless: bool = False
    active: bool = True  # its application
    early_frames: int = 0
    end_first: bool = False

    @property
    def account(self) -> str:
        """See `OwnedNumber`."""
        return self.connection_id

    @property
    def hook(self) -> str:
        """See `OwnedNumber`."""
        return self.webhook_url


@dataclass(slots=True, eq=False, kw_only=True)
class TelnyxCall(CallerSide):
    """From the first ring to `call.hangup`. `sid` is the leg's `call_control_id`."""

    vendor = VENDOR
    sid: str = field(default_factory=lambda: "v3:" + secrets.token_urlsafe(32))
    number: Number
    dialled: Mapping[str, str]
    commands: list[str] = field(default_factory=list)
    hooks: list[str] = field(default_factory=list)
    cause: str = "normal_clearing"
    known_commands: dict[str, float] = field(default_factory=dict)
    _client_state: str | None = None
    _leg_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    _session_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    _orders: asyncio.Queue[tuple[str, Mapping[str, Any]] | None] = field(default_factory=asyncio.Queue)
    _gone: asyncio.Event = field(default_factory=asyncio.Event)
    _session: aiohttp.ClientSession = field(init=False)
    _tasks: asyncio.TaskGroup = field(init=False)

    async def run(self, session: aiohttp.ClientSession) -> None:
        """The whole call. Never raises but for cancellation."""
        self._session = session
        async with asyncio.TaskGroup() as self._tasks:
            clock = self._tasks.create_task(self.clock(), name="telnyx.clock")
            try:
                if self.number.end_first:
                    self._ended("caller", "canceled", "originator_cancel")
                    await self._deliver("call.hangup", self.payload() | self._end())
                if await self._deliver("call.initiated", self.payload() | {"state": "parked"}):
                    await self._obey()
                else:
                    self.failed = "call.initiated was not taken; the caller would hear ringing until he gives up"
                    self._ended("nobody", "no-answer", "originator_cancel")
            finally:
                clock.cancel()
            stream = self.stream
            if stream is not None:
                await stream.stop()
            if not self.number.end_first:
                self.hook("call.hangup", self._end())
        self.end()

    def _end(self) -> dict[str, str]:
        source = {"caller": "caller", "product": "callee"}.get(self.ended_by or "", "unknown")
        return {"hangup_cause": self.cause, "hangup_source": source, "sip_hangup_cause": "200"}

    def command(self, name: str, body: Mapping[str, Any]) -> None:
        """A command that was taken."""
        self.commands.append(name)
        self._client_state = body.get("client_state", self._client_state)
        if name == "hangup":
            self.hang_up("product")
        else:
            self._orders.put_nowait((name, body))

    def hang_up(self, by: str) -> None:
        """See `CallerSide`."""
        self._ended(by, "completed", "normal_clearing")

    def payload(self) -> dict[str, Any]:
        """What every hook of the leg tells."""
        return {
            "call_control_id": self.sid,
            "call_leg_id": self._leg_id,
            "call_session_id": self._session_id,
            "client_state": self._client_state,
            "connection_id": self.number.connection_id,
            "direction": "incoming",
            "from": self.caller_number,
            "to": self.called_number,
        }

    def hook(self, name: str, more: Mapping[str, Any] | None = None) -> None:
        """Tell the product, in the background: hooks may overtake each other."""
        payload = self.payload() | dict(more or {})
        self._tasks.create_task(self._deliver(name, payload), name="telnyx.hook")

    def document(self) -> dict[str, Any]:
        """See `CallerSide`."""
        return self.seen() | {"commands": self.commands, "hooks": self.hooks}

    # What the product wants

    async def _obey(self) -> None:
        ring_s: float | None = RING_S
        while not self.over:
            try:
                async with asyncio.timeout(ring_s):
                    order = await self._orders.get()
            except TimeoutError:
                self._ended("nobody", "no-answer", "timeout")
                return
            if order is not None:
                ring_s = None
                await self._do(*order)

    async def _do(self, name: str, body: Mapping[str, Any]) -> None:
        match name:
            case "answer":
                await self._pause(self.ring_ms / 1_000)
                self.status = "in-progress"
                self.answered()
                self.hook("call.answered", {"state": "answered"})
                self._stream(body)
            case "streaming_start":
                self._stream(body)
            case "streaming_stop":
                if isinstance(self.stream, TelnyxStream):
                    await self.stream.stop()
            case "reject":
                busy = body.get("cause") == "USER_BUSY"
                self._ended("product", "busy" if busy else "no-answer", "user_busy" if busy else "call_rejected")
            case "speak":
                await self._hear(speak(str(body["payload"])).audio)
                self.hook("call.speak.ended", {"status": "call_hangup" if self.over else "completed"})
            case "transfer":
                await self._transfer(body)

    def _stream(self, wishes: Mapping[str, Any]) -> None:
        if not wishes.get("stream_url") or self.over:
            return
        stream = TelnyxStream(
            url=str(wishes["stream_url"]),
            trouble=lambda sent: self.host.trouble(VENDOR, call=self.sid, key=self.number.connection_id, sent=sent),
            on_clear=self.cleared,
            on_audio=self.audible,
            on_digit=lambda digit: self.hook("call.dtmf.received", {"digit": digit}),
            payload=self.payload(),
            wishes=wishes,
            restless=self.number.restless,
            early_frames=self.number.early_frames,
        )
        self._tasks.create_task(self._streaming(stream), name="telnyx.stream")

    async def _streaming(self, stream: TelnyxStream) -> None:
        if not await stream.open(self._session):
            self.problems.extend(stream.problems)
            failed = {"stream_id": stream.sid, "stream_type": "websocket", "failure_reason": "connection_failed"}
            self.hook("streaming.failed", failed)
            return
        self.stream_began(stream)
        self.hook("streaming.started", {"stream_url": stream.url})
        if self.over:
            await stream.stop()
        await stream.read()
        self.stream_ended(stream)
        self.hook("streaming.stopped", {"stream_url": stream.url})

    async def _transfer(self, body: Mapping[str, Any]) -> None:
        number = str(body["to"])
        outcome = self.dialled.get(number, "completed")
        self.dials.append({"number": number, "outcome": outcome})
        self.shown_numbers.append(str(body.get("from", self.called_number)))
        self.tell({"type": "dial", "number": number, "outcome": outcome})
        leg = {
            "call_control_id": "v3:" + secrets.token_urlsafe(32),
            "call_leg_id": str(uuid.uuid4()),
            "client_state": body.get("target_leg_client_state"),
            "direction": "outgoing",
            "from": body.get("from", self.called_number),
            "to": number,
        }
        self.hook("call.initiated", leg | {"state": "bridging"})
        if outcome == "completed":
            self.hook("call.answered", leg)
            self.hook("call.bridged", leg)
            self.hook("call.bridged")
        await self._pause(TALK_MS / 1_000)
        self.hook("call.hangup", leg | {"hangup_cause": words.CAUSES.get(outcome, "normal_clearing")})
        if outcome == "completed":
            self._ended("other side", "completed", "normal_clearing")

    async def _hear(self, audio: bytes) -> None:
        """Telnyx's own voice."""
        stream = TelnyxStream(
            url="", trouble=lambda _: None, payload=self.payload(), wishes={}, on_digit=lambda _: None
        )
        stream.buffer.add(audio)
        self.stream = stream
        try:
            await self._pause(len(audio) / 8_000)
            while stream.buffer.waiting_ms and not self.over:  # the clock may be late
                await self._pause(FRAME_MS / 1_000)
            await self._pause(WORD_END_S)
        finally:
            self.stream = None

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._gone.wait()

    def _ended(self, by: str, status: str, cause: str) -> None:
        if self.ended_by is None:
            self.ended_by, self.status, self.cause = by, status, cause
        self._gone.set()
        self._orders.put_nowait(None)

    # Hooks

    async def _deliver(self, name: str, payload: Mapping[str, Any]) -> bool:
        """Until it is taken; whether it was. The answer itself is not read."""
        self.hooks.append(name)
        event_id, at = str(uuid.uuid4()), datetime.now(UTC).isoformat()
        for attempt in range(1, HOOK_TRIES + 1):
            body = words.event(name, event_id, at, payload, self.number.webhook_url, attempt)
            status = await self._post(body)
            if self.number.restless:
                status = await self._post(body)
            if 200 <= status < 300:
                return True
            self.problems.append(f"{name}: answered {status or 'nothing'}")
            if status and status < 500 and status not in _RETRIED:
                return False
            await asyncio.sleep(RETRY_S)
        return False

    async def _post(self, body: bytes) -> int:
        headers = words.sign(body, int(time.time()), self.number.signing_key)
        headers |= {"Content-Type": "application/json", "User-Agent": "telnyx-webhooks"}
        try:
            timeout = aiohttp.ClientTimeout(total=HOOK_S)
            async with self._session.post(
                self.number.webhook_url, data=body, headers=headers, timeout=timeout
            ) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return 0
