"""Twin of Inworld's streaming voices, /tts/v1/voice:streamBidirectional: contexts that speak tone speech.

Not here: the autoflush after `maxBufferDelayMs`; text waits for a flush or for `bufferCharThreshold`.
"""

import asyncio
import base64
import re
import time
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiohttp import WSMsgType, web

from calliope_sandbox.knobs import InworldKnobs
from calliope_sandbox.vendors import inworld_lists
from calliope_sandbox.vendors.host import DroppedError, Host, TroubledSocket, refused
from calliope_sandbox.vendors.inworld_lists import EXHAUSTED, UNAUTHENTICATED, UNAVAILABLE, VENDOR, refusal
from calliope_sandbox.vendors.riff import header
from calliope_sandbox.vendors.speaking import said, spoken
from calliope_sandbox.voicing import BYTES_PER_MS, VoiceChunk

_Json = dict[str, Any]
_INVALID, _NOT_FOUND = 3, 5  # gRPC codes
_MOST_CHARS: Final = 1_000
_MAX_QUEUED: Final = 1_000
_MODELS: Final = re.compile(r"inworld-tts-(2|1\.5-max|1\.5-mini|1|1-max)")
_WORD: Final = re.compile(r"\S+")


class RefusedError(Exception):
    """A status that is not ok, for one context."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


@dataclass(slots=True)
class Context:
    """One utterance: its options, text that waits, and jobs: a text to speak, "" for a completed flush, the end."""

    id: str
    options: _Json
    jobs: asyncio.Queue[str | None] = field(default_factory=lambda: asyncio.Queue(_MAX_QUEUED))
    text: str = ""
    closed: bool = False
    heard: bool = False


class VoiceSocket:
    """One websocket."""

    def __init__(self, socket: TroubledSocket, knobs: InworldKnobs, record: _Json) -> None:
        self._socket = socket
        self._knobs = knobs
        self._record = record
        self._contexts: dict[str, Context] = {}

    async def run(self) -> None:
        """Serve the socket until it is closed or nobody said anything for too long."""
        async with asyncio.TaskGroup() as tasks:
            try:
                while True:
                    async with asyncio.timeout(self._knobs.inactivity_s):
                        message = await self._socket.ws.receive()
                    if message.type is not WSMsgType.TEXT:
                        break
                    await self._socket.heard()
                    await self._take(message.data, tasks)
            except TimeoutError:
                pass
            finally:
                for context in self._contexts.values():
                    context.closed = True
                    context.jobs.put_nowait(None)
        if not self._socket.ws.closed:
            await self._socket.ws.close()

    async def _take(self, data: str, tasks: asyncio.TaskGroup) -> None:
        context_id = ""
        try:
            message = _camel(orjson.loads(data))
            context_id = str(message.get("contextId") or "")
            self._record["messages"].append({"context": context_id, "what": sorted(message), "at_s": time.monotonic()})
            if (options := message.get("create")) is not None:
                await self._create(context_id, options, tasks)
                return
            self._command(self._context(context_id), message)
        except (orjson.JSONDecodeError, AttributeError, TypeError):
            await self._socket.send({"error": {"code": _INVALID, "message": "not understood", "details": []}})
        except RefusedError as exc:
            status = {"code": exc.code, "message": str(exc), "details": []}
            if exc.code == _NOT_FOUND:
                await self._socket.send({"error": status})
            else:
                await self._socket.send({"result": {"contextId": context_id, "status": status}})

    async def _create(self, context_id: str, options: _Json, tasks: asyncio.TaskGroup) -> None:
        if len(self._contexts) >= self._knobs.max_contexts:
            raise RefusedError(EXHAUSTED, "too many contexts on this connection")
        audio = options.get("audioConfig") or {}
        if (audio.get("audioEncoding"), audio.get("sampleRateHertz")) != ("MULAW", 8_000):
            raise RefusedError(_INVALID, "this twin speaks MULAW at 8000 only")
        if not options.get("voiceId") or _MODELS.fullmatch(str(options.get("modelId"))) is None:
            raise RefusedError(_INVALID, "no such voice or model")
        context = self._contexts[context_id] = Context(context_id, options)
        self._record["contexts"].append({"context": context_id, **options})
        tasks.create_task(self._voice(context), name="inworld.context")
        await self._answer(context, contextCreated={})

    def _context(self, context_id: str) -> Context:
        context = self._contexts.get(context_id)
        if context is None:
            raise RefusedError(_NOT_FOUND, "Context not found")
        return context

    def _command(self, context: Context, message: _Json) -> None:
        if (said_text := message.get("sendText")) is not None:
            text = str(said_text.get("text", ""))
            if len(text) > _MOST_CHARS:
                raise RefusedError(_INVALID, f"more than {_MOST_CHARS} characters")
            context.text += text
            threshold = context.options.get("bufferCharThreshold", _MOST_CHARS)
            if "flushContext" in said_text:
                self._flush(context)
            elif context.options.get("autoMode") or len(context.text) > min(threshold, _MOST_CHARS):
                self._speak(context)
        elif "flushContext" in message:
            self._flush(context)
        elif "updateConfig" in message:
            self._flush(context)
            context.options.update(message["updateConfig"])
        elif "closeContext" in message:
            if not (self._knobs.early_close_is_silent and not context.heard):
                self._speak(context)
            else:
                while not context.jobs.empty():
                    context.jobs.get_nowait()
            context.closed = True
            context.jobs.put_nowait(None)
        else:
            raise RefusedError(_INVALID, "no such message")

    def _speak(self, context: Context) -> None:
        text, context.text = context.text, ""
        if text.strip():
            context.jobs.put_nowait(text)

    def _flush(self, context: Context) -> None:
        self._speak(context)
        context.jobs.put_nowait("")

    async def _voice(self, context: Context) -> None:
        """Speak the jobs of one context in their order; what was flushed before it is closed is still spoken."""
        try:
            while (job := await context.jobs.get()) is not None:
                if job:
                    await self._synthesize(context, job)
                else:
                    await self._answer(context, flushCompleted={})
            await self._answer(context, contextClosed={})
        except ConnectionResetError:
            return
        finally:
            self._contexts.pop(context.id, None)

    async def _synthesize(self, context: Context, text: str) -> None:
        knobs, at_ms, first = self._knobs, 0.0, True
        entry = said(text, context=context.id)
        self._record["texts"].append(entry)
        async for chunk in spoken(entry, knobs):
            if context.closed and knobs.early_close_is_silent and not context.heard:
                return
            if self._socket.ws.closed:
                return
            context.heard = True
            with_header = knobs.header == "every" or (knobs.header == "first" and first)
            audio = (header(len(chunk.audio)) if with_header else b"") + chunk.audio
            content = {"audioContent": base64.b64encode(audio).decode()}
            times = _times(chunk, at_ms, str(context.options.get("timestampType"))) if knobs.timed else {}
            if knobs.trailing_times and times:
                await self._answer(context, audioChunk=content)
                await self._answer(context, audioChunk={"audioContent": "", "timestampInfo": times})
            else:
                await self._answer(context, audioChunk=content | ({"timestampInfo": times} if times else {}))
            at_ms, first = at_ms + len(chunk.audio) / BYTES_PER_MS, False

    async def _answer(self, context: Context, **what: _Json) -> None:
        status = {"code": 0, "message": "", "details": []}
        await self._socket.send({"result": {"contextId": context.id, "status": status, **what}})


def _times(chunk: VoiceChunk, at_ms: float, kind: str) -> _Json:
    """Seconds since the beginning of this generation."""
    starts = [(at_ms + start) / 1_000 for start in chunk.starts_ms]
    ends = [start + length / 1_000 for start, length in zip(starts, chunk.durations_ms, strict=True)]
    if kind == "CHARACTER":
        characters = {"characters": list(chunk.chars), "characterStartTimeSeconds": starts}
        return {"characterAlignment": characters | {"characterEndTimeSeconds": ends}}
    if kind != "WORD":
        return {}
    words = list(_WORD.finditer("".join(chunk.chars)))
    return {
        "wordAlignment": {
            "words": [word.group() for word in words],
            "wordStartTimeSeconds": [starts[word.start()] for word in words],
            "wordEndTimeSeconds": [ends[word.end() - 1] for word in words],
        }
    }


def _camel(message: Any) -> Any:
    """Field names in either spelling, as one."""
    if isinstance(message, dict):
        return {re.sub(r"_([a-z])", lambda m: m.group(1).upper(), name): _camel(v) for name, v in message.items()}
    return message


async def serve(request: web.Request, host: Host) -> web.StreamResponse:
    """GET /tts/v1/voice:streamBidirectional, upgraded."""
    knobs = host.knobs.inworld
    scheme, _, key = request.headers.get("Authorization", request.query.get("authorization", "")).partition(" ")
    if scheme not in {"Basic", "Bearer"} or not key or key.startswith(knobs.rejected_keys):
        return refusal(401, UNAUTHENTICATED, "invalid authorization")
    try:
        trouble = await refused(host, VENDOR, request, call="", key=key)
    except DroppedError:
        return web.Response(status=500)
    if trouble is not None and trouble.action == "refuse":
        return refusal(trouble.status, EXHAUSTED if trouble.status == 429 else UNAVAILABLE, trouble.reason)
    ws = web.WebSocketResponse(max_msg_size=1024 * 1024, compress=False)
    await ws.prepare(request)
    record: _Json = {"key": key, "contexts": [], "texts": [], "messages": []}
    host.record(VENDOR, record)
    error = {"error": {"code": 13, "message": "injected fault", "details": []}}
    socket = TroubledSocket(ws, request, host, VENDOR, key, error)
    try:
        await VoiceSocket(socket, knobs, record).run()
    except* (ConnectionResetError, DroppedError):
        record["dropped"] = True
    return ws


def mount(app: web.Application, host: Host) -> None:
    """Serve under /inworld."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await serve(request, host)

    app.router.add_get("/inworld/tts/v1/voice:streamBidirectional", handle)
    inworld_lists.mount(app, host)
