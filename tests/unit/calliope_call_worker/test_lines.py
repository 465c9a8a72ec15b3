"""Lines spoken in advance are kept for all calls, so only in the voice that they are kept for."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext

import pytest

from calliope_call_worker.lines import LineCache, VoiceKey, prepare
from calliope_call_worker.providers.tts.base import SpeechStream, SpokenAudio

VOICE = VoiceKey("org_1", "account", "elevenlabs", "rachel", "")


class Speech:
    """Speaks whatever it is given."""

    async def say(self, text: str) -> None:
        self.text = text

    async def finish(self) -> None:
        return

    async def audio(self) -> AsyncIterator[SpokenAudio]:
        yield SpokenAudio(self.text.encode())


class Session:
    """A voice that never fails."""

    def speak(self) -> AbstractAsyncContextManager[SpeechStream]:
        return nullcontext(Speech())


@pytest.mark.parametrize("own", [True, False], ids=["own voice", "another voice"])
async def test_a_line_that_another_voice_stood_in_for_is_not_kept(own: bool) -> None:
    cache = LineCache()

    await prepare(cache, VOICE, Session(), "Hello.", own_voice=lambda: own)

    kept = cache.get(VOICE, "Hello.")
    assert kept == ((SpokenAudio(b"Hello. "),) if own else None)
