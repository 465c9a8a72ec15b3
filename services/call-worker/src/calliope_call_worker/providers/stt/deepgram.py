"""Deepgram's streaming recogniser, /v1/listen, over one websocket per call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import aiohttp
import orjson
import structlog
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.settings import DeepgramSettings
from calliope_call_worker.providers.stt.base import (
    SpeechStarted,
    SttEvent,
    SttOptions,
    SttStream,
    Transcript,
    UtteranceEnded,
    Word,
)
from calliope_call_worker.providers.wire import close_socket, helpers, open_socket, transport_of

log = structlog.get_logger(__name__)

NAME: Final = "deepgram"
KEEP_ALIVE_S: Final = 4.0  # the vendor ends a stream after 10 s without audio and asks for one every 3 to 5 s
MAX_UNSENT_BYTES: Final = 16_000  # 2 s of audio that the network does not take: this stream will not catch up
_KEEP_ALIVE: Final = '{"type":"KeepAlive"}'
_FINALIZE: Final = '{"type":"Finalize"}'
_CLOSE: Final = '{"type":"CloseStream"}'


class Deepgram:
    """See `SpeechToText`."""

    def __init__(self, session: ClientSession, settings: DeepgramSettings, api_key: str) -> None:
        self._session = session
        self._settings = settings
        self._api_key = api_key

    @property
    def name(self) -> str:
        """See `SpeechToText`."""
        return NAME

    def open(self, options: SttOptions) -> AbstractAsyncContextManager[SttStream]:
        """See `SpeechToText`."""
        return self._open(options)

    @asynccontextmanager
    async def _open(self, options: SttOptions) -> AsyncIterator[SttStream]:
        if options.model.startswith("flux"):
            raise ProviderError(NAME, Failure.REFUSED, f"{options.model} is not available in this version")
        socket = await open_socket(
            self._session,
            self._settings.url.rstrip("/") + "/v1/listen",
            provider=NAME,
            params=query(options),
            headers={"Authorization": f"Token {self._api_key}"},
            deadline_s=self._settings.handshake_deadline_s,
            reason_header="dg-error",
        )
        stream = DeepgramStream(socket, formatted=options.punctuate or options.smart_format)
        try:
            async with helpers() as spawn:
                spawn(stream.keep_alive(), "stt.deepgram.keep_alive")
                yield stream
        finally:
            await stream.close()


class DeepgramStream:
    """See `SttStream`."""

    def __init__(self, socket: ClientWebSocketResponse, *, formatted: bool) -> None:
        self._socket = socket
        self._transport = transport_of(socket)
        self._formatted = formatted
        self._now = asyncio.get_running_loop().time
        self._sent_at = self._now()
        self._closing = False

    async def send(self, audio: bytes) -> None:
        """See `SttStream`."""
        transport = self._transport
        if not audio:  # an empty frame would end the stream
            return
        if transport is None or transport.is_closing():
            raise ProviderError(NAME, Failure.DROPPED, "the connection is closed")
        if transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            transport.abort()
            raise ProviderError(NAME, Failure.DROPPED, "audio was not taken for two seconds")
        await self._send(self._socket.send_bytes, audio)
        self._sent_at = self._now()

    async def finalize(self) -> None:
        """See `SttStream`."""
        await self._send(self._socket.send_str, _FINALIZE)

    async def events(self) -> AsyncIterator[SttEvent]:
        """See `SttStream`."""
        socket = self._socket
        while True:
            message = await socket.receive()
            if message.type is WSMsgType.TEXT:
                event = read(message.data, formatted=self._formatted)
                if event is not None:
                    yield event
            elif message.type is not WSMsgType.BINARY:
                break
        if not self._closing:
            raise self._ended(str(message.extra or ""))

    async def keep_alive(self) -> None:
        """Runs beside the stream: a word to the vendor whenever no audio went out for a while."""
        while True:
            quiet_s = self._now() - self._sent_at
            if quiet_s < KEEP_ALIVE_S:
                await asyncio.sleep(KEEP_ALIVE_S - quiet_s)
                continue
            try:
                await self._send(self._socket.send_str, _KEEP_ALIVE)
            except ProviderError:
                return  # `events` tells
            self._sent_at = self._now()

    async def close(self) -> None:
        """Say that it is over, so that no half-open stream counts against the account's limit."""
        self._closing = True
        await close_socket(self._socket, _CLOSE)

    async def _send(self, send: Any, data: str | bytes) -> None:
        try:
            await send(data)
        except (aiohttp.ClientError, OSError) as exc:
            raise ProviderError(NAME, Failure.DROPPED, "the connection is closed") from exc

    def _ended(self, reason: str) -> ProviderError:
        code = self._socket.close_code
        failure = Failure.MALFORMED if reason.startswith("DATA-") else Failure.DROPPED
        return ProviderError(NAME, failure, f"the stream ended unasked: {code} {reason[:100]}".strip())


def query(options: SttOptions) -> list[tuple[str, str]]:
    """The query of /v1/listen; lists are repeated keys."""
    flags = {
        "interim_results": True,
        "vad_events": True,
        "punctuate": options.punctuate,
        "smart_format": options.smart_format,
    }
    if options.smart_format:
        flags["no_delay"] = True  # else finals wait for the rest of a number
    boosts = [("keyterm", term) for term in options.keyterms]
    for word, intensifier in options.keywords:
        boosts.append(("keywords", word if intensifier is None else f"{word}:{intensifier:g}"))
    return [
        ("model", options.model),
        ("language", options.language),
        ("encoding", "mulaw"),
        ("sample_rate", "8000"),
        ("channels", "1"),
        ("endpointing", str(options.endpointing_ms)),
        ("utterance_end_ms", str(options.utterance_end_ms)),
        *((name, "true" if on else "false") for name, on in flags.items()),
        *boosts,
        ("extra", f"call_id:{options.call_id}"),
        *(("extra", f"{key}:{value}") for key, value in options.extra.items()),
    ]


def read(data: str | bytes, *, formatted: bool) -> SttEvent | None:
    """One message of the vendor; None for what says nothing about speech. Raises: ProviderError, when unreadable."""
    try:
        message = orjson.loads(data)
        match message.get("type"):
            case "Results":
                return _transcript(message, formatted)
            case "SpeechStarted":
                return SpeechStarted(float(message.get("timestamp") or 0.0) * 1_000)
            case "UtteranceEnd":
                return UtteranceEnded(float(message.get("last_word_end") or 0.0) * 1_000)
            case "Error":  # the stream may go on; if not, its end tells
                log.warning("stt.complained", provider=NAME, variant=str(message.get("variant"))[:50])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as exc:
        raise ProviderError(NAME, Failure.MALFORMED, "a message could not be read") from exc
    return None


def _transcript(message: dict[str, Any], formatted: bool) -> Transcript:
    heard = message["channel"]["alternatives"][0]
    start_ms = message["start"] * 1_000
    return Transcript(
        text=heard["transcript"],
        is_final=bool(message.get("is_final")),
        speech_final=bool(message.get("speech_final")),
        start_ms=start_ms,
        end_ms=start_ms + message["duration"] * 1_000,
        words=tuple(
            [
                Word(
                    (word.get("punctuated_word") if formatted else None) or word["word"],
                    word["start"] * 1_000,
                    word["end"] * 1_000,
                )
                for word in heard.get("words") or ()
            ]
        ),
    )
