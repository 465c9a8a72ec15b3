"""Twin of ElevenLabs' streaming voices: multi-stream-input (contexts) and stream-input, speaking tone speech."""

import asyncio
import base64
import random
import time
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiohttp import WSMsgType, web

from calliope_sandbox.knobs import ElevenlabsKnobs
from calliope_sandbox.tone_speech import speak
from calliope_sandbox.vendors import elevenlabs_lists
from calliope_sandbox.vendors.elevenlabs_lists import VENDOR, refusal
from calliope_sandbox.vendors.host import DroppedError, Host, TroubledSocket, refused
from calliope_sandbox.voicing import BYTES_PER_MS, DEFAULT_SCHEDULE, TextBuffer, VoiceChunk, chunks

_Json = dict[str, Any]
_POLICY: Final = 1008
_MAX_QUEUED: Final = 1_000
_VOICE_SETTINGS: Final = {"stability", "similarity_boost", "style", "use_speaker_boost", "speed"}


class RefusedError(Exception):
    """The vendor says no in a frame and closes; `code` is its name for it."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


@dataclass(slots=True)
class Context:
    """One utterance of a socket."""

    id: str
    buffer: TextBuffer
    jobs: asyncio.Queue[str | None] = field(default_factory=lambda: asyncio.Queue(_MAX_QUEUED))
    chunk_number: int = 0
    closed: bool = False
    started: bool = False


class VoiceSocket:
    """One websocket. `multi`: contexts by id; else a single one, ended by an empty text."""

    def __init__(self, request: web.Request, socket: TroubledSocket, knobs: ElevenlabsKnobs, *, multi: bool) -> None:
        self._socket = socket
        self._knobs = knobs
        self._multi = multi
        self._auto = request.query.get("auto_mode") == "true"
        voice = request.match_info["voice_id"]
        self._char_ms = knobs.voice_char_ms.get(voice, knobs.char_ms)
        self._contexts: dict[str, Context] = {}
        self._settings: _Json | None = None
        self._heard_at_s = time.monotonic()
        asked = float(request.query.get("inactivity_timeout", knobs.inactivity_s))
        self._inactivity_s = min(asked, 180.0)
        key = request.headers.get("xi-api-key", "")
        self.record: _Json = {"key": key, "voice": voice, "texts": [], "query": dict(request.query)}
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Serve the socket until it is closed."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            watch = tasks.create_task(self._watch_idleness(), name="elevenlabs.idle")
            try:
                await self._read()
            finally:
                watch.cancel()
                for context in self._contexts.values():
                    context.jobs.put_nowait(None)
        if not self._socket.ws.closed:
            await self._socket.ws.close()

    async def _read(self) -> None:
        async for message in self._socket.ws:
            if message.type is not WSMsgType.TEXT:
                continue
            self._heard_at_s = time.monotonic()
            await self._socket.heard()
            try:
                if self._take(orjson.loads(message.data)):
                    return
            except (orjson.JSONDecodeError, TypeError, AttributeError):
                await self._refuse(RefusedError("invalid_input_message", "the message is not understood"))
                return
            except RefusedError as exc:
                await self._refuse(exc)
                return

    def _take(self, message: _Json) -> bool:
        """Whether the socket is to be closed."""
        if message.get("close_socket"):
            return True
        if self._multi:
            self._take_for(str(message.get("context_id") or ""), message)
            return False
        self._take_single(message)
        return False

    def _take_for(self, context_id: str, message: _Json) -> None:
        text = message.get("text")
        context = self._contexts.get(context_id)
        if message.get("close_context"):
            if context is not None and not context.closed:
                self._end(context, speak_rest=self._knobs.speak_unflushed_on_close)
            return
        if context is None:
            if not context_id and text == "":
                return  # a keep-alive that names no context
            context = self._open(context_id, message)
        if text and text.strip():
            self._say(context, text, message)
        if message.get("flush"):
            self._speak(context, context.buffer.flush())

    def _take_single(self, message: _Json) -> None:
        context = self._contexts.get("") or self._open("", message)
        text = message.get("text")
        if text == "":
            self._end(context, speak_rest=True)
        elif text and text.strip():
            self._say(context, text, message)
        if message.get("flush"):
            self._speak(context, context.buffer.flush())

    def _open(self, context_id: str, message: _Json) -> Context:
        if sum(not context.closed for context in self._contexts.values()) >= self._knobs.max_contexts:
            raise RefusedError("max_active_conversations", "too many contexts are open on this socket")
        self._check_settings(message.get("voice_settings"))
        generation = message.get("generation_config") or {}
        schedule = tuple(generation.get("chunk_length_schedule") or DEFAULT_SCHEDULE)
        context = Context(context_id, TextBuffer(schedule=schedule, auto=self._auto))
        self._contexts[context_id] = context
        if self._tasks is not None:
            self._tasks.create_task(self._voice(context), name="elevenlabs.context")
        return context

    def _check_settings(self, settings: _Json | None) -> None:
        if settings is None:
            return
        unknown = sorted(set(settings) - _VOICE_SETTINGS)
        if unknown or (self._settings is not None and settings != self._settings):
            raise RefusedError("invalid_input_message", f"voice_settings: {unknown or 'differ from the first ones'}")
        self._settings = settings
        self.record["voice_settings"] = settings

    def _say(self, context: Context, text: str, message: _Json) -> None:
        self._speak(context, context.buffer.add(text, soft_trigger=bool(message.get("try_trigger_generation"))))

    def _speak(self, context: Context, text: str | None) -> None:
        if text is not None and not context.closed:
            context.jobs.put_nowait(text)

    def _end(self, context: Context, *, speak_rest: bool) -> None:
        if speak_rest:
            self._speak(context, context.buffer.flush())
        context.closed = True
        context.jobs.put_nowait(None)

    async def _voice(self, context: Context) -> None:
        """Speak the jobs of one context in order; closing it lets what was flushed be spoken."""
        try:
            while (text := await context.jobs.get()) is not None:
                await self._synthesize(context, text)
            await self._socket.send({"audio": None, "isFinal": True, **self._named(context)})
        except ConnectionResetError:
            return
        finally:
            self._contexts.pop(context.id, None)
        if not self._multi:
            await self._socket.ws.close()

    async def _synthesize(self, context: Context, text: str) -> None:
        knobs = self._knobs
        asked_at_s = time.monotonic()
        speech = speak(text, char_ms=self._char_ms)
        jitter_ms = random.uniform(0, knobs.first_byte_jitter_ms)  # noqa: S311 - a pace, no secret
        await asyncio.sleep((knobs.first_byte_ms + jitter_ms) / 1_000)
        entry: _Json = {"context": context.id, "text": text, "asked_at_s": asked_at_s, "first_byte_at_s": None}
        self.record["texts"].append(entry)
        begin_s, played_ms = time.monotonic(), 0.0
        for chunk in chunks(speech.audio, speech.chars, first_ms=knobs.first_chunk_ms, chunk_ms=knobs.chunk_ms):
            wait_s = begin_s + played_ms / 1_000 / knobs.speed - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            await self._socket.send(self._message(context, chunk))
            entry["first_byte_at_s"] = entry["first_byte_at_s"] or time.monotonic()
            played_ms += len(chunk.audio) / BYTES_PER_MS

    def _message(self, context: Context, chunk: VoiceChunk) -> _Json:
        context.chunk_number += 1
        every = self._knobs.null_alignment_every
        alignment: _Json | None = {
            "chars": list(chunk.chars),
            "charStartTimesMs": list(chunk.starts_ms),
            self._knobs.durations_key: list(chunk.durations_ms),
        }
        if every and context.chunk_number % every == 0:
            alignment = None
        return {
            "audio": base64.b64encode(chunk.audio).decode(),
            "isFinal": None,
            "alignment": alignment,
            "normalizedAlignment": alignment,
            **self._named(context),
        }

    def _named(self, context: Context) -> _Json:
        return {self._knobs.context_key: context.id} if self._multi else {}

    async def _refuse(self, error: RefusedError) -> None:
        await self._socket.send({"message": str(error), "error": error.code, "code": _POLICY})
        await self._socket.ws.close(code=_POLICY, message=error.code.encode())

    async def _watch_idleness(self) -> None:
        while True:
            left_s = self._inactivity_s - (time.monotonic() - self._heard_at_s)
            if left_s <= 0:
                await self._refuse(RefusedError("input_timeout_exceeded", "no text for too long"))
                return
            await asyncio.sleep(left_s)


async def _serve(request: web.Request, host: Host, *, multi: bool) -> web.StreamResponse:
    knobs = host.knobs.elevenlabs
    key = request.headers.get("xi-api-key", "")
    wrong_key = not key or key.startswith(knobs.rejected_keys)
    if wrong_key and knobs.refuse_with == "handshake":
        return refusal(401, "invalid_api_key", "Invalid API key")
    if request.query.get("output_format", "ulaw_8000") != "ulaw_8000":
        return refusal(400, "invalid_output_format", "this twin speaks ulaw_8000 only")
    try:
        trouble = await refused(host, VENDOR, request, call="", key=key)
    except DroppedError:
        return web.Response(status=500)
    if trouble is not None and trouble.action == "refuse":
        code = "too_many_concurrent_requests" if trouble.status == 429 else trouble.code or "internal"
        return refusal(trouble.status, code, trouble.reason)
    ws = web.WebSocketResponse(max_msg_size=1024 * 1024, compress=False)
    await ws.prepare(request)
    error = {"error": "internal", "code": 1011}
    socket = TroubledSocket(ws, request, host, VENDOR, key, error)
    voice = VoiceSocket(request, socket, knobs, multi=multi)
    host.record(VENDOR, voice.record)
    if wrong_key:
        await socket.send({"message": "Invalid API key", "error": "invalid_api_key", "code": _POLICY})
        await ws.close(code=_POLICY)
        return ws
    try:
        await voice.run()
    except* (ConnectionResetError, DroppedError):
        voice.record["dropped"] = True
    return ws


def mount(app: web.Application, host: Host) -> None:
    """Serve under /elevenlabs."""

    async def multi(request: web.Request) -> web.StreamResponse:
        return await _serve(request, host, multi=True)

    async def single(request: web.Request) -> web.StreamResponse:
        return await _serve(request, host, multi=False)

    path = "/elevenlabs/v1/text-to-speech/{voice_id}"
    app.router.add_get(f"{path}/multi-stream-input", multi)
    app.router.add_get(f"{path}/stream-input", single)
    elevenlabs_lists.mount(app, host)
