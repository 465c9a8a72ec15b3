"""Twin of Resemble's streaming voices, /stream: a request speaks one text as tone speech; nothing stops it."""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import orjson
from aiohttp import WSMsgType, web

from calliope_sandbox.json_http import as_json
from calliope_sandbox.knobs import ResembleKnobs
from calliope_sandbox.vendors.host import DroppedError, Host, Trouble, TroubledSocket, refused
from calliope_sandbox.vendors.rest import MISSING, answered
from calliope_sandbox.vendors.riff import header
from calliope_sandbox.vendors.speaking import said, spoken
from calliope_sandbox.voicing import BYTES_PER_MS, VoiceChunk

_Json = dict[str, Any]
VENDOR: Final = "resemble"
_MOST_CHARS: Final = 3_000
_MAX_QUEUED: Final = 1_000
_UNANSWERED_S: Final = 2.0  # how long a client may wait for the close that is never answered
_NOTES: Final = b"grph\x01odd"  # 7 bytes: padded in the header


class StreamSocket:
    """One websocket: requests answered one after the other, or mixed."""

    def __init__(self, socket: TroubledSocket, knobs: ResembleKnobs, record: _Json) -> None:
        self._socket = socket
        self._knobs = knobs
        self._record = record
        self._requests: asyncio.Queue[_Json] = asyncio.Queue(_MAX_QUEUED)
        self._next_id = 0

    async def run(self) -> None:
        """Serve the socket until the client goes."""
        ws = self._socket.ws
        async with asyncio.TaskGroup() as tasks:
            voices = [
                tasks.create_task(self._voice(), name="resemble.voice") for _ in range(2 if self._knobs.mixed else 1)
            ]
            try:
                async for message in ws:
                    if message.type is WSMsgType.TEXT:
                        await self._socket.heard()
                        await self._take(message.data)
            finally:
                for voice in voices:
                    voice.cancel()
        await self._leave_unanswered()

    async def _leave_unanswered(self) -> None:
        """The client's close is not answered: it has to go by itself."""
        transport = self._socket.request.transport
        if self._knobs.answers_close or transport is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_UNANSWERED_S):
                while not transport.is_closing():  # noqa: ASYNC110 - a transport tells nobody that it is closed
                    await asyncio.sleep(0.02)
        transport.abort()

    async def _take(self, data: str) -> None:
        try:
            request = orjson.loads(data)
            request_id = request.get("request_id", self._next_id)
            problem = self._problem(request)
        except (orjson.JSONDecodeError, AttributeError):
            await self._socket.send(_error("BadJSON", 400, "the message is not a JSON object"))
            return
        if problem or not isinstance(request_id, int) or isinstance(request_id, bool):
            await self._socket.send(_error("BadJSON", 400, problem or "request_id: an integer is needed"))
            return
        self._next_id = request_id + 1
        self._record["requests"].append({**request, "received_at_s": time.monotonic()})
        self._requests.put_nowait(request | {"request_id": request_id})

    def _problem(self, request: _Json) -> str:
        text = request.get("data")
        if not request.get("voice_uuid") or not isinstance(text, str) or not text.strip():
            return "voice_uuid and data are needed"
        if self._knobs.needs_project and not request.get("project_uuid"):
            return "project_uuid is needed"
        if len(text) > _MOST_CHARS:
            return f"data: at most {_MOST_CHARS} characters"
        if (request.get("precision", "PCM_32"), request.get("sample_rate")) != ("MULAW", 8_000):
            return "this twin speaks MULAW at 8000 only"
        return ""

    async def _voice(self) -> None:
        while True:
            request = await self._requests.get()
            number, binary = request["request_id"], bool(request.get("binary_response"))
            entry = said(request["data"], context=str(number))
            self._record["texts"].append(entry)
            at_ms = 0.0
            async for chunk in spoken(entry, self._knobs):
                audio = self._header(request, chunk, first=at_ms == 0.0) + chunk.audio
                await self._socket.send(audio if binary else self._message(number, audio, chunk, at_ms))
                at_ms += len(chunk.audio) / BYTES_PER_MS
            await self._socket.send({"type": "audio_end", "request_id": number})

    def _header(self, request: _Json, chunk: VoiceChunk, *, first: bool) -> bytes:
        if not first or (self._knobs.header == "as_asked" and request.get("no_audio_header")):
            return b""
        return header(len(chunk.audio), notes=_NOTES if self._knobs.header == "long" else None)

    def _message(self, number: int, audio: bytes, chunk: VoiceChunk, at_ms: float) -> _Json:
        from_ms = at_ms if self._knobs.times_from == "request" else 0.0
        starts = [(from_ms + start) / 1_000 for start in chunk.starts_ms]
        times = [[start, start + length / 1_000] for start, length in zip(starts, chunk.durations_ms, strict=True)]
        timestamps = {"graph_chars": list(chunk.chars), "graph_times": times, "phon_chars": [], "phon_times": []}
        return {
            "type": "audio",
            "audio_content": base64.b64encode(audio).decode(),
            "audio_timestamps": timestamps if self._knobs.timed else None,
            "sample_rate": 8_000,
            "request_id": number,
        }


