"""Twin of Deepgram's turn-taking recogniser, /v2/listen: the same ear as /v1/listen, told in turns."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
from aiohttp import WSMsgType, web

from calliope_sandbox.knobs import DeepgramKnobs
from calliope_sandbox.recognition import ArrivalClock, Emission
from calliope_sandbox.tone_speech import Listener
from calliope_sandbox.turn_recognition import TurnOptions, TurnRecognition
from calliope_sandbox.vendors.deepgram_door import Admitted, as_mulaw, serve
from calliope_sandbox.vendors.deepgram_flux_query import FluxQuery, Thresholds, hints, parse, terms
from calliope_sandbox.vendors.deepgram_pace import Outgoing, close_when_idle
from calliope_sandbox.vendors.deepgram_query import BadQuery
from calliope_sandbox.vendors.host import Host, TroubledSocket

_Json = dict[str, Any]
_SLICE = 160  # bytes: 20 ms, so that a pause inside a long frame is seen


class FatalError(Exception):
    """The vendor says `Error` and hangs up."""


@dataclass(slots=True)
class FluxSession:
    """One open stream."""

    socket: TroubledSocket
    ws: web.WebSocketResponse
    admitted: Admitted[FluxQuery]
    knobs: DeepgramKnobs
    record: _Json
    listener: Listener = field(default_factory=Listener)
    arrivals: ArrivalClock = field(default_factory=ArrivalClock)
    out: Outgoing = field(init=False)
    heard_at_s: float = field(default_factory=time.monotonic)
    sequence: int = 0
    thresholds: Thresholds = field(init=False)
    keyterms: tuple[str, ...] = field(init=False)
    hints: tuple[str, ...] = field(init=False)
    recognition: TurnRecognition = field(init=False)

    def __post_init__(self) -> None:
        self.out = Outgoing(self.knobs)
        query = self.admitted.query
        self.thresholds, self.keyterms, self.hints = query.thresholds, query.keyterms, query.language_hints
        self.recognition = TurnRecognition(self._options(), languages=self._languages())

    async def run(self) -> None:
        """Serve the stream until one side ends it."""
        self.out.put([Emission({"type": "Connected"})])
        async with asyncio.TaskGroup() as tasks:
            sender = tasks.create_task(self._send(), name="deepgram.flux.send")
            watch = tasks.create_task(
                close_when_idle(self.ws, self.knobs.idle_s, lambda: self.heard_at_s), name="deepgram.flux.idle"
            )
            try:
                finished = await self._read()
            finally:
                watch.cancel()
                self.out.end()
            await sender
        if finished and not self.ws.closed:
            await close_without_status(self.ws)

    async def _read(self) -> bool:
        """True, when the client asked for the end."""
        async for message in self.ws:
            self.heard_at_s = time.monotonic()
            if message.type is WSMsgType.BINARY:
                self._hear(as_mulaw(message.data, self.admitted.query))
            elif message.type is WSMsgType.TEXT:
                try:
                    over = self._command(message.data)
                except FatalError as exc:
                    error = {"type": "Error", "code": "UNPARSABLE_CLIENT_MESSAGE", "description": str(exc)}
                    self.out.put([Emission(error)])
                    return True
                if over:
                    self.out.put(self.recognition.close())
                    return True
        return False

    def _hear(self, audio: bytes) -> None:
        for start in range(0, len(audio), _SLICE):
            words = self.listener.feed(audio[start : start + _SLICE])
            position_ms = self.listener.position_ms
            self.arrivals.arrived(position_ms, self.heard_at_s)
            self.out.put(
                self.recognition.hear(
                    words, partial=self.listener.partial, position_ms=position_ms, silence_ms=self.listener.silence_ms
                )
            )

    def _command(self, text: str) -> bool:
        """Whether the client ends the stream. Raises: FatalError, for what this protocol does not know."""
        try:
            command = orjson.loads(text)
            kind = command["type"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            kind, command = None, {}
        match kind:
            case "CloseStream":
                return True
            case "ForceEndTurn":
                self.out.put(self.recognition.force_end())
            case "Configure":
                self.out.put([Emission(self._configure(command))])
            case _:
                raise FatalError("The message could not be understood.")
        return False

    def _configure(self, command: _Json) -> _Json:
        """All or nothing; lists replace, what is missing stays."""
        try:
            thresholds = self.thresholds.changed(command.get("thresholds") or {})
            keyterms = terms(command["keyterms"]) if "keyterms" in command else self.keyterms
            hinted = (
                hints(command["language_hints"], self.admitted.query.model) if "language_hints" in command else None
            )
        except BadQuery as exc:
            return {"type": "ConfigureFailure", "code": "INVALID_CONFIGURATION", "description": str(exc)}
        self.thresholds, self.keyterms = thresholds, keyterms
        self.hints = self.hints if hinted is None else hinted
        self.recognition.options, self.recognition.languages = self._options(), self._languages()
        success = {"type": "ConfigureSuccess", "thresholds": thresholds.shown(), "keyterms": list(keyterms)}
        return success | ({"language_hints": list(self.hints)} if self.hints else {})

    def _options(self) -> TurnOptions:
        return TurnOptions(
            eot_threshold=self.thresholds.eot_threshold,
            eager_eot_threshold=self.thresholds.eager_eot_threshold,
            eot_timeout_ms=self.thresholds.eot_timeout_ms,
            update_ms=self.knobs.update_ms,
            sure_ms=self.knobs.sure_ms,
        )

    def _languages(self) -> _Json:
        return {"languages_hinted": list(self.hints)} if self.hints else {}

    async def _send(self) -> None:
        """Numbered, until the end, or until the client is gone."""
        async for emission in self.out.due():
            message = {"request_id": self.admitted.request_id, **emission.message, "sequence_id": self.sequence}
            self.sequence += 1
            try:
                await self.socket.send(message)
            except ConnectionResetError:
                return
            self._note(emission)

    def _note(self, emission: Emission) -> None:
        message, sent_at_s, voiced_ms = emission.message, time.monotonic(), emission.voiced_until_ms
        if message.get("event") == "EndOfTurn":
            arrived_at_s = None if voiced_ms is None else self.arrivals.of(voiced_ms)
            final = {"text": message["transcript"], "voiced_until_ms": voiced_ms, "voice_arrived_at_s": arrived_at_s}
            self.record["finals"].append(final | {"sent_at_s": sent_at_s})
        elif message["type"] == "TurnInfo":
            self.record["interims"].append({"text": message["transcript"], "sent_at_s": sent_at_s})


async def close_without_status(ws: web.WebSocketResponse) -> None:
    """A close frame with an empty body, as this vendor sends; aiohttp has no public way to say nothing."""
    writer = cast("Any", ws)._writer
    await writer.send_frame(b"", WSMsgType.CLOSE)
    while not ws.closed:
        message = await ws.receive()
        if message.type in {WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR}:
            return


async def listen(request: web.Request, host: Host) -> web.StreamResponse:
    """GET /v2/listen, upgraded."""
    error = {"type": "Error", "code": "INTERNAL_SERVER_ERROR", "description": "injected fault", "sequence_id": 0}

    def begin(socket: TroubledSocket, admitted: Admitted[FluxQuery], record: _Json) -> FluxSession:
        return FluxSession(socket, socket.ws, admitted, host.knobs.deepgram, record)

    return await serve(request, host, parse, error, begin)


def mount(app: web.Application, host: Host) -> None:
    """Serve under /deepgram."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await listen(request, host)

    app.router.add_get("/deepgram/v2/listen", handle)
