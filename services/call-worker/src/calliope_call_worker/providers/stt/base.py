"""Port: speech to text. Audio in is μ-law 8 kHz mono; times out are ms on the audio clock of that stream."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Word:
    """One recognised word; times are ms of audio sent to this stream so far."""

    text: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """Words of the window [start_ms, end_ms). Interims of a window replace each other; a final will not change.

    `speech_final`: the recogniser saw the pause that ends an utterance; it may come with empty text.
    `eager`: of an interim, that the utterance may be over with it: what comes is `speech_final` with these words, or
    `TurnResumed`.
    """

    text: str
    is_final: bool
    speech_final: bool
    start_ms: float
    end_ms: float
    words: tuple[Word, ...] = ()
    eager: bool = False


@dataclass(frozen=True, slots=True)
class TurnResumed:
    """The caller goes on although an `eager` transcript said that the utterance may be over."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """A hint only: may repeat, be missing, or precede no words."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class UtteranceEnded:
    """No words for a while, judged on word gaps (works in noise). May repeat what `speech_final` said."""

    last_word_end_ms: float


SttEvent = Transcript | TurnResumed | SpeechStarted | UtteranceEnded


class SttStream(Protocol):
    """One open recognition."""

    async def send(self, audio: bytes) -> None:
        """Pass audio on. Never waits for the network: when the socket cannot take it, the stream is given up.

        Raises: ProviderError, when the stream is broken.
        """

    async def finalize(self) -> None:
        """Ask for what is buffered now; may be answered by an empty final, or by nothing."""

    def events(self) -> AsyncIterator[SttEvent]:
        """What was heard, until the stream is closed by us. Raises: ProviderError, when it ends unasked."""


@dataclass(frozen=True, slots=True)
class SttOptions:
    """What one call asks of the recogniser. An adapter sends what its models know; the document refuses the rest."""

    call_id: str
    model: str
    language: str
    keywords: tuple[tuple[str, float | None], ...] = ()
    keyterms: tuple[str, ...] = ()
    punctuate: bool = True
    smart_format: bool = False
    numerals: bool = False
    profanity_filter: bool = False
    filler_words: bool = False
    redact: tuple[str, ...] = ()
    endpointing_ms: int = 300
    utterance_end_ms: int = 1_000
    eot_threshold: float | None = None
    eager_eot_threshold: float | None = None
    eot_timeout_ms: int | None = None
    mip_opt_out: bool = False


class SpeechToText(Protocol):
    """One vendor with one key."""

    @property
    def name(self) -> str:
        """Vendor name as in the document."""

    def open(self, options: SttOptions) -> AbstractAsyncContextManager[SttStream]:
        """Open one stream; leaving the block closes it politely within a second, also on cancellation.

        Raises: ProviderError: unreachable, refused, or no handshake within the deadline.
        """
