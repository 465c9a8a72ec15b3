"""One audio clock over several connections: what to replay after a drop, what of the answers is known already. Pure.

A connection counts its times from its own first byte; a call counts from the first byte of the call.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from calliope_call_worker.pipeline.voice_activity import BYTES_PER_MS, is_voiced
from calliope_call_worker.providers.stt.base import (
    SpeechStarted,
    SttEvent,
    Transcript,
    TurnResumed,
    UtteranceEnded,
    Word,
)

LONG_GAP_S: Final = 3.0  # reopening took so long that hearing everything again would put the recogniser far behind
QUIET_MARGIN_MS: Final = 300.0
_BLOCK_BYTES: Final = 160


class Continuity:
    """Feed what is sent and what comes back; ask what to send after a drop."""

    def __init__(self, *, replay_ms: float, late_replay_ms: float) -> None:
        self._replay_bytes = int(replay_ms * BYTES_PER_MS)
        self._late_bytes = int(late_replay_ms * BYTES_PER_MS)
        self._kept = bytearray()
        self._kept_from = 0  # byte of the call that `_kept` begins with
        self._passed = 0  # byte of the call up to which this connection got everything
        self._offset_ms = 0.0
        self._final_ms = 0.0
        self._final_word_ms = 0.0
        self._replayed_from_ms: float | None = None
        self._standing: Transcript | None = None

    @property
    def sent_ms(self) -> float:
        """All audio of the call so far."""
        return (self._kept_from + len(self._kept)) / BYTES_PER_MS

    @property
    def final_ms(self) -> float:
        """Up to here the words are certain."""
        return self._final_ms

    def add(self, audio: bytes) -> None:
        """Audio of the call; kept until its words are certain, at most `replay_ms` of it."""
        kept = self._kept
        kept += audio
        if len(kept) > self._replay_bytes + 16_000:  # cut seldom, much at once
            self._forget(len(kept) - self._replay_bytes)

    def passed_on(self) -> None:
        """Everything added so far reached this connection."""
        self._passed = self._kept_from + len(self._kept)

    def next_unsent(self, max_bytes: int) -> bytes:
        """The next audio that this connection did not get; empty when there is none."""
        start = max(0, self._passed - self._kept_from)
        piece = bytes(self._kept[start : start + max_bytes])
        self._passed = self._kept_from + start + len(piece)
        return piece

    def reconnected(self, gap_s: float) -> float:
        """A new connection is there: it gets the audio since the last final, without the silence before.

        Returns how many ms of audio will be replayed.
        """
        self._forget(int(self._final_ms * BYTES_PER_MS) - self._kept_from)
        most = self._late_bytes if gap_s > LONG_GAP_S else self._replay_bytes
        self._forget(max(len(self._kept) - most, self._quiet_bytes()))
        self._passed = self._kept_from
        self._offset_ms = self._replayed_from_ms = self._kept_from / BYTES_PER_MS
        return len(self._kept) / BYTES_PER_MS

    def out_of_reach(self) -> Transcript | None:
        """Right after `reconnected`: words that stood before what is replayed. Nobody hears them again: they are final.

        It matters where nothing is final for as long as a turn lasts, and after a long gap.
        """
        standing, self._standing = self._standing, None
        from_ms = self._kept_from / BYTES_PER_MS
        if standing is None or standing.start_ms >= from_ms:
            return None
        words = tuple([word for word in standing.words if word.start_ms < from_ms])
        if standing.words:
            if not words:
                return None
            standing = replace(standing, text=" ".join(word.text for word in words), words=words, end_ms=from_ms)
            self._final_word_ms = max(self._final_word_ms, words[-1].end_ms)
        self._final_ms = max(self._final_ms, from_ms)
        return replace(standing, is_final=True, speech_final=False, eager=False)

    def continued(self, event: SttEvent) -> SttEvent | None:
        """The event on the call's clock, without words that were final before; None when nothing is left of it."""
        match event:
            case Transcript():
                return self._transcript(event)
            case TurnResumed():
                return event
            case SpeechStarted():
                return event if not self._offset_ms else SpeechStarted(event.at_ms + self._offset_ms)
            case UtteranceEnded():
                if event.last_word_end_ms < 0 or not self._offset_ms:
                    return event
                return UtteranceEnded(event.last_word_end_ms + self._offset_ms)

    def _transcript(self, heard: Transcript) -> Transcript:
        if self._offset_ms:
            heard = _shifted(heard, self._offset_ms)
        if self._replayed_from_ms is not None:
            known_ms = self._final_word_ms
            heard = _without(heard, lambda word: (word.start_ms + word.end_ms) / 2 < known_ms)
        if heard.is_final:
            self._final_ms = max(self._final_ms, min(heard.end_ms, self.sent_ms))
            if heard.words:
                self._final_word_ms = max(self._final_word_ms, heard.words[-1].end_ms)
                self._replayed_from_ms = None  # from here on the connection says only new things
            self._forget(int(self._final_ms * BYTES_PER_MS) - self._kept_from)
        if heard.is_final or heard.text:
            self._standing = None if heard.is_final else heard
        return heard

    def _forget(self, count: int) -> None:
        if count > 0:
            count = min(count, len(self._kept))
            del self._kept[:count]
            self._kept_from += count

    def _quiet_bytes(self) -> int:
        """Silence at the beginning of what is kept, less a margin."""
        kept, at = bytes(self._kept), 0
        while at < len(kept) and not is_voiced(kept[at : at + _BLOCK_BYTES]):
            at += _BLOCK_BYTES
        return min(at, len(kept)) - int(QUIET_MARGIN_MS * BYTES_PER_MS)


