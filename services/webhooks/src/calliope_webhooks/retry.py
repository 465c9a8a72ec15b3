"""When a delivery is tried again, and when it is given up. Pure: the jitter follows from delivery and attempt."""

import hashlib
from dataclasses import dataclass
from typing import Final

from calliope_webhooks.model import BLOCKED, EXHAUSTED, GONE, INVALID_URL, REMOVED, TIMEOUT, Answer

DEFAULT_STEPS_S: Final = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Now, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h: ten attempts in 75.6 h (Standard Webhooks)."""

_FINAL: Final = frozenset({BLOCKED, GONE, REMOVED, INVALID_URL})
"""Answers that the same request always gets; somebody has to change the assistant, and can replay then.

`no_signing_secret` is none of them: a key that is added to the service opens it.
"""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver took it."""


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after `delay_s`."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Dead:
    """No further attempt until somebody replays it. `gone` means that the whole endpoint is."""

    reason: str
    gone: bool = False


Verdict = Delivered | Again | Dead


@dataclass(frozen=True, slots=True)
class Schedule:
    """`steps_s[n]` is the wait before attempt n + 1; `slow_s` the least wait after a 429 or a timeout."""

    steps_s: tuple[float, ...] = DEFAULT_STEPS_S
    jitter: float = 0.2
    slow_s: float = 60.0

    @property
    def span_s(self) -> float:
        """The longest that all steps can take by themselves."""
        return sum(max(step, self.slow_s) for step in self.steps_s) * (1 + self.jitter)

    def judge(self, answer: Answer, *, tries: int, delivery_id: str, attempt: int) -> Verdict:
        """What follows from the answer to the `tries`-th attempt of this life; `attempt` counts over all lives."""
        if answer.ok:
            return Delivered()
        if answer.error in _FINAL:
            return Dead(answer.error)
        if answer.status == 410:
            return Dead(GONE, gone=True)
        if tries >= len(self.steps_s):
            return Dead(EXHAUSTED)
        return Again(self._delay_s(answer, self.steps_s[tries], f"{delivery_id}:{attempt}"))

    def _delay_s(self, answer: Answer, step_s: float, seed: str) -> float:
        slowed = answer.status == 429 or answer.error == TIMEOUT
        least = max(step_s, self.slow_s) if slowed else step_s
        delay = step_s * (1 + self.jitter * _between_minus_and_plus_one(seed))
        if answer.retry_after_s is not None:
            return max(delay, min(answer.retry_after_s, 2 * least))
        return max(delay, self.slow_s) if slowed else delay


def _between_minus_and_plus_one(seed: str) -> float:
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8]) / 2**63 - 1
