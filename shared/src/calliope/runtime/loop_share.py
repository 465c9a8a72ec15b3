"""A budget of the event loop's time, for work that strangers can cause. Pure."""


class LoopShare:
    """At most `share` of the loop's time in the long run, and `burst_s` of it at once."""

    def __init__(self, share: float, burst_s: float) -> None:
        self._share = share
        self._burst_s = burst_s
        self._left_s = burst_s
        self._at: float | None = None

    def is_left(self, now: float) -> bool:
        """Whether more may be begun. What a piece of work costs is known only afterwards, so the last may exceed it."""
        if self._at is not None:
            self._left_s = min(self._burst_s, self._left_s + (now - self._at) * self._share)
        self._at = now
        return self._left_s > 0

    def wait_s(self, enough_s: float) -> float:
        """How long from the last look until so much is left, if nothing is spent meanwhile."""
        return max(0.0, enough_s - self._left_s) / self._share

    def spend(self, cost_s: float) -> None:
        """So much was used."""
        self._left_s -= cost_s
