"""Very small vendors on a real socket: just enough protocol to show what a client sends and how it takes trouble."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import ClientSession, WSMsgType, web
from aiohttp.test_utils import TestServer

CHAR_MS = 50
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(path: str, handler: Handler) -> AsyncIterator[tuple[ClientSession, str]]:
    """A client and the address of a server that answers this path."""
    app = web.Application()
    app.router.add_route("*", path, handler)
    async with TestServer(app) as server, ClientSession() as session:
        yield session, str(server.make_url("")).rstrip("/")


class FakeDeepgram:
    """Records what it gets; the test says what it answers."""

    def __init__(self, *, status: int = 101) -> None:
        self.status = status
        self.request: web.Request | None = None
        self.audio = b""
        self.texts: list[str] = []
        self.socket: web.WebSocketResponse | None = None
        self.closed = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One stream."""
        self.request = request
        if self.status != 101:
            return web.Response(status=self.status, headers={"dg-error": "said no", "retry-after": "7"})
        socket = self.socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                self.audio += message.data
            else:
                self.texts.append(message.data)
        self.closed.set()
        return socket

    async def says(self, message: dict[str, Any]) -> None:
        """A message to the client."""
        assert self.socket is not None
        await self.socket.send_str(orjson.dumps(message).decode())


class FakeElevenLabs:
    """Speaks flushed text at `CHAR_MS` a character; `mute` contexts are never answered."""

    def __init__(self, *, timed: bool = True, mute: bool = False) -> None:
        self.timed = timed
        self.mute = mute
        self.connections = 0
        self.most_contexts = 0
        self.messages: list[dict[str, Any]] = []
        self.socket: web.WebSocketResponse | None = None
        self._contexts: set[str] = set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One socket."""
        socket = self.socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        self._contexts = set()
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._take(socket, orjson.loads(message.data))
        return socket

    async def _take(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        self.messages.append(message)
        context = message.get("context_id")
        if message.get("close_socket"):
            await socket.close()
        elif context is None:
            return
        elif message.get("close_context"):
            self._contexts.discard(context)
            if not self.mute:
                await socket.send_str(orjson.dumps({"isFinal": True, "contextId": context}).decode())
        else:
            self._contexts.add(context)
            self.most_contexts = max(self.most_contexts, len(self._contexts))
            text = message.get("text", "")
            if text.strip() and not self.mute:
                for start in range(0, len(text), 7):
                    await socket.send_str(self._audio(context, text[start : start + 7]))

    def _audio(self, context: str, text: str) -> str:
        times = {
            "chars": list(text),
            "charStartTimesMs": [CHAR_MS * n for n in range(len(text))],
            "charDurationsMs": [CHAR_MS] * len(text),
        }
        audio = base64.b64encode(b"\x55" * (len(text) * CHAR_MS * 8)).decode()
        message = {"audio": audio, "isFinal": None, "contextId": context, "alignment": times if self.timed else None}
        return orjson.dumps(message).decode()
