"""What the webhooks service knows: endpoints, deliveries and the answers of receivers. No clock, no I/O.

Moments are whole milliseconds since the epoch (`_ms`), because every store keeps integers exactly.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from calliope.contracts.assistants import SealedSecret
from calliope.contracts.webhooks import Delivery, DeliveryAttempt, DeliveryState
from calliope.ids import derived_id

LOG_LENGTH: Final = 30
"""Attempts kept per delivery: three lives of the default schedule."""

BLOCKED: Final = "blocked_address"
TIMEOUT: Final = "timeout"
GONE: Final = "endpoint_gone"
REMOVED: Final = "endpoint_removed"
INVALID_URL: Final = "invalid_url"
NO_SECRET: Final = "no_signing_secret"  # noqa: S105 - a word, not a secret
EXHAUSTED: Final = "attempts_exhausted"
EXPIRED: Final = "expired"
"""Why there was no answer, or why a delivery died."""


class EndpointKind(StrEnum):
    """Which URL of an assistant."""

    WEBHOOK = "webhook"
    SMS = "sms"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One receiver: a URL of one assistant, and the sealed secrets that sign what it gets, newest first."""

    id: str
    organization_id: str
    assistant_id: str
    kind: EndpointKind
    url: str | None
    secrets: tuple[SealedSecret, ...]
    gone_url: str | None = None
    """The URL that answered 410; another URL, or an accepted replay, makes the endpoint live again."""

    @property
    def is_gone(self) -> bool:
        """Whether the receiver said that it will never come back."""
        return self.url is not None and self.url == self.gone_url


@dataclass(frozen=True, slots=True)
class Row:
    """A delivery as it is stored. `body` holds the exact bytes of the event; they are signed and sent as they are."""

    id: str
    organization_id: str
    endpoint_id: str
    assistant_id: str
    event_id: str
    event_type: str
    subject: str
    url: str
    body: bytes
    created_at_ms: int
    since_ms: int
    """When it was created or last replayed: the start of its present life."""
    state: DeliveryState | str = DeliveryState.DUE
    claim_at_ms: int | None = None
    """When it may be taken: the next attempt's time, or the end of the lease of whoever is sending it."""
    lease: str = ""
    attempts: int = 0
    tried_before: int = 0
    """Attempts of earlier lives: a replay begins the schedule again."""
    forced: bool = False
    deaths: int = 0
    replayed_by: str = ""
    traceparent: str | None = None
    log: tuple[DeliveryAttempt, ...] = ()

    @property
    def position(self) -> str:
        """Sorts by birth; two rows never have the same."""
        return f"{self.created_at_ms:015d}{self.id}"

    @property
    def tries(self) -> int:
        """Attempts of the present life, the current one included."""
        return self.attempts - self.tried_before


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request: a status, or the reason why there was none."""

    status: int | None = None
    error: str | None = None
    retry_after_s: float | None = None
    response: str | None = None

    @property
    def ok(self) -> bool:
        """Only 2xx counts as delivered."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def was_sent(self) -> bool:
        """Whether it says anything about the receiver's health."""
        return self.status is not None or self.error not in {BLOCKED, GONE, REMOVED, INVALID_URL, NO_SECRET}


def endpoint_id(organization_id: str, assistant_id: str, kind: EndpointKind) -> str:
    """The id of an endpoint follows from whose it is."""
    return derived_id("end", organization_id, assistant_id, kind.value)


def delivery_id(event_id: str, endpoint: str) -> str:
    """One delivery per event and endpoint, because there is one id for them."""
    return derived_id("dlv", event_id, endpoint)


def moment(ms: int) -> datetime:
    """Milliseconds since the epoch as an aware moment."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def shown(row: Row) -> Delivery:
    """A row as the API shows it."""
    return Delivery(
        id=row.id,
        organization_id=row.organization_id,
        event_id=row.event_id,
        event_type=row.event_type,
        subject=row.subject,
        assistant_id=row.assistant_id,
        url=row.url,
        state=row.state,
        attempts=row.attempts,
        due_at=moment(row.claim_at_ms) if row.state is DeliveryState.DUE and row.claim_at_ms is not None else None,
        created_at=moment(row.created_at_ms),
        log=row.log,
    )
