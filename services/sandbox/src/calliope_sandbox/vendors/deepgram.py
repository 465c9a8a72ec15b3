"""Twin of Deepgram's streaming recogniser, /v1/listen: it hears the tone speech in the audio that it gets."""

import asyncio
import hashlib
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import WSCloseCode, WSMsgType, web

from calliope_sandbox.knobs import DeepgramKnobs
from calliope_sandbox.recognition import ArrivalClock, Emission, Recognition, RecognitionOptions
from calliope_sandbox.tone_speech import Listener
from calliope_sandbox.vendors.deepgram_door import Admitted, as_mulaw, serve
from calliope_sandbox.vendors.deepgram_pace import Outgoing, close_when_idle
from calliope_sandbox.vendors.deepgram_query import ListenQuery, keyterms_fit, parse
from calliope_sandbox.vendors.host import Host, TroubledSocket

_Json = dict[str, Any]
_CAP_SLACK_S = 2.0  # audio ahead of real time that the cap lets pass


@dataclass(slots=True)
class ListenSession:
    """One open stream."""

    socket: TroubledSocket
    ws: web.WebSocketResponse
    query: ListenQuery
    knobs: DeepgramKnobs
    request_id: str
    record: _Json
    listener: Listener = field(default_factory=Listener)
    arrivals: ArrivalClock = field(default_factory=ArrivalClock)
    out: Outgoing = field(init=False)
    heard_at_s: float = field(default_factory=time.monotonic)
    opened_at_s: float = field(default_factory=time.monotonic)
    recognition: Recognition = field(init=False)

    def __post_init__(self) -> None:
        self.out = Outgoing(self.knobs)
        flags = self.query.flags
        self.recognition = Recognition(
            RecognitionOptions(
                interim_results=flags["interim_results"],
                endpointing_ms=self.query.endpointing_ms,
                utterance_end_ms=self.query.utterance_end_ms,
                vad_events=flags["vad_events"],
                formatted=flags["punctuate"] or flags["smart_format"],
                interim_ms=self.knobs.interim_ms,
                final_every_ms=self.knobs.final_every_ms,
                silence_result_ms=self.knobs.silence_result_ms,
                finalize_answers=self.knobs.finalize_answers,
            ),
            metadata={
                "request_id": self.request_id,
                "model_info": {"name": f"general-{self.query.model}", "version": "sandbox", "arch": self.query.model},
                "model_uuid": "00000000-0000-4000-8000-00000000d609",
            },
        )

    async def run(self) -> None:
        """Serve the stream until one side ends it."""
        async with asyncio.TaskGroup() as tasks:
            sender = tasks.create_task(self._send(), name="deepgram.send")
            watch = tasks.create_task(
                close_when_idle(self.ws, self.knobs.idle_s, lambda: self.heard_at_s), name="deepgram.idle"
            )
            try:
                finished = await self._read()
            finally:
                watch.cancel()
                self.out.end()
            await sender
        if finished and not self.ws.closed:
            await self.ws.send_str(orjson.dumps(self._metadata()).decode())
            await self.ws.close(code=WSCloseCode.OK)

    async def _read(self) -> bool:
        """True, when the client asked for the end."""
        async for message in self.ws:
            self.heard_at_s = time.monotonic()
            if message.type is WSMsgType.BINARY:
                if not message.data:
                    self.out.put(self.recognition.close())
                    return True
                await self._respect_the_cap()
                self._hear(message.data)
            elif message.type is WSMsgType.TEXT and self._command(message.data):
                self.out.put(self.recognition.close())
                return True
        return False

    def _hear(self, audio: bytes) -> None:
        words = self.listener.feed(as_mulaw(audio, self.query))
        position_ms = self.listener.position_ms
        self.arrivals.arrived(position_ms, self.heard_at_s)
        self.out.put(
            self.recognition.hear(
                words, partial=self.listener.partial, position_ms=position_ms, silence_ms=self.listener.silence_ms
            )
        )

    def _command(self, text: str) -> bool:
        """Whether the client ends the stream."""
        try:
            command = orjson.loads(text)
            kind = command["type"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            kind = None
        match kind:
            case "CloseStream":
                return True
            case "Finalize":
                self.out.put(self.recognition.finalize())
            case "KeepAlive":
                pass
            case "Configure":
                fits = self.query.nova_3 and keyterms_fit(command.get("keyterms", []))
                code = "CONFIGURE_KEYTERM_LIMIT_EXCEEDED" if self.query.nova_3 else "CONFIGURE_KEYTERMS_NOT_SUPPORTED"
                answer = {"type": "ConfigureSuccess"} if fits else {"type": "ConfigureFailure", "code": code}
                self.out.put([Emission(answer)])
            case _:
                self.out.put([Emission({"type": "Error", "variant": "SchemaError", "description": "unknown message"})])
        return False

    async def _respect_the_cap(self) -> None:
        """Audio faster than the cap is slowed down, as backpressure."""
        cap = self.knobs.real_time_cap
        if cap:
            ahead_s = self.listener.position_ms / 1_000 / cap - (time.monotonic() - self.opened_at_s) - _CAP_SLACK_S
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)

    async def _send(self) -> None:
        """Until the end, or until the client is gone."""
        async for emission in self.out.due():
            try:
                for message in self._as_knobs_want(emission.message):
                    await self.socket.send(message)
            except ConnectionResetError:
                return
            if emission.message.get("is_final") is False:
                self.record["interims"].append(
                    {
                        "text": emission.message["channel"]["alternatives"][0]["transcript"],
                        "sent_at_s": time.monotonic(),
                    }
                )
            if emission.message.get("speech_final"):
                voiced_ms = emission.voiced_until_ms
                self.record["finals"].append(
                    {
                        "text": emission.message["channel"]["alternatives"][0]["transcript"],
                        "voiced_until_ms": voiced_ms,
                        "voice_arrived_at_s": None if voiced_ms is None else self.arrivals.of(voiced_ms),
                        "sent_at_s": time.monotonic(),
                    }
                )

    def _as_knobs_want(self, message: _Json) -> list[_Json]:
        """What clients have to live with: an end of speech that is not told, a hint that is told twice."""
        if message.get("speech_final") and not self.knobs.keep_speech_final:
            return [message | {"speech_final": False}]
        return [message] * (2 if message["type"] == "SpeechStarted" and self.knobs.repeat_speech_started else 1)

    def _metadata(self) -> _Json:
        return {
            "type": "Metadata",
            "transaction_key": "deprecated",
            "request_id": self.request_id,
            "sha256": hashlib.sha256(self.request_id.encode()).hexdigest(),
            "created": datetime.now(UTC).isoformat(),
            "duration": self.listener.position_ms / 1_000,
            "channels": self.query.channels,
        }


async def listen(request: web.Request, host: Host) -> web.StreamResponse:
    """GET /v1/listen, upgraded."""
    error = {"type": "Error", "variant": "InternalError", "description": "injected fault"}

    def begin(socket: TroubledSocket, admitted: Admitted[ListenQuery], record: _Json) -> ListenSession:
        return ListenSession(socket, socket.ws, admitted.query, host.knobs.deepgram, admitted.request_id, record)

    return await serve(request, host, parse, error, begin)


def mount(app: web.Application, host: Host) -> None:
    """Serve under /deepgram."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await listen(request, host)

    app.router.add_get("/deepgram/v1/listen", handle)
