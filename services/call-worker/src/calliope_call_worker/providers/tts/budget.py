"""How much of something a vendor still takes within a moving window of time. Pure; `now` in seconds."""

from collections import deque


class Budget:
    """At most `most` within any `window_s`."""

    def __init__(self, most: int, window_s: float) -> None:
        self._most = most
        self._window_s = window_s
        self._spent: deque[tuple[float, int]] = deque()  # when it is given back, how much

    def left(self, now: float) -> int:
        """How much may be spent now."""
        while self._spent and self._spent[0][0] <= now:
            self._spent.popleft()
        return self._most - sum(amount for _, amount in self._spent)

    def spend(self, amount: int, now: float) -> None:
        """So much is gone."""
        self._spent.append((now + self._window_s, amount))

    def free_at(self, amount: int, now: float) -> float:
        """When so much may be spent: now, or when enough was given back. More than all waits for all."""
        lacking = min(amount, self._most) - self.left(now)
        for back_at, spent in self._spent:
            if lacking <= 0:
                break
            lacking -= spent
            now = back_at
        return now
