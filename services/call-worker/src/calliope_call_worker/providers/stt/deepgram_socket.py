"""One websocket to a Deepgram recogniser, whatever protocol is spoken on it: audio out, texts in, and how it ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import aiohttp
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.settings import DeepgramSettings
from calliope_call_worker.providers.wire import close_socket, open_socket, transport_of

NAME: Final = "deepgram"
MAX_UNSENT_BYTES: Final = 16_000  # 2 s of audio that the network does not take: this stream will not catch up
_CLOSE: Final = '{"type":"CloseStream"}'
_NO_STATUS: Final = 1005  # RFC 6455: a close frame without a code; aiohttp shows it as 0, and then as 1000


async def connect(
    session: ClientSession, settings: DeepgramSettings, api_key: str, path: str, query: list[tuple[str, str]]
) -> "DeepgramSocket":
    """A socket whose handshake is done. Raises: ProviderError."""
    socket = await open_socket(
        session,
        settings.url.rstrip("/") + path,
        provider=NAME,
        params=query,
        headers={"Authorization": f"Token {api_key}"},
        deadline_s=settings.handshake_deadline_s,
        reason_header="dg-error",
    )
    return DeepgramSocket(socket)


class DeepgramSocket:
    """Sends without waiting for the network; reads until the end, which is an error unless it was asked for."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._transport = transport_of(socket)
        self._now = asyncio.get_running_loop().time
        self._closing = False
        self.sent_at = self._now()

    @property
    def quiet_s(self) -> float:
        """How long nothing was sent."""
        return self._now() - self.sent_at

    async def send_audio(self, audio: bytes) -> None:
        """Pass audio on; an empty frame would end the stream. Raises: ProviderError, when the stream is given up."""
        transport = self._transport
        if not audio:
            return
        if transport is None or transport.is_closing():
            raise ProviderError(NAME, Failure.DROPPED, "the connection is closed")
        if transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            transport.abort()
            raise ProviderError(NAME, Failure.DROPPED, "audio was not taken for two seconds")
        await self._send(self._socket.send_bytes, audio)

    async def send_text(self, text: str) -> None:
        """Raises: ProviderError, when the connection is closed."""
        await self._send(self._socket.send_str, text)

    async def texts(self) -> AsyncIterator[str]:
        """Messages until the end. Raises: ProviderError, when we did not ask for it, whatever its code."""
        socket = self._socket
        while True:
            message = await socket.receive()
            if message.type is WSMsgType.TEXT:
                yield message.data
            elif message.type is not WSMsgType.BINARY:
                break
        if not self._closing:
            code = message.data if message.type is WSMsgType.CLOSE else self._socket.close_code
            raise _ended(code or _NO_STATUS, str(message.extra or ""))

    async def close(self) -> None:
        """Say that it is over, so that no half-open stream counts against the account's limit."""
        self._closing = True
        await close_socket(self._socket, _CLOSE)

    async def _send(self, send: Callable[[Any], Awaitable[None]], data: str | bytes) -> None:
        try:
            await send(data)
        except (aiohttp.ClientError, OSError) as exc:
            raise ProviderError(NAME, Failure.DROPPED, "the connection is closed") from exc
        self.sent_at = self._now()


def _ended(code: int, reason: str) -> ProviderError:
    failure = Failure.MALFORMED if reason.startswith("DATA-") else Failure.DROPPED
    return ProviderError(NAME, failure, f"the stream ended unasked: {code} {reason[:100]}".strip())
