"""Sends what is due: at once what is fresh, later what was put off, fairly between endpoints, each within its limits.

The rows are the truth; this keeps only which endpoints may have work. An attempt is one claim, one request, one record.
"""

import asyncio
import heapq
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from calliope.contracts.webhooks import DeliveryAttempt, DeliveryState
from calliope.errors import CalliopeError, TransientError
from calliope.ids import new_id
from calliope.observability import metrics, traces
from calliope_webhooks.breaker import Breaker, BreakerRules
from calliope_webhooks.delivery import Sender
from calliope_webhooks.endpoints import EndpointBook
from calliope_webhooks.model import EXPIRED, Answer, Endpoint, Row, moment
from calliope_webhooks.outcome import Settler
from calliope_webhooks.ports import Clock, Rows
from calliope_webhooks.turnstile import Limits, Turnstile

_log = structlog.get_logger("calliope.webhooks")

_SWEPT_AT_ONCE: Final = 1_000
_EXPIRED_AT_ONCE: Final = 100
_TIMERS_AT_MOST: Final = 20_000
"""Beyond it a short wait is left to the sweep."""
_BREAKERS_AT_MOST: Final = 20_000
_STORE_AWAY_S: Final = 1.0
_RECORD_WITHIN_S: Final = 900.0
"""An answer that cannot be recorded is kept so long: nobody can send the delivery again without the store either."""

_SECONDS: Final = metrics.histogram("calliope_delivery_attempt_seconds", "Attempts, by what came of them.", "outcome")


@dataclass(frozen=True, slots=True)
class Pace:
    """Numbers of the dispatcher."""

    limits: Limits
    lease_s: float
    sweep_s: float
    max_age_s: float
    """A delivery to an endpoint that stays down dies at this age, though the breaker spared it attempts."""


