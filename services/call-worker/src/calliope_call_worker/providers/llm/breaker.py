"""Remembers which models fail, for all calls of the worker, so that a dead one costs each call nothing. Pure.

Closed: asked as usual. Open after some failures in a row: skipped until it has cooled down; then one call at a time
probes it, and one success closes it again.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

MAX_BREAKERS: Final = 10_000
MAX_COOL_DOWN_S: Final = 120.0


@dataclass(slots=True)
class Breaker:
    """One provider, model and key. `now` in seconds of any steady clock."""

    failures_to_open: int
    cool_down_s: float
    _failures: int = 0
    _opens: int = 0
    _open_until: float | None = None
    _probe_until: float | None = None

    @property
    def closed(self) -> bool:
        """Whether it is asked as usual."""
        return self._open_until is None

    def allows_now(self, now: float) -> bool:
        """As `allows`, for one who only wants to know."""
        if self._open_until is None:
            return True
        return now >= self._open_until and (self._probe_until is None or now >= self._probe_until)

    def allows(self, now: float) -> bool:
        """Whether to ask it now. When it has cooled down the first who asks may, and must tell how it went."""
        if self._open_until is None:
            return True
        if not self.allows_now(now):
            return False
        self._probe_until = now + self.cool_down_s  # a probe that never tells does not block for ever
        return True

    def succeeded(self) -> None:
        """It gave useful output."""
        self._failures = self._opens = 0
        self._open_until = self._probe_until = None

    def failed(self, now: float, *, retry_after_s: float | None = None) -> None:
        """It did not; `retry_after_s` is the vendor's own wish."""
        self._failures += 1
        self._probe_until = None
        if self._open_until is None and self._failures < self.failures_to_open:
            return
        cool_down_s = min(MAX_COOL_DOWN_S, self.cool_down_s * 2 ** min(self._opens, 8))
        self._opens += 1
        self._open_until = now + max(cool_down_s, min(retry_after_s or 0.0, MAX_COOL_DOWN_S))

    def undecided(self) -> None:
        """It was cut short before it could show anything."""
        self._probe_until = None


class Breakers:
    """The breakers of a worker. Keys are kept as digests."""

    def __init__(self, *, failures_to_open: int, cool_down_s: float) -> None:
        self._failures_to_open = failures_to_open
        self._cool_down_s = cool_down_s
        self._breakers: dict[tuple[str, str, str], Breaker] = {}

    def get(self, provider: str, model: str, api_key: str, url: str) -> Breaker:
        """The breaker of this model with this key at this address."""
        digest = hashlib.sha256(f"{api_key}\0{url}".encode()).hexdigest()
        key = (provider, model, digest)
        breaker = self._breakers.get(key)
        if breaker is None:
            while len(self._breakers) >= MAX_BREAKERS:
                del self._breakers[next(iter(self._breakers))]
            breaker = self._breakers[key] = Breaker(self._failures_to_open, self._cool_down_s)
        return breaker
