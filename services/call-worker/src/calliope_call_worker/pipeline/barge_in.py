"""Whether what the caller said since the assistant became audible may cut it short, and from when on."""

from collections.abc import Sequence
from typing import Literal

Utterance = Literal["backchannel", "answer_due"]


class BargeIn:
    """Counts the words of the caller's current utterance that began after the assistant became audible."""

    def __init__(self, *, threshold_words: int, min_speaking_s: float, cooldown_s: float) -> None:
        self._threshold = max(1, threshold_words)
        self._min_speaking_s = min_speaking_s
        self._cooldown_s = cooldown_s
        self._audible_at: float | None = None
        self._last_cut: float | None = None
        self._forget_utterance()
        self._demanded = False

    @property
    def threshold(self) -> int:
        """Words that interrupt; 0 in the document means the same as 1: a noise without a word never does."""
        return self._threshold

    @property
    def due(self) -> float | None:
        """When to interrupt, the words standing as they do; None when they are too few."""
        if self._audible_at is None or not (self._demanded or self._words >= self._threshold):
            return None
        may_cut = self._audible_at + self._min_speaking_s
        return may_cut if self._last_cut is None else max(may_cut, self._last_cut + self._cooldown_s)

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

    def heard_interim(self, words: int, began: Sequence[float] | None) -> None:
        """The interim standing now has this many words; `began`: when each was begun, if the recogniser tells."""
        self._in_interim = self._fresh(words, began)

    def heard_final(self, words: int, began: Sequence[float] | None, words_left_standing: int) -> None:
        """These words were added for good; of the interim they were part of, some may be left standing."""
        self._in_finals += self._fresh(words, began)
        self._known_before = max(0, self._known_before - words)
        self._in_interim = min(self._in_interim, max(0, words_left_standing - self._known_before))

    def utterance_over(self) -> Utterance:
        """The caller paused: what were these words? Those enough to interrupt stand until they do."""
        enough = self._words >= self._threshold
        verdict: Utterance = "answer_due" if enough or self._began_before else "backchannel"
        self._demanded = self._demanded or enough
        self._forget_utterance()
        return verdict

    @property
    def _words(self) -> int:
        return self._in_finals + self._in_interim

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
        self._known_before = 0
        self._began_before = False
