"""Whose turn it is: fair rotation over endpoints that have work, within the limits of each. Pure, no clock.

An endpoint at its own limit, or at its organization's, steps aside until something of it is finished; it costs the
others nothing. Memory grows with the number of endpoints that have work, never with the number of deliveries.
"""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How many attempts may be on their way at a time."""

    per_endpoint: int = 4
    per_organization: int = 32
    overall: int = 128


class Turnstile:
    """Permits for attempts. `Who` is (endpoint id, organization id)."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: dict[str, str] = {}  # endpoint -> organization, in order of turn
        self._aside: dict[str, str] = {}  # endpoints at their own limit
        self._aside_by_organization: dict[str, dict[str, None]] = {}
        self._of_endpoint: Counter[str] = Counter()
        self._of_organization: Counter[str] = Counter()
        self._busy = 0

    @property
    def busy(self) -> int:
        """Permits that are out."""
        return self._busy

    def busy_of(self, endpoint: str) -> int:
        """Permits that one endpoint holds."""
        return self._of_endpoint[endpoint]

    def wake(self, endpoint: str, organization: str) -> None:
        """This endpoint may have work; it gets a turn after those already waiting."""
        if endpoint not in self._waiting and not self._is_aside(endpoint, organization):
            self._waiting[endpoint] = organization

    def next(self) -> tuple[str, str] | None:
        """The next endpoint that may start one attempt, with its permit taken; None when nobody may."""
        while self._waiting and self._busy < self._limits.overall:
            endpoint = next(iter(self._waiting))
            organization = self._waiting.pop(endpoint)
            if self._of_endpoint[endpoint] >= self._limits.per_endpoint:
                self._aside[endpoint] = organization
            elif self._of_organization[organization] >= self._limits.per_organization:
                self._aside_by_organization.setdefault(organization, {})[endpoint] = None
            else:
                self._take(endpoint, organization)
                return endpoint, organization
        return None

    def try_acquire(self, endpoint: str, organization: str) -> bool:
        """Take a permit at once, only if that overtakes nobody of the same endpoint and no limit is reached."""
        free = (
            endpoint not in self._waiting
            and not self._is_aside(endpoint, organization)
            and self._busy < self._limits.overall
            and self._of_endpoint[endpoint] < self._limits.per_endpoint
            and self._of_organization[organization] < self._limits.per_organization
        )
        if free:
            self._take(endpoint, organization)
        return free

    def release(self, endpoint: str, organization: str) -> None:
        """An attempt is over; whoever stood aside because of it may come back."""
        for counter, key in ((self._of_endpoint, endpoint), (self._of_organization, organization)):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]
        self._busy -= 1
        if self._aside.pop(endpoint, None) is not None:
            self._waiting[endpoint] = organization
        if aside := self._aside_by_organization.get(organization):
            longest_aside = next(iter(aside))
            del aside[longest_aside]
            self._waiting[longest_aside] = organization
            if not aside:
                del self._aside_by_organization[organization]

    def _take(self, endpoint: str, organization: str) -> None:
        self._of_endpoint[endpoint] += 1
        self._of_organization[organization] += 1
        self._busy += 1

    def _is_aside(self, endpoint: str, organization: str) -> bool:
        return endpoint in self._aside or endpoint in self._aside_by_organization.get(organization, ())
