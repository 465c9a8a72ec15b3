"""What a caller hears of a voice: a carrier that plays as time goes, and speech of which each word is known."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from calliope_call_worker.providers.telephony.base import MediaMark
from calliope_call_worker.providers.tts.base import SpokenAudio, TextSpan
from support.voices import TwinTts
from support.whole_call import TwinMedia

CHAR_BYTES: Final = 8 * 60
"""60 ms of audio a character."""
BACK_S: Final = 0.03
"""Until news of what was played are here."""


class Vocabulary:
    """Words, each with a sound of its own: one byte of audio, again and again."""

    def __init__(self, text: str) -> None:
        self.words = text.split()
        assert len(set(self.words)) == len(self.words) < 250, "a word must be known by its sound"
        self._sounds = {word: bytes([number]) for number, word in enumerate(self.words, start=1)}

    def sound(self, word: str) -> bytes:
        """A word and the blank behind it. One that is not ours is a sound all the same."""
        return self._sounds.get(word, b"\x00") * CHAR_BYTES * (len(word) + 1)

    def heard(self, played: Iterable[bytes]) -> list[str]:
        """The words that were played to their end, in order, over all these streams."""
        found = []
        for audio in played:
            at = 0
            while at < len(audio):
                end = at
                while end < len(audio) and audio[end] == audio[at]:
                    end += 1
                if audio[at] and end - at >= len(self.sound(word := self.words[audio[at] - 1])) - CHAR_BYTES:
                    found.append(word)
                at = end
        return found


class WordVoice(TwinTts):
    """See `TextToSpeech`. As fast as it is asked, or a word each `word_s`."""

    def __init__(self, vocabulary: Vocabulary, *, times_text: bool = True, word_s: float = 0.0) -> None:
        super().__init__("words", times_text=times_text)
        self._vocabulary = vocabulary
        self._word_s = word_s

    @asynccontextmanager
    async def _speak(self) -> AsyncIterator["_WordSpeech"]:
        yield _WordSpeech(self._vocabulary, self.times_text, self._word_s, self.said)


class _WordSpeech:
    """See `SpeechStream`."""

    def __init__(self, vocabulary: Vocabulary, times_text: bool, word_s: float, said: list[str]) -> None:
        self._vocabulary = vocabulary
        self._times_text = times_text
        self._word_s = word_s
        self._said = said
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()

    async def say(self, text: str) -> None:
        """See `SpeechStream`."""
        self._said.append(text)
        self._pieces.put_nowait(text)

    async def finish(self) -> None:
        """See `SpeechStream`."""
        self._pieces.put_nowait(None)

    async def audio(self) -> AsyncIterator[SpokenAudio]:
        """See `SpeechStream`."""
        at_ms = 0.0
        while (piece := await self._pieces.get()) is not None:
            for word in piece.split():
                if self._word_s:
                    await asyncio.sleep(self._word_s)
                audio = self._vocabulary.sound(word)
                end_ms = at_ms + len(audio) / 8
                yield SpokenAudio(audio, (TextSpan(word + " ", at_ms, end_ms),) if self._times_text else ())
                at_ms = end_ms


class PlayedMedia(TwinMedia):
    """See `MediaSocket`. What it is sent is played as a carrier plays it; marks come back when they were passed."""

    def __init__(self) -> None:
        super().__init__(plays_at_once=False)
        self._loop = asyncio.get_running_loop()
        self._sent: list[tuple[float, bytes]] = []
        self._ends_at = 0.0

    def send_audio(self, payload: bytes) -> None:
        """See `MediaSocket`."""
        begins_at = max(self._loop.time(), self._ends_at)
        self._sent.append((begins_at, payload))
        self._ends_at = begins_at + len(payload) / 8_000

    def send_mark(self, name: str) -> None:
        """See `MediaSocket`."""
        passed_at = max(self._loop.time(), self._ends_at)
        self._loop.call_at(passed_at + BACK_S, self._in.put_nowait, MediaMark(name))

    def clear(self) -> None:
        """See `MediaSocket`."""
        self._sent = [(0.0, self.played(self._loop.time()))]
        self._ends_at = 0.0

    def played(self, until: float) -> bytes:
        """What was heard on this stream by then."""
        return b"".join(audio[: max(0, round((until - begins_at) * 8_000))] for begins_at, audio in self._sent)


def doubled(words: Iterable[str]) -> int:
    """How many words came again."""
    return sum(count - 1 for count in Counter(words).values())
