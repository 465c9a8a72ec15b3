"""Deliveries: one row per event and endpoint, and what an operator may ask about them."""

from enum import StrEnum

from pydantic import Field, NonNegativeInt

from calliope.contracts.base import Message, Moment, Token


class DeliveryState(StrEnum):
    """Where a delivery stands. `dead` can be replayed."""

    DUE = "due"
    SENDING = "sending"
    DELIVERED = "delivered"
    DEAD = "dead"


class DeliveryAttempt(Message):
    """One try: the receiver's answer, or what kept it from answering."""

    number: NonNegativeInt
    at: Moment
    status: int | None = None
    error: str | None = None
    duration_ms: float
    response: str | None = Field(default=None, description="First 1 KiB of the answer.")


class Delivery(Message):
    """One event on its way to one endpoint. `event_id` is the `webhook-id` of every attempt."""

    id: Token
    organization_id: Token
    event_id: Token
    event_type: str
    subject: str
    assistant_id: Token
    url: str
    state: DeliveryState
    attempts: NonNegativeInt
    due_at: Moment | None = None
    created_at: Moment
    log: tuple[DeliveryAttempt, ...] = ()


class ListDeliveries(Message):
    """Deliveries, newest first, optionally of one call, assistant or state."""

    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=200)
    subject: str | None = Field(default=None, max_length=200, description="e.g. `call/call_9`.")
    assistant_id: str | None = Field(default=None, max_length=128)
    state: DeliveryState | None = None


class DeliveryPage(Message):
    """`next_cursor` is absent on the last page."""

    items: tuple[Delivery, ...]
    next_cursor: str | None = None


class ReplayDelivery(Message):
    """Send a delivery again, with the same `webhook-id`."""

    delivery_id: str = Field(max_length=128)
