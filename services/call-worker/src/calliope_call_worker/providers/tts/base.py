"""Port: text to speech. Audio out is μ-law 8 kHz mono without any header."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TextSpan:
    """Where a piece of the text is in the audio; ms since the start of this reply's audio.

    The spans of a reply, joined, are the text that was given to `say`, character for character.
    """

    text: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class SpokenAudio:
    """Some audio of a reply and the text spans that became known with it (may be none)."""

    audio: bytes
    spans: tuple[TextSpan, ...] = ()


class SpeechStream(Protocol):
    """One reply being spoken."""

    async def say(self, text: str) -> None:
        """Speak this piece (a clause or sentence, with its trailing blank) as soon as possible.

        Raises: ProviderError.
        """

    async def finish(self) -> None:
        """No more text: speak what is left. Raises: ProviderError."""

    def audio(self) -> AsyncIterator[SpokenAudio]:
        """Audio in order; ends when all text given before `finish` was spoken.

        Raises: ProviderError, when it ends early.
        """


class VoiceSession(Protocol):
    """A warm connection for one call."""

    def speak(self) -> AbstractAsyncContextManager[SpeechStream]:
        """Begin a reply; leaving the block before the end cancels it, and nothing of it comes later."""


class TextToSpeech(Protocol):
    """One vendor, one voice, one key."""

    @property
    def name(self) -> str:
        """Vendor name as in the document."""

    @property
    def voice(self) -> str:
        """Voice as sent to the vendor."""

    @property
    def times_text(self) -> bool:
        """Whether the vendor tells where words are in the audio."""

    def connect(self, call_id: str) -> AbstractAsyncContextManager[VoiceSession]:
        """Open the connection; leaving the block closes it politely within a second.

        The session reconnects by itself when the vendor closed an idle socket. Raises: ProviderError.
        """
