"""Deepgram's streaming recogniser, /v1/listen (nova and older models), over one websocket per call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import orjson
import structlog
from aiohttp import ClientSession

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
from calliope_call_worker.providers.stt.deepgram_socket import NAME, DeepgramSocket, connect
from calliope_call_worker.providers.wire import helpers

log = structlog.get_logger(__name__)

KEEP_ALIVE_S: Final = 4.0  # the vendor ends a stream after 10 s without audio and asks for one every 3 to 5 s
_KEEP_ALIVE: Final = '{"type":"KeepAlive"}'
_FINALIZE: Final = '{"type":"Finalize"}'


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
        socket = await connect(self._session, self._settings, self._api_key, "/v1/listen", query(options))
        stream = DeepgramStream(socket, formatted=options.punctuate or options.smart_format)
        try:
            async with helpers() as spawn:
                spawn(stream.keep_alive(), "stt.deepgram.keep_alive")
                yield stream
        finally:
            await socket.close()


class DeepgramStream:
    """See `SttStream`."""

    def __init__(self, socket: DeepgramSocket, *, formatted: bool) -> None:
        self._socket = socket
        self._formatted = formatted

    async def send(self, audio: bytes) -> None:
        """See `SttStream`."""
        await self._socket.send_audio(audio)

    async def finalize(self) -> None:
        """See `SttStream`."""
        await self._socket.send_text(_FINALIZE)

    async def events(self) -> AsyncIterator[SttEvent]:
        """See `SttStream`."""
        async for text in self._socket.texts():
            event = read(text, formatted=self._formatted)
            if event is not None:
                yield event

    async def keep_alive(self) -> None:
        """Runs beside the stream: a word to the vendor whenever nothing went out for a while."""
        while True:
            quiet_s = self._socket.quiet_s
            if quiet_s < KEEP_ALIVE_S:
                await asyncio.sleep(KEEP_ALIVE_S - quiet_s)
                continue
            try:
                await self._socket.send_text(_KEEP_ALIVE)
            except ProviderError:
                return  # `events` tells


def query(options: SttOptions) -> list[tuple[str, str]]:
    """The query of /v1/listen; lists are repeated keys."""
    flags = {
        "no_delay": options.smart_format,  # else finals wait for the rest of a number
        "numerals": options.numerals,
        "profanity_filter": options.profanity_filter,
        "filler_words": options.filler_words,
        "mip_opt_out": options.mip_opt_out,
    }
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
        ("interim_results", "true"),
        ("vad_events", "true"),
        ("punctuate", str(options.punctuate).lower()),
        ("smart_format", str(options.smart_format).lower()),
        *((name, "true") for name, on in flags.items() if on),
        *(("redact", kind) for kind in options.redact),
        *boosts,
        ("extra", f"call_id:{options.call_id}"),
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
