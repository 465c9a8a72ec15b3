"""Fixed lines spoken in advance: the welcome while the phone rings, the apology before it is needed.

Kept by organization, account, voice and text for all calls of the worker, bounded in bytes; the least recently used
goes first. A voice may be private to an account, so nobody hears what another account's voice said.
"""

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from calliope_call_worker.pipeline import speakable
from calliope_call_worker.pipeline.letters import has_speech
from calliope_call_worker.providers.errors import ProviderError
from calliope_call_worker.providers.tts.base import SpokenAudio, VoiceSession

log = structlog.get_logger(__name__)

SYNTHESIS_S: Final = 10.0
MAX_LINE_CHARACTERS: Final = 600


@dataclass(frozen=True, slots=True)
class VoiceKey:
    """What makes two lines sound the same, and who may hear them. `settings` is all else that changes the sound."""

    organization_id: str
    account: str
    provider: str
    voice: str
    settings: str


_SALT: Final = secrets.token_bytes(16)


def account_of(api_key: str) -> str:
    """The account at a vendor that a key belongs to: a digest, of use within this process only."""
    return hashlib.blake2b(api_key.encode(), key=_SALT, digest_size=16).hexdigest()


class LineCache:
    """Spoken lines."""

    def __init__(self, *, max_bytes: int = 32 * 1024 * 1024) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._lines: OrderedDict[tuple[VoiceKey, str], tuple[SpokenAudio, ...]] = OrderedDict()

    def get(self, voice: VoiceKey, text: str) -> tuple[SpokenAudio, ...] | None:
        """The line, if it was spoken before."""
        found = self._lines.get((voice, text))
        if found is not None:
            self._lines.move_to_end((voice, text))
        return found

    def put(self, voice: VoiceKey, text: str, spoken: tuple[SpokenAudio, ...]) -> None:
        """Keep a line."""
        self._drop((voice, text))
        self._lines[voice, text] = spoken
        self._bytes += _size(spoken)
        while self._bytes > self._max_bytes and self._lines:
            self._drop(next(iter(self._lines)))

    def _drop(self, key: tuple[VoiceKey, str]) -> None:
        self._bytes -= _size(self._lines.pop(key, ()))


def _size(spoken: Iterable[SpokenAudio]) -> int:
    return sum(len(part.audio) for part in spoken)


async def prepare(
    cache: LineCache, voice: VoiceKey, session: VoiceSession, text: str, *, own_voice: Callable[[], bool]
) -> None:
    """Speak a line into the cache. A failure is only noted: the line is then spoken when it is needed.

    Kept by what a voice can say of it; not kept when the session turned to another than its `own_voice`: other calls
    would hear that one.
    """
    text = speakable.spoken(text)
    if len(text) > MAX_LINE_CHARACTERS or not has_speech(text) or cache.get(voice, text) is not None:
        return
    spoken = []
    try:
        async with asyncio.timeout(SYNTHESIS_S), session.speak() as stream:
            await stream.say(text if text.endswith(" ") else text + " ")
            await stream.finish()
            async for part in stream.audio():
                spoken.append(part)
    except (ProviderError, TimeoutError) as exc:
        log.info("line.not_prepared", error=str(exc)[:200])
        return
    if spoken and own_voice():
        cache.put(voice, text, tuple(spoken))
