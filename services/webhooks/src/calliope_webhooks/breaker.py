"""A circuit breaker per endpoint: a receiver that is plainly down is asked rarely, and then once. Pure."""

from dataclasses import dataclass, replace

from calliope_webhooks.model import Answer


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When it opens and for how long. Numbers after Convoy's."""

    hard_failures: int = 5
    """Timeouts and connection errors in a row."""
    window_s: float = 300.0
    least_answers: int = 10
    failed_share: float = 0.7
    pause_s: float = 30.0
    longest_pause_s: float = 900.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """State of one endpoint's breaker; a fresh one is closed. `now_s` is any clock that only goes forward."""

    hard_in_a_row: int = 0
    window_from_s: float = 0.0
    answers: int = 0
    failed: int = 0
    times_opened: int = 0
    open_until_s: float = 0.0

    def is_open(self, now_s: float) -> bool:
        """Whether nothing may be sent now."""
        return self.times_opened > 0 and now_s < self.open_until_s

    @property
    def is_probing(self) -> bool:
        """After a pause and until an answer is good: one request at a time."""
        return self.times_opened > 0

    def after(self, answer: Answer, now_s: float, rules: BreakerRules) -> "Breaker":
        """The breaker after one more answer."""
        if answer.ok:
            return Breaker() if self.times_opened else self._counted(answer, now_s, rules)
        if self.is_open(now_s):
            return self  # a request that was already on its way says nothing new
        if self.times_opened:
            return self._opened(now_s, rules)
        counted = self._counted(answer, now_s, rules)
        share = counted.failed / counted.answers
        too_many = counted.answers >= rules.least_answers and share >= rules.failed_share
        if counted.hard_in_a_row >= rules.hard_failures or too_many:
            return counted._opened(now_s, rules)
        return counted

    def _counted(self, answer: Answer, now_s: float, rules: BreakerRules) -> "Breaker":
        fresh = self.answers == 0 or now_s - self.window_from_s > rules.window_s
        return replace(
            self,
            hard_in_a_row=self.hard_in_a_row + 1 if answer.status is None else 0,
            window_from_s=now_s if fresh else self.window_from_s,
            answers=1 if fresh else self.answers + 1,
            failed=(0 if fresh else self.failed) + (0 if answer.ok else 1),
        )

    def _opened(self, now_s: float, rules: BreakerRules) -> "Breaker":
        pause_s = min(rules.pause_s * 2.0 ** min(self.times_opened, 20), rules.longest_pause_s)
        return Breaker(times_opened=self.times_opened + 1, open_until_s=now_s + pause_s)
