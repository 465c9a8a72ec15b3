"""Twin of Deepgram's streaming voices, /v1/speak: tone speech, for whole sentences and for what is flushed."""

import asyncio
import re
import time
import uuid
from collections import deque
from typing import Any, Final

import orjson
from aiohttp import WSMsgType, web

from calliope_sandbox.knobs import DeepgramSpeakKnobs
from calliope_sandbox.vendors.deepgram_auth import key_of, refusal
from calliope_sandbox.vendors.host import DroppedError, Host, TroubledSocket, refused
from calliope_sandbox.vendors.speaking import said, spoken

_Json = dict[str, Any]
VENDOR: Final = "deepgram_speak"
_MOST_CHARS: Final = 2_000  # in one Speak
_MAX_QUEUED: Final = 1_000
_MODEL: Final = re.compile(r"aura(?:-2)?-[a-z]+-[a-z]{2}")
_QUERY: Final = {"model", "encoding", "sample_rate", "mip_opt_out", "tag", "speed"}
_SENTENCES: Final = re.compile(r"(?s).*[.!?][\"')\]]*\s+")


class _ClosedError(Exception):
    """The vendor closes, with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class SpeakSocket:
    """One websocket: text that waits, jobs in their order, and the audio that is being sent."""

    def __init__(self, socket: TroubledSocket, knobs: DeepgramSpeakKnobs, record: _Json) -> None:
        self._socket = socket
        self._knobs = knobs
        self._record = record
        self._text = ""
        self._jobs: asyncio.Queue[str | int | None] = asyncio.Queue(_MAX_QUEUED)  # a text, a flush's number, the end
        self._flushes: deque[float] = deque()
        self._characters: deque[tuple[float, int]] = deque()
        self._flush_number = 0
        self._clears = 0
        self._cleared = asyncio.Event()

    async def run(self, metadata: _Json) -> None:
        """Serve the socket until it is closed or has lived too long."""
        knobs, ws = self._knobs, self._socket.ws
        async with asyncio.TaskGroup() as tasks:
            await self._socket.send(metadata)
            voice = tasks.create_task(self._voice(), name="deepgram.speak")
            try:
                async with asyncio.timeout(knobs.lifetime_s):
                    if await self._read():
                        await voice
            except TimeoutError:
                await ws.close(code=1011, message=b"NET-0003: connection lifetime reached")
            except _ClosedError as exc:
                await ws.close(code=exc.code, message=str(exc).encode())
            finally:
                voice.cancel()
        if not ws.closed:
            await ws.close()

    async def _read(self) -> bool:
        """True, when the client asked for the end."""
        async for message in self._socket.ws:
            if message.type is WSMsgType.BINARY:
                raise _ClosedError(1003, "MESSAGE-0000")
            if message.type is not WSMsgType.TEXT:
                continue
            await self._socket.heard()
            try:
                command = orjson.loads(message.data)
                kind = command["type"]
            except (orjson.JSONDecodeError, KeyError, TypeError) as exc:
                raise _ClosedError(1008, "DATA-0000") from exc
            self._record["messages"].append({"type": kind, "at_s": time.monotonic()})
            if await self._command(kind, command):
                return True
        return False

    async def _command(self, kind: str, command: _Json) -> bool:
        match kind:
            case "Speak" if isinstance(command.get("text"), str):
                self._speak(command["text"])
            case "Flush":
                await self._flush()
            case "Clear":
                await self._clear()
            case "Close":
                self._take_text(len(self._text))
                self._jobs.put_nowait(None)
                return True
            case _:
                raise _ClosedError(1008, "DATA-0000")
        return False

    def _speak(self, text: str) -> None:
        now = time.monotonic()
        if len(text) > _MOST_CHARS:
            raise _ClosedError(1009, "BIG-0000")
        while self._characters and self._characters[0][0] <= now - self._knobs.window_s:
            self._characters.popleft()
        self._characters.append((now, len(text)))
        if sum(length for _, length in self._characters) > self._knobs.characters:
            raise _ClosedError(1008, "DATA-0001")
        self._text += text
        whole = _SENTENCES.match(self._text)
        if whole is not None:
            self._take_text(whole.end())

    async def _flush(self) -> None:
        now = time.monotonic()
        while self._flushes and self._flushes[0] <= now - self._knobs.window_s:
            self._flushes.popleft()
        if len(self._flushes) >= self._knobs.flushes:
            words = "too many flushes; this one is ignored"
            self._record["warnings"] += 1
            await self._socket.send({"type": "Warning", "code": "EXCESSIVE_FLUSH", "description": words})
            return
        self._flushes.append(now)
        self._take_text(len(self._text))
        self._jobs.put_nowait(self._flush_number)
        self._flush_number += 1

    async def _clear(self) -> None:
        """What waits is dropped; the audio on its way ends a little later, then comes the answer."""
        self._text = ""
        dropped = 0
        while not self._jobs.empty():
            dropped += isinstance(self._jobs.get_nowait(), int)
        self._clears += 1
        self._cleared.clear()
        self._jobs.put_nowait("")
        await self._cleared.wait()
        await self._socket.send({"type": "Cleared", "sequence_id": self._clears - 1})
        if dropped and self._knobs.flushed_when_cleared:
            await self._socket.send({"type": "Flushed", "sequence_id": self._flush_number - 1})

    def _take_text(self, until: int) -> None:
        text, self._text = self._text[:until], self._text[until:]
        if text.strip():
            self._jobs.put_nowait(text)

    async def _voice(self) -> None:
        """Speak the jobs in their order."""
        while (job := await self._jobs.get()) is not None:
            if isinstance(job, int):
                await self._socket.send({"type": "Flushed", "sequence_id": job})
            elif job:
                await self._synthesize(job)
            else:
                self._cleared.set()

    async def _synthesize(self, text: str) -> None:
        entry, clears, late = said(text), self._clears, 0
        self._record["texts"].append(entry)
        async for chunk in spoken(entry, self._knobs):
            if self._clears != clears:
                late += 1
                if late > self._knobs.late_chunks:
                    return
            await self._socket.send(chunk.audio)


async def speak(request: web.Request, host: Host) -> web.StreamResponse:
    """GET /v1/speak, upgraded."""
    request_id, query, knobs = str(uuid.uuid4()), request.query, host.knobs.deepgram_speak
    key = key_of(request)
    if not key or key.startswith(knobs.rejected_keys):
        return refusal(401, "INVALID_AUTH", "Invalid credentials.", request_id)
    model = query.get("model", "aura-asteria-en")
    if unknown := sorted(set(query) - _QUERY):
        return refusal(400, "Bad Request", f"unknown parameters: {', '.join(unknown)}", request_id)
    if _MODEL.fullmatch(model) is None:
        return refusal(400, "Bad Request", "no such model", request_id)
    if (query.get("encoding", "linear16"), query.get("sample_rate", "8000")) != ("mulaw", "8000"):
        return refusal(400, "Bad Request", "this twin speaks mulaw at 8000 only", request_id)
    try:
        trouble = await refused(host, VENDOR, request, call="", key=key)
    except DroppedError:
        return web.Response(status=500)
    if trouble is not None and trouble.action == "refuse":
        code = "TOO_MANY_REQUESTS" if trouble.status == 429 else trouble.code or "INTERNAL"
        return refusal(trouble.status, code, trouble.reason, request_id)
    ws = web.WebSocketResponse(max_msg_size=1024 * 1024, compress=False)
    ws.headers["dg-request-id"] = request_id
    await ws.prepare(request)
    record: _Json = {"key": key, "query": dict(query), "texts": [], "messages": [], "warnings": 0}
    host.record(VENDOR, record)
    error = {"type": "Error", "code": "NET-0000", "description": "injected fault"}
    socket = TroubledSocket(ws, request, host, VENDOR, key, error)
    metadata = {
        "type": "Metadata",
        "request_id": request_id,
        "model_name": model,
        "model_version": "sandbox",
        "model_uuid": "00000000-0000-4000-8000-0000000000a2",
    }
    try:
        await SpeakSocket(socket, knobs, record).run(metadata)
    except* (ConnectionResetError, DroppedError):
        record["dropped"] = True
    return ws


def mount(app: web.Application, host: Host) -> None:
    """Serve under /deepgram."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await speak(request, host)

    app.router.add_get("/deepgram/v1/speak", handle)
