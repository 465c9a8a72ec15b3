"""What the use cases of webhooks need from outside, said by the side that calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from calliope.contracts.assistants import Endpoints
from calliope.contracts.webhooks import DeliveryAttempt, ListDeliveries
from calliope_webhooks.model import Answer, Endpoint, Row


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event about a delivery, stored with the change it tells of until the bus has it."""

    event_id: str
    subject: str
    body: bytes


class Rows(Protocol):
    """The store of deliveries: the truth about who got what. Every method raises TransientError when it is away."""

    async def add(self, row: Row) -> bool:
        """Store a new delivery; False when this event was planned for this endpoint before."""

    async def claim(self, endpoint_id: str, *, now_ms: int, lease: str, lease_until_ms: int) -> Row | None:
        """Take the oldest due row of an endpoint and count an attempt; one caller gets it, whoever asks at once."""

    async def claim_older(
        self, endpoint_id: str, *, since_before_ms: int, now_ms: int, lease: str, lease_until_ms: int
    ) -> Row | None:
        """As `claim`, only among rows whose present life began before a moment."""

    async def delivered(self, row: Row, attempt: DeliveryAttempt) -> None:
        """The receiver took it: true whoever holds the lease."""

    async def again(self, row: Row, attempt: DeliveryAttempt, *, due_ms: int) -> bool:
        """Put it back, due later; False when the lease was lost."""

    async def bury(self, row: Row, attempt: DeliveryAttempt, announcement: Announcement) -> bool:
        """Give it up and store the event that says so; False when the lease was lost."""

    async def due_endpoints(self, *, now_ms: int, limit: int) -> Sequence[tuple[str, str]]:
        """(endpoint id, organization id) of endpoints with rows that may be claimed now."""

    async def unannounced(self, limit: int) -> Sequence[tuple[str, Announcement]]:
        """Deliveries (by id) whose event the bus does not have yet."""

    async def announced(self, delivery_id: str, event_id: str) -> None:
        """The bus has the event."""


class Log(Protocol):
    """What an organization may see of its deliveries and do with them."""

    async def page(self, organization_id: str, query: ListDeliveries, *, before: str | None) -> Sequence[Row]:
        """At most one more than `query.limit`, newest first, all before a `Row.position`."""

    async def find(self, organization_id: str, delivery_id: str) -> Row | None:
        """One delivery of this organization."""

    async def replay(self, organization_id: str, delivery_id: str, *, command_id: str, now_ms: int) -> Row | None:
        """Make it due now, with a whole schedule ahead; None when it is being sent just now, or not there."""


class EndpointStore(Protocol):
    """The last that was known of each endpoint, so that attempts need nobody else."""

    async def put(self, endpoints: Sequence[Endpoint]) -> None:
        """Remember URL and secrets."""

    async def get(self, endpoint_id: str) -> Endpoint | None:
        """One endpoint."""

    async def of_assistant(self, organization_id: str, assistant_id: str) -> Sequence[Endpoint]:
        """All endpoints of an assistant."""

    async def set_gone(self, endpoint_id: str, url: str | None) -> None:
        """The URL that answered 410, or None: it takes deliveries again."""


class CallMap(Protocol):
    """Which assistant a call belongs to; only `call.started` says so."""

    async def put_call(self, organization_id: str, call_id: str, assistant_id: str) -> None:
        """Remember; the same call always has the same assistant."""

    async def get_call(self, organization_id: str, call_id: str) -> str | None:
        """The assistant, if `call.started` was seen."""


class CallStarts(Protocol):
    """The first events of calls, as the bus keeps them."""

    async def assistant_of(self, organization_id: str, call_id: str) -> str | None:
        """The assistant that the call's start names; None when the bus has no start of it. Raises: TransientError."""


class AssistantsApi(Protocol):
    """The owner of assistants."""

    async def endpoints(self, organization_id: str, assistant_id: str) -> Endpoints | None:
        """Where its events go; None when there is no such assistant (any more). Raises: TransientError."""


class Target(Protocol):
    """Where an attempt goes."""

    async def post(self, url: str, *, headers: dict[str, str], body: bytes) -> Answer:
        """One request, within the time limit. Whatever the receiver does is an answer, never an exception."""


class Alarm(Protocol):
    """Wakes an endpoint later, even if this process is gone by then."""

    async def set(self, row: Row, *, due_ms: int) -> None:
        """Wake the row's endpoint at a moment. Raises: TransientError; then the sweep finds the row."""


class Announcer(Protocol):
    """The bus, for events about deliveries."""

    async def publish(self, announcement: Announcement, *, now_ms: int) -> None:
        """Returns when the bus has stored it; the same one is stored once, however late. Raises: TransientError."""


class Clock(Protocol):
    """The time of day."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
