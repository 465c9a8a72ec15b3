"""Deliveries: one row per event and endpoint, and what an operator may ask about them."""

from enum import StrEnum

from pydantic import Field, NonNegativeInt

from calliope.contracts.base import Message, Moment, Token
from calliope.contracts.open_enum import OpenEnum


class DeliveryState(StrEnum):
    """Where a delivery stands. `dead` can be replayed."""

    DUE = "due"
    SENDING = "sending"
    DELIVERED = "delivered"
    DEAD = "dead"


class DeliveryAttempt(Message):
    """One try: the receiver's answer, or what kept it from answering."""

    number: NonNegativeInt = Field(description="Which attempt it was, from 1.")
    at: Moment = Field(description="When it began, in UTC.", examples=["2026-01-31T12:00:00.000Z"])
    status: int | None = Field(
        default=None, description="HTTP status of the receiver; absent when it did not answer.", examples=[200]
    )
    error: str | None = Field(default=None, description="What kept it from answering.", examples=["timeout"])
    duration_ms: float = Field(description="How long it took, in milliseconds.")
    response: str | None = Field(
        default=None, description="First 1 KiB of the answer as text, and how much more there was."
    )


class Delivery(Message):
    """One event on its way to one endpoint. `event_id` is the `webhook-id` of every attempt."""

    id: Token = Field(description="Id of the delivery.", examples=["dlv_01jd0000000000000000000000"])
    organization_id: Token = Field(description="Whose delivery it is.", examples=["org_01jd0000000000000000000000"])
    event_id: Token = Field(
        description="Id of the event, and the header `webhook-id` of every attempt.",
        examples=["evt_01jd0000000000000000000000"],
    )
    event_type: str = Field(description="Type of the event.", examples=["calliope.call.ended.v1"])
    subject: str = Field(description="What the event is about.", examples=["call/call_01jd0000000000000000000000"])
    assistant_id: Token = Field(description="Whose webhook it goes to.", examples=["asst_01jd0000000000000000000000"])
    url: str = Field(description="Where it goes.", examples=["https://example.com/hooks/calls"])
    state: OpenEnum[DeliveryState] = Field(description="Where it stands; `dead` is given up and can be replayed.")
    attempts: NonNegativeInt = Field(description="How often it was tried.")
    due_at: Moment | None = Field(
        default=None,
        description="When it is tried next, in UTC; absent when it is over.",
        examples=["2026-01-31T12:05:00.000Z"],
    )
    created_at: Moment = Field(description="When it was planned, in UTC.", examples=["2026-01-31T12:00:00.000Z"])
    log: tuple[DeliveryAttempt, ...] = Field(default=(), description="Its attempts, the latest ones.")


class ListDeliveries(Message):
    """Deliveries, newest first, optionally of one call, assistant or state."""

    limit: int = Field(default=50, ge=1, le=200, description="How many to show at most.")
    cursor: str | None = Field(default=None, max_length=200, description="`next_cursor` of the page before.")
    subject: str | None = Field(
        default=None,
        max_length=200,
        description="Deliveries of events about this, such as `call/` and a call's id.",
        examples=["call/call_01jd0000000000000000000000"],
    )
    assistant_id: str | None = Field(
        default=None, max_length=128, description="Deliveries to this assistant's webhooks."
    )
    state: DeliveryState | None = Field(default=None, description="Deliveries that stand so.")


class DeliveryPage(Message):
    """`next_cursor` is absent on the last page."""

    items: tuple[Delivery, ...] = Field(description="The deliveries, newest first.")
    next_cursor: str | None = Field(default=None, description="What to send as `cursor` for the next page.")


class ReplayDelivery(Message):
    """Send a delivery again, with the same `webhook-id`."""

    delivery_id: str = Field(max_length=128)