class Dispatcher:
    """One per process; several processes share the rows."""

    def __init__(
        self, rows: Rows, endpoints: EndpointBook, sender: Sender, settler: Settler, clock: Clock,
        pace: Pace, rules: BreakerRules,
    ) -> None:  # fmt: skip
        self._rows, self._endpoints, self._sender, self._settler = rows, endpoints, sender, settler
        self._clock, self._pace, self._rules = clock, pace, rules
        self._turnstile = Turnstile(pace.limits)
        self._breakers: dict[str, Breaker] = {}
        self._timers: list[tuple[float, str, str]] = []
        self._held: set[str] = set()  # have work, wait for the probe of their breaker
        self._unrecorded: Counter[str] = Counter()  # endpoints with answers that the store has not taken yet
        self._paused_until: dict[str, float] = {}  # have a timer for the end of their breaker's pause
        self._fresh: list[tuple[Row, Endpoint]] = []  # each holds a permit, so never longer than `limits.overall`
        self._work, self._timer_set = asyncio.Event(), asyncio.Event()
        self._open, self._stopped = False, False

    @property
    def busy(self) -> int:
        """Attempts on their way."""
        return self._turnstile.busy

    def wake(self, endpoint_id: str, organization_id: str) -> None:
        """This endpoint may have due rows."""
        self._turnstile.wake(endpoint_id, organization_id)
        self._work.set()

    def wake_at(self, endpoint_id: str, organization_id: str, delay_s: float) -> None:
        """The same, later."""
        if len(self._timers) < _TIMERS_AT_MOST:
            heapq.heappush(self._timers, (time.monotonic() + delay_s, endpoint_id, organization_id))
            self._timer_set.set()

    async def submit(self, row: Row, endpoint: Endpoint) -> bool:
        """Store a new delivery and start its first attempt, at once if its endpoint is idle; False if it is known.

        Raises: TransientError, when the store is away; nothing is started then.
        """
        if not self._may_start(row):
            added = await self._rows.add(row)
            self.wake(row.endpoint_id, row.organization_id)
            return added
        taken = self._leased(row)
        added = False
        try:
            added = await self._rows.add(taken)
        finally:
            if added:
                self._fresh.append((taken, endpoint))
            else:
                self._turnstile.release(row.endpoint_id, row.organization_id)
            self._work.set()
        return added

    async def run(self) -> None:
        """Work until `stop`, then finish what is on its way."""
        self._open = not self._stopped
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._work.clear()
                self._start_all(tasks)
                if not self._open:
                    break
                await self._work.wait()

    @property
    def helpers(self) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
        """Jobs beside `run`, by name; each works for ever, and none of them ends attempts that are on their way."""
        return {
            "webhooks.sweep": lambda: self._every(self._pace.sweep_s, self.sweep),
            "webhooks.timers": self._ring,
            "webhooks.announce": self._announce,
        }

    def stop(self) -> None:
        """Take nothing more; `run` returns when the attempts on their way are recorded."""
        self._open, self._stopped = False, True
        self._work.set()

    async def sweep(self) -> None:
        """Find what nobody was woken for: after a restart, a lost alarm, a lost lease."""
        now_ms = self._clock.now_ms()
        for endpoint_id, organization_id in await self._rows.due_endpoints(now_ms=now_ms, limit=_SWEPT_AT_ONCE):
            if self._is_shut(endpoint_id):
                await self._expire(endpoint_id)
            self.wake(endpoint_id, organization_id)

    async def _announce(self) -> None:
        """Tell the bus of deaths, as they come and again every sweep."""
        while True:
            try:
                await self._settler.announce(_SWEPT_AT_ONCE)
            except CalliopeError as exc:
                _log.warning("delivery.deaths_not_published", reason=str(exc), retry_in_s=self._pace.sweep_s)
                await asyncio.sleep(self._pace.sweep_s)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.sweep_s):
                    await self._settler.buried.wait()

    def _may_start(self, row: Row) -> bool:
        breaker = self._breakers.get(row.endpoint_id)
        healthy = breaker is None or not breaker.is_probing
        return self._open and healthy and self._turnstile.try_acquire(row.endpoint_id, row.organization_id)

    def _is_shut(self, endpoint_id: str) -> bool:
        breaker = self._breakers.get(endpoint_id)
        return breaker is not None and breaker.is_open(time.monotonic())

    def _leased(self, row: Row) -> Row:
        until_ms = self._clock.now_ms() + round(self._pace.lease_s * 1000)
        return replace(row, state=DeliveryState.SENDING, claim_at_ms=until_ms, lease=new_id("lease"), attempts=1)

    def _start_all(self, tasks: asyncio.TaskGroup) -> None:
        fresh, self._fresh = self._fresh, []
        for row, endpoint in fresh:
            first = self._turn(row.endpoint_id, row.organization_id, (row, endpoint))
            tasks.create_task(first, name="webhooks.attempt")
        while self._open and (turn := self._turnstile.next()) is not None:
            if self._passes_breaker(*turn):
                tasks.create_task(self._turn(*turn), name="webhooks.attempt")
            else:
                self._turnstile.release(*turn)

    def _passes_breaker(self, endpoint_id: str, organization_id: str) -> bool:
        breaker = self._breakers.get(endpoint_id)
        if breaker is None or not breaker.is_probing:
            return True
        now_s = time.monotonic()
        if breaker.is_open(now_s):
            if self._paused_until.get(endpoint_id) != breaker.open_until_s:
                self._paused_until[endpoint_id] = breaker.open_until_s
                self.wake_at(endpoint_id, organization_id, breaker.open_until_s - now_s)
            return False
        if self._turnstile.busy_of(endpoint_id) == 1:  # its own permit: this one is the probe
            return True
        self._held.add(endpoint_id)
        return False

    async def _turn(self, endpoint_id: str, organization_id: str, fresh: tuple[Row, Endpoint] | None = None) -> None:
        """One attempt, with a permit that is given back at the end."""
        try:
            if fresh is not None:
                await self._send(*fresh)
            else:
                await self._one(endpoint_id, organization_id)
        except TransientError as exc:
            _log.warning("delivery.store_away", endpoint_id=endpoint_id, reason=str(exc), retry_in_s=_STORE_AWAY_S)
            self.wake_at(endpoint_id, organization_id, _STORE_AWAY_S)
        except Exception:
            _log.exception(
                "delivery.attempt_crashed", endpoint_id=endpoint_id, then="the lease ends, the sweep retries"
            )
        finally:
            self._turnstile.release(endpoint_id, organization_id)
            if endpoint_id in self._held:
                self._held.discard(endpoint_id)
                self._turnstile.wake(endpoint_id, organization_id)
            self._work.set()

    async def _one(self, endpoint_id: str, organization_id: str) -> None:
        if endpoint_id in self._unrecorded:  # its lease may be over: claimed now, it would be sent a second time
            self.wake_at(endpoint_id, organization_id, _STORE_AWAY_S)
            return
        now_ms = self._clock.now_ms()
        row = await self._rows.claim(
            endpoint_id, now_ms=now_ms, lease=new_id("lease"), lease_until_ms=now_ms + round(self._pace.lease_s * 1000)
        )
        if row is None:
            return
        self.wake(endpoint_id, organization_id)  # there may be more; another turn finds out
        await self._send(row, await self._endpoints.get(endpoint_id))

    async def _send(self, row: Row, endpoint: Endpoint | None) -> None:
        with traces.span("delivery.attempt", parent=row.traceparent, attempt=row.attempts):
            answer, attempt = await self._sender.attempt(row, endpoint)
        self._learn(row.endpoint_id, answer)
        _SECONDS.labels(_label(answer)).observe(attempt.duration_ms / 1000)
        _log.info(
            "delivery.attempted", delivery_id=row.id, event_id=row.event_id, endpoint_id=row.endpoint_id,
            attempt=row.attempts, status=answer.status, error=answer.error, duration_ms=attempt.duration_ms,
        )  # fmt: skip
        await self._record(row, endpoint, answer, attempt)

    async def _record(self, row: Row, endpoint: Endpoint | None, answer: Answer, attempt: DeliveryAttempt) -> None:
        """Keep what came of an attempt. Raises: TransientError, when the store stays away; then it is sent again."""
        try:
            await self._settler.settle(row, endpoint, answer, attempt, self.wake_at)
        except TransientError as exc:
            self._unrecorded[row.endpoint_id] += 1
            try:
                await self._record_late(row, endpoint, answer, attempt, exc)
            finally:
                self._unrecorded -= Counter((row.endpoint_id,))

    async def _record_late(
        self, row: Row, endpoint: Endpoint | None, answer: Answer, attempt: DeliveryAttempt, away: TransientError
    ) -> None:
        give_up_s = time.monotonic() + _RECORD_WITHIN_S
        while time.monotonic() < give_up_s:
            _log.warning("delivery.not_recorded", delivery_id=row.id, reason=str(away), retry_in_s=_STORE_AWAY_S)
            await asyncio.sleep(_STORE_AWAY_S)
            try:
                return await self._settler.settle(row, endpoint, answer, attempt, self.wake_at)
            except TransientError as exc:
                away = exc
        raise away

    def _learn(self, endpoint_id: str, answer: Answer) -> None:
        known = self._breakers.pop(endpoint_id, None)
        if not answer.was_sent or (known is None and answer.ok):
            if known is not None:
                self._breakers[endpoint_id] = known
            return
        breaker = (known or Breaker()).after(answer, time.monotonic(), self._rules)
        if breaker == Breaker():
            self._paused_until.pop(endpoint_id, None)
            return
        if breaker.times_opened and (known is None or breaker.times_opened > known.times_opened):
            _log.warning("delivery.breaker_opened", endpoint_id=endpoint_id, times=breaker.times_opened)
        self._breakers[endpoint_id] = breaker
        if len(self._breakers) > _BREAKERS_AT_MOST:
            oldest = next(iter(self._breakers))
            del self._breakers[oldest]
            self._paused_until.pop(oldest, None)

    async def _expire(self, endpoint_id: str) -> None:
        for _ in range(_EXPIRED_AT_ONCE):
            now_ms = self._clock.now_ms()
            row = await self._rows.claim_older(
                endpoint_id, since_before_ms=now_ms - round(self._pace.max_age_s * 1000), now_ms=now_ms,
                lease=new_id("lease"), lease_until_ms=now_ms + round(self._pace.lease_s * 1000),
            )  # fmt: skip
            if row is None:
                return
            spared = DeliveryAttempt(number=row.attempts, at=moment(now_ms), error="endpoint_down", duration_ms=0)
            await self._settler.bury(row, spared, EXPIRED)

    async def _ring(self) -> None:
        while True:
            self._timer_set.clear()
            now_s = time.monotonic()
            while self._timers and self._timers[0][0] <= now_s:
                _, endpoint_id, organization_id = heapq.heappop(self._timers)
                self.wake(endpoint_id, organization_id)
            wait_s = self._timers[0][0] - now_s if self._timers else None
            try:
                async with asyncio.timeout(wait_s):
                    await self._timer_set.wait()
            except TimeoutError:
                continue

    async def _every(self, pause_s: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except TransientError as exc:
                _log.warning("delivery.sweep_failed", reason=str(exc), retry_in_s=pause_s)
            except Exception:
                _log.exception("delivery.sweep_crashed", retry_in_s=pause_s)
            await asyncio.sleep(pause_s)


def _label(answer: Answer) -> str:
    return answer.error or f"{(answer.status or 0) // 100}xx"
