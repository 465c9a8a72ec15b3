"""How far a reply has been spoken: what to give to a voice, how long to wait, where the next one goes on. Pure.

`now` in seconds; audio in ms since the start of the reply, over all voices that spoke it.
"""

from typing import Final

from calliope_call_worker.pipeline.letters import has_speech
from calliope_call_worker.providers.tts.base import SpokenAudio, TextSpan

BYTES_PER_MS: Final = 8
CHAR_MS: Final = 65.0  # a usual pace, for audio whose text is not known
SEAM_MS: Final = 120.0  # between two voices: without it their words run together
UNTIMED_MS: Final = 700.0  # so much audio behind the last known word is words, less may be a pause
_SILENCE: Final = b"\xff"  # mu-law


class Progress:
    """The text of one reply, and one attempt after the other to speak it."""

    def __init__(self, *, first_audio_s: float, stall_s: float) -> None:
        self._first_audio_s = first_audio_s
        self._stall_s = stall_s
        self._text = ""
        self._finished = False
        self._finish_taken = False
        self._taken = 0  # characters given to this attempt's voice, or to one before
        self._taken_at = 0.0
        self._timed = 0  # characters in spans
        self._timed_end_ms = 0.0
        self._audio_ms = 0.0
        self._offset_ms = 0.0  # where this attempt's audio begins
        self._waited_for = False  # text was given and no audio came since
        self._skipped: tuple[TextSpan, ...] = ()

    @property
    def begun(self) -> bool:
        """Whether this attempt brought audio."""
        return self._audio_ms > self._offset_ms

    @property
    def speakable(self) -> bool:
        """Whether a voice can make sound of what was not given yet."""
        return has_speech(self._text, self._taken)

    @property
    def over(self) -> bool:
        """Whether the text is complete and nothing of what is left can be heard."""
        return self._finished and not self.speakable

    def say(self, text: str) -> None:
        """More text."""
        self._text += text

    def finish(self) -> None:
        """No more text."""
        self._finished = True

    def take_text(self, now: float) -> str:
        """What the voice was not given yet."""
        text = self._text[self._taken :]
        if text:
            self._taken = len(self._text)
            self._taken_at = now
            self._waited_for = self._waited_for or has_speech(text)
        return text

    def take_finish(self) -> bool:
        """Whether the voice is to be told, now, that the text is complete."""
        due = self._finished and not self._finish_taken
        self._finish_taken = self._finish_taken or due
        return due

    def heard(self, spoken: SpokenAudio) -> SpokenAudio:
        """Audio of this attempt, with its times on the clock of the reply."""
        offset_ms = self._offset_ms
        self._audio_ms += len(spoken.audio) / BYTES_PER_MS
        if spoken.audio:
            self._waited_for = False
        spans = spoken.spans
        if offset_ms and spans:
            spans = tuple([TextSpan(s.text, s.start_ms + offset_ms, s.end_ms + offset_ms) for s in spans])
        if self._skipped:
            spans, self._skipped = (*self._skipped, *spans), ()
        for span in spoken.spans:
            self._timed += len(span.text)
        if spans:
            self._timed_end_ms = spans[-1].end_ms
        return spoken if spans is spoken.spans else SpokenAudio(spoken.audio, spans)

    def deadline(self, now: float, *, timed: bool) -> float | None:
        """Until when the next audio has to come, waiting from now; None while nothing is owed."""
        if not self.begun:
            return self._taken_at + self._first_audio_s if self._waited_for else None
        owed = self._waited_for or (timed and has_speech(self._text, self._timed, self._taken))
        return now + self._stall_s if owed or self._finish_taken else None

    def resume(self, *, timed: bool, first_audio_s: float, stall_s: float) -> SpokenAudio | None:
        """The next attempt begins, after a voice that was `timed` or not: it gets what was not spoken yet, and so long.

        What is to be played before it: a pause, when there was audio.
        """
        untimed_ms = self._audio_ms - max(self._timed_end_ms, 0.0)
        at = self._timed
        if untimed_ms > (UNTIMED_MS if timed else 0.0):
            at = self._word_start(self._timed + int(untimed_ms / CHAR_MS))
            if at > self._timed:
                self._skipped = (TextSpan(self._text[self._timed : at], self._timed_end_ms, self._audio_ms),)
        self._taken = self._timed = at
        self._finish_taken = self._waited_for = False
        pause = SpokenAudio(_SILENCE * int(SEAM_MS * BYTES_PER_MS)) if self.begun else None
        self._audio_ms += SEAM_MS if pause is not None else 0.0
        self._offset_ms = self._timed_end_ms = self._audio_ms
        self._first_audio_s, self._stall_s = first_audio_s, stall_s
        return pause

    def rest(self) -> tuple[TextSpan, ...]:
        """Spans that were never handed out with audio."""
        skipped, self._skipped = self._skipped, ()
        return skipped

    def _word_start(self, at: int) -> int:
        """The beginning of the word that character `at` is in; of what was never given nothing is skipped."""
        if at >= self._taken:
            return self._taken
        while at > self._timed and not self._text[at - 1].isspace():
            at -= 1
        return at
