"""Whether what the caller said since the assistant became audible may cut it short, and from when on."""

from collections.abc import Sequence
from typing import Literal

from calliope_call_worker.pipeline.hearing import keys
from calliope_call_worker.pipeline.spoken_phrases import SpokenPhrases, Verdict

Utterance = Literal["backchannel", "answer_due"]


class BargeIn:
    """Judges the words of the caller's current utterance that began after the assistant became audible.

    They interrupt when they are enough, or begin with a phrase that stops; never when they only show attention.
    """

    def __init__(
        self, *, threshold_words: int, min_speaking_s: float, cooldown_s: float, phrases: SpokenPhrases
    ) -> None:
        self._phrases = phrases
        self._threshold = max(1, threshold_words)
        self._min_speaking_s = min_speaking_s
        self._cooldown_s = cooldown_s
        self._audible_at: float | None = None
        self._last_cut: float | None = None
        self._finals_spoken: list[str] = []
        self._interim_spoken: list[str] = []
        self._verdict: Verdict | None = None
        self._forget_utterance()
        self._demanded = False

    @property
    def threshold(self) -> int:
        """Words that interrupt; 0 in the document means the same as 1: a noise without a word never does."""
        return self._threshold

    @property
    def due(self) -> float | None:
        """When to interrupt, the words standing as they do; None when they are too few."""
        if self._audible_at is None or not (self._demanded or self._enough):
            return None
        may_cut = self._audible_at + self._min_speaking_s
        if self._last_cut is None or self._verdict == "interrupt":
            return may_cut
        return max(may_cut, self._last_cut + self._cooldown_s)

    @property
    def by_phrase(self) -> bool:
        """Whether a phrase that stops was heard, so that the number of words does not matter."""
        return self._verdict == "interrupt"

    def shows_attention(self, words: str) -> bool:
        """Whether these words ask for nothing, said while the assistant spoke."""
        return self._phrases.judge(keys(words)) == "ignore"

    def audible(self, now: float, words_standing: int, words_unconfirmed: int) -> None:
        """The assistant begins to be heard; words standing by then do not count against it."""
        self._audible_at = now
        self._demanded = False
        self._forget_utterance()
        self._began_before = words_standing > 0
        self._known_before = words_unconfirmed

    def quiet(self) -> None:
        """The assistant is not heard any more."""
        self._audible_at = None
        self._demanded = False
        self._forget_utterance()

    def cut(self, now: float) -> None:
        """The assistant was interrupted."""
        self._last_cut = now
        self.quiet()

    def demand(self) -> None:
        """The caller insists without words (keys pressed)."""
        self._demanded = True

    def heard_interim(self, words: int, began: Sequence[float] | None, spoken: Sequence[str]) -> None:
        """The interim standing now has this many words; `began`: when each was begun, if the recogniser tells.

        `spoken` are the same words as they are compared, see `hearing.keys`.
        """
        self._in_interim = self._fresh(words, began)
        self._interim_spoken = _last(spoken, self._in_interim, words)
        self._judge()

    def heard_final(
        self, words: int, began: Sequence[float] | None, words_left_standing: int, spoken: Sequence[str]
    ) -> None:
        """These words were added for good; of the interim they were part of, some may be left standing."""
        fresh, standing = self._fresh(words, began), self._in_interim
        self._in_finals += fresh
        self._finals_spoken += _last(spoken, fresh, words)
        self._known_before = max(0, self._known_before - words)
        self._in_interim = min(standing, max(0, words_left_standing - self._known_before))
        self._interim_spoken = _last(self._interim_spoken, self._in_interim, standing)
        self._judge()

    def utterance_over(self) -> Utterance:
        """The caller paused: what were these words? Those enough to interrupt stand until they do."""
        enough = self._enough
        verdict: Utterance = "answer_due" if enough or self._began_before else "backchannel"
        self._demanded = self._demanded or enough
        self._forget_utterance()
        return verdict

    @property
    def _enough(self) -> bool:
        if self._verdict is not None:
            return self._verdict == "interrupt"
        return self._in_finals + self._in_interim >= self._threshold

    def _judge(self) -> None:
        self._verdict = self._phrases.judge([*self._finals_spoken, *self._interim_spoken])

    def _fresh(self, words: int, began: Sequence[float] | None) -> int:
        if self._audible_at is None:
            return 0
        if began is None:
            return max(0, words - self._known_before)
        fresh = sum(at >= self._audible_at for at in began)
        self._began_before = self._began_before or fresh < len(began)
        return fresh

    def _forget_utterance(self) -> None:
        self._in_finals = 0
        self._in_interim = 0
        self._finals_spoken = []
        self._interim_spoken = []
        self._verdict = None
        self._known_before = 0
        self._began_before = False


def _last(spoken: Sequence[str], fresh: int, words: int) -> list[str]:
    """The part of what was spoken that the last `fresh` of so many words are; scripts differ in keys a word."""
    return list(spoken[len(spoken) - round(len(spoken) * fresh / words) :]) if words else []