def _error(name: str, status: int, words: str) -> _Json:
    return {
        "type": "error",
        "success": False,
        "error_name": name,
        "error_params": {"explanation": words},
        "message": words,
        "status_code": status,
    }


async def serve(request: web.Request, host: Host) -> web.StreamResponse:
    """GET /stream, upgraded."""
    knobs = host.knobs.resemble
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    wrong_key = scheme != "Bearer" or not key or key.startswith(knobs.rejected_keys)
    if wrong_key and knobs.refuse_with == "handshake":
        return _refused(401, "ConnectionFailure", "invalid token")
    try:
        trouble = await refused(host, VENDOR, request, call="", key=key)
    except DroppedError:
        return web.Response(status=500)
    if trouble is not None and trouble.action == "refuse":
        return _refused(trouble.status, "ConnectionFailure", trouble.reason)
    ws = web.WebSocketResponse(max_msg_size=1024 * 1024, compress=False, autoclose=knobs.answers_close)
    await ws.prepare(request)
    record: _Json = {"key": key, "requests": [], "texts": []}
    host.record(VENDOR, record)
    socket = TroubledSocket(ws, request, host, VENDOR, key, _error("InternalError", 500, "injected fault"))
    if wrong_key:
        await socket.send(_error("ConnectionFailure", 401, "invalid token"))
        await ws.close()
        return ws
    try:
        await StreamSocket(socket, knobs, record).run()
    except* (ConnectionResetError, DroppedError):
        record["dropped"] = True
    return ws


def _refused(status: int, name: str, words: str) -> web.Response:
    return as_json(_error(name, status, words), status)


def mount(app: web.Application, host: Host) -> None:
    """Serve under /resemble."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await serve(request, host)

    app.router.add_get("/resemble/stream", handle)
    app.router.add_get("/resemble/api/v2/voices/{uuid}", _voices(host))


def _voices(host: Host) -> Callable[[web.Request], Awaitable[web.Response]]:
    """GET /api/v2/voices/{uuid}, which is another API at another address."""

    async def handle(request: web.Request) -> web.Response:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not key or key.startswith(host.knobs.resemble.rejected_keys):
            return as_json({"success": False, "message": "Invalid API token"}, 401)

        def failed(trouble: Trouble) -> web.Response:
            return as_json({"success": False, "message": trouble.reason}, trouble.status)

        def voice() -> web.Response:
            uuid = request.match_info["uuid"]
            if uuid.startswith(MISSING):
                return as_json({"success": False, "message": "Voice not found"}, 404)
            return as_json({"success": True, "item": {"uuid": uuid, "name": uuid, "status": "finished"}})

        return await answered(request, host, VENDOR, key=key, failed=failed, answer=voice)

    return handle
