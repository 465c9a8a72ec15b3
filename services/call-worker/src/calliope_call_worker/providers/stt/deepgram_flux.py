"""Deepgram's turn-taking recogniser, /v2/listen (flux models): it judges itself when the caller's turn is over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import orjson
import structlog
from aiohttp import ClientSession

from calliope.contracts.document.stt import FLUX_MULTI, MULTI
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.settings import DeepgramSettings
from calliope_call_worker.providers.stt.base import (
    SpeechStarted,
    SttEvent,
    SttOptions,
    SttStream,
    Transcript,
    TurnResumed,
    Word,
)
from calliope_call_worker.providers.stt.deepgram_socket import NAME, DeepgramSocket, connect
from calliope_call_worker.providers.stt.fed_silence import FedSilence
from calliope_call_worker.providers.wire import helpers

log = structlog.get_logger(__name__)

FEED_S: Final = 0.5  # without audio for so long, the stream gets as much silence: there is no KeepAlive here
_SILENCE: Final = b"\xff" * int(FEED_S * 8_000)
_FORCE_END: Final = '{"type":"ForceEndTurn"}'


class DeepgramFlux:
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
        socket = await connect(self._session, self._settings, self._api_key, "/v2/listen", query(options))
        stream = FluxStream(socket)
        try:
            async with helpers() as spawn:
                spawn(stream.feed(), "stt.flux.feed")
                yield stream
        finally:
            await socket.close()


class FluxStream:
    """See `SttStream`. Words are interims until the turn is over; then its whole text is final."""

    def __init__(self, socket: DeepgramSocket) -> None:
        self._socket = socket
        self._silence = FedSilence()

    async def send(self, audio: bytes) -> None:
        """See `SttStream`."""
        await self._socket.send_audio(audio)
        self._silence.audio(len(audio))

    async def finalize(self) -> None:
        """See `SttStream`."""
        await self._socket.send_text(_FORCE_END)

    async def events(self) -> AsyncIterator[SttEvent]:
        """See `SttStream`. Times are of the audio given to `send`, without the silence that was fed."""
        async for text in self._socket.texts():
            for event in read(text, self._silence):
                yield event

    async def feed(self) -> None:
        """Runs beside the stream: silence in step with the clock whenever no audio comes."""
        while True:
            quiet_s = self._socket.quiet_s
            if quiet_s < FEED_S:
                await asyncio.sleep(FEED_S - quiet_s)
                continue
            try:
                await self._socket.send_audio(_SILENCE)
            except ProviderError:
                return  # `events` tells
            self._silence.fed(len(_SILENCE))


def query(options: SttOptions) -> list[tuple[str, str]]:
    """The query of /v2/listen; lists are repeated keys, thresholds left out are the vendor's."""
    thresholds = {
        "eot_threshold": options.eot_threshold,
        "eager_eot_threshold": options.eager_eot_threshold,
        "eot_timeout_ms": options.eot_timeout_ms,
    }
    flags = {
        "numerals": options.numerals,
        "profanity_filter": options.profanity_filter,
        "mip_opt_out": options.mip_opt_out,
    }
    hinted = options.model == FLUX_MULTI and options.language != MULTI
    return [
        ("model", options.model),
        ("encoding", "mulaw"),
        ("sample_rate", "8000"),
        *((name, f"{value:g}") for name, value in thresholds.items() if value is not None),
        *((name, "true") for name, on in flags.items() if on),
        *(("redact", kind) for kind in options.redact),
        *(("keyterm", term) for term in options.keyterms),
        *([("language_hint", options.language.partition("-")[0].lower())] if hinted else []),
        ("tag", options.call_id),
    ]


def read(data: str | bytes, silence: FedSilence) -> tuple[SttEvent, ...]:
    """One message of the vendor. Raises: ProviderError, when it is unreadable or ends the stream."""
    try:
        message = orjson.loads(data)
        match message.get("type"):
            case "TurnInfo":
                return _turn_info(message, silence)
            case "Error":  # the vendor calls it fatal
                raise ProviderError(NAME, Failure.ERROR, f"the stream failed: {str(message.get('code'))[:50]}")
            case "Warning" | "ConfigureFailure":
                log.warning("stt.complained", provider=NAME, code=str(message.get("code"))[:50])
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise ProviderError(NAME, Failure.MALFORMED, "a message could not be read") from exc
    return ()


def _turn_info(message: dict[str, Any], silence: FedSilence) -> tuple[SttEvent, ...]:
    event, text = message["event"], message["transcript"]
    over = event == "EndOfTurn"
    transcript = Transcript(
        text=text,
        is_final=over,
        speech_final=over,
        start_ms=silence.caller_ms(message["audio_window_start"] * 1_000),
        end_ms=silence.caller_ms(message["audio_window_end"] * 1_000),
        words=_words(message.get("words") or (), silence),
        eager=event == "EagerEndOfTurn",
    )
    match event:
        case "StartOfTurn":
            return (SpeechStarted(transcript.start_ms), transcript)
        case "TurnResumed":
            return (TurnResumed(), transcript)
        case _:  # Update, EagerEndOfTurn, EndOfTurn, and what the vendor may add: words as they stand
            return (transcript,)


def _words(items: Any, silence: FedSilence) -> tuple[Word, ...]:
    """None at all when one of them has no time: the vendor may leave them out."""
    if any(item.get("start") is None or item.get("end") is None for item in items):
        return ()
    return tuple(
        [
            Word(item["word"], silence.caller_ms(item["start"] * 1_000), silence.caller_ms(item["end"] * 1_000))
            for item in items
        ]
    )
