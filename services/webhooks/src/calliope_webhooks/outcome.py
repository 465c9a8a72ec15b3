"""What follows from an attempt: the row, the endpoint, the alarm and the event of a death are brought up to date."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from calliope.contracts import subjects
from calliope.contracts.base import Event, event_type
from calliope.contracts.facts import DeliveryDead
from calliope.contracts.webhooks import DeliveryAttempt
from calliope.errors import PermanentError, TransientError
from calliope.ids import derived_id
from calliope.messaging.publish import encode
from calliope.observability import metrics
from calliope_webhooks.endpoints import EndpointBook
from calliope_webhooks.model import Answer, Endpoint, Row, moment
from calliope_webhooks.ports import Alarm, Announcement, Announcer, Clock, Rows
from calliope_webhooks.retry import Again, Dead, Delivered, Schedule

_log = structlog.get_logger("calliope.webhooks")

_DEATHS: Final = metrics.counter("calliope_deliveries_dead_total", "Deliveries given up.", "reason")

WakeAt = Callable[[str, str, float], None]
"""(endpoint id, organization id, seconds from now)."""


def announcement_of(row: Row, reason: str, now_ms: int) -> Announcement:
    """The event that a delivery died. Its id follows from the delivery and how often it died, so it exists once."""
    death = row.deaths + 1
    event = Event(
        id=derived_id("evt", row.id, "dead", str(death)),
        type=event_type("delivery", "dead"),
        source="/calliope/webhooks",
        subject=f"delivery/{row.id}",
        time=moment(now_ms),
        organization=row.organization_id,
        sequence=death,
        data=DeliveryDead(
            event_id=row.event_id,
            event_type=row.event_type,
            assistant_id=row.assistant_id,
            attempts=row.attempts,
            reason=reason,
        ).model_dump(mode="json"),
    )
    subject = subjects.event(row.organization_id, subjects.Entity.DELIVERY.value, row.id, "dead")
    return Announcement(event.id, subject, encode(event))


@dataclass(frozen=True, slots=True)
class Settler:
    """Records outcomes. Between the request and the record a crash sends again: allowed, with the same webhook-id."""

    rows: Rows
    endpoints: EndpointBook
    schedule: Schedule
    alarm: Alarm
    announcer: Announcer
    clock: Clock
    alarm_from_s: float
    """Shorter waits are kept in this process: after a crash the sweep is as quick as they are."""
    buried: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there are events to publish; publishing never holds up an attempt."""

    async def settle(
        self, row: Row, endpoint: Endpoint | None, answer: Answer, attempt: DeliveryAttempt, wake_at: WakeAt
    ) -> None:
        """Bring everything up to date after one attempt. Raises: TransientError, when the store is away."""
        verdict = self.schedule.judge(answer, tries=row.tries, delivery_id=row.id, attempt=row.attempts)
        match verdict:
            case Delivered():
                await self.rows.delivered(row, attempt)
                if endpoint is not None and endpoint.is_gone:
                    await self.endpoints.set_gone(endpoint, None)
            case Again(delay_s=delay_s):
                await self._again(row, attempt, delay_s, wake_at)
            case Dead(reason=reason, gone=gone):
                if gone and endpoint is not None:
                    await self.endpoints.set_gone(endpoint, endpoint.url)
                await self.bury(row, attempt, reason)

    async def _again(self, row: Row, attempt: DeliveryAttempt, delay_s: float, wake_at: WakeAt) -> None:
        due_ms = self.clock.now_ms() + round(delay_s * 1000)
        if not await self.rows.again(row, attempt, due_ms=due_ms):
            return
        if delay_s < self.alarm_from_s:
            wake_at(row.endpoint_id, row.organization_id, delay_s)
            return
        try:
            await self.alarm.set(row, due_ms=due_ms)
        except TransientError as exc:
            _log.warning("delivery.alarm_not_set", delivery_id=row.id, reason=str(exc), then="the sweep finds it")

    async def bury(self, row: Row, attempt: DeliveryAttempt, reason: str) -> None:
        """Give a delivery up; the event that says so is stored in the same write and published after it."""
        announcement = announcement_of(row, reason, self.clock.now_ms())
        if await self.rows.bury(row, attempt, announcement):
            _log.warning("delivery.died", delivery_id=row.id, endpoint_id=row.endpoint_id, reason=reason)
            _DEATHS.labels(reason).inc()
            self.buried.set()

    async def announce(self, limit: int) -> None:
        """Publish what was stored with deaths; what is refused or left stays stored. Raises: TransientError."""
        self.buried.clear()
        for delivery_id, announcement in await self.rows.unannounced(limit):
            try:
                await self.announcer.publish(announcement, now_ms=self.clock.now_ms())
            except PermanentError as exc:  # it stays stored, and is tried again with the next sweep
                _log.error("delivery.death_refused", delivery_id=delivery_id, reason=str(exc))
                continue
            await self.rows.announced(delivery_id, announcement.event_id)