class VoiceWatch:
    """Notices a recogniser that takes speech and says nothing. Pure; times in seconds.

    While somebody speaks it may take `silent_after_s`; once they pause the caller waits, and it has `pause_s`.
    """

    LEAST_VOICE_BYTES: Final = 300 * BYTES_PER_MS  # a cough is not worth a new connection
    MOST_PATIENCE: Final = 8.0

    def __init__(self, silent_after_s: float, *, pause_s: float) -> None:
        self._silent_after_s = silent_after_s
        self._pause_s = pause_s
        self._patience = 1.0
        self._voice_bytes = 0
        self._since = 0.0
        self._last_voice = 0.0
        self._unfinished = False

    def heard(self, now: float, *, unfinished: bool = False) -> None:
        """The recogniser said something, whatever it was; `unfinished`: it owes the end of it."""
        self._voice_bytes = 0
        self._patience = 1.0
        self._unfinished = unfinished
        self._last_voice = now

    def sent(self, audio: bytes, now: float) -> bool:
        """Audio went in. True: it has been silent for too long about speech, or about a pause behind speech.

        There may be no speech in that noise, so each time more patience is shown, until something is heard.
        """
        if is_voiced(audio):
            if not self._voice_bytes:
                self._since = now
            self._voice_bytes += len(audio)
            self._last_voice = now
        if not self._overdue(now):
            return False
        self._patience = min(self.MOST_PATIENCE, self._patience * 2)
        self._voice_bytes, self._unfinished = 0, False
        return True

    def _overdue(self, now: float) -> bool:
        spoken = self._voice_bytes >= self.LEAST_VOICE_BYTES
        paused = now - self._last_voice > self._pause_s * self._patience
        return (spoken and (paused or now - self._since > self._silent_after_s * self._patience)) or (
            self._unfinished and paused
        )

    def reopened(self) -> None:
        """A new connection heard nothing yet."""
        self._voice_bytes, self._unfinished = 0, False


def _shifted(heard: Transcript, by_ms: float) -> Transcript:
    return replace(
        heard,
        start_ms=heard.start_ms + by_ms,
        end_ms=heard.end_ms + by_ms,
        words=tuple([Word(word.text, word.start_ms + by_ms, word.end_ms + by_ms) for word in heard.words]),
    )


def _without(heard: Transcript, known: Callable[[Word], bool]) -> Transcript:
    new = tuple([word for word in heard.words if not known(word)])
    if len(new) == len(heard.words):
        return heard
    return replace(heard, text=" ".join(word.text for word in new), words=new)
