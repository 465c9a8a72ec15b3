"""Call-workers as an operator sees them."""

from enum import StrEnum

from pydantic import Field, NonNegativeInt, PositiveInt

from calliope.contracts.base import Message, Moment
from calliope.contracts.open_enum import OpenEnum


class WorkerState(StrEnum):
    """Whether a worker takes calls, and why not."""

    ACCEPTING = "accepting"
    FULL = "full"
    """No slot is free."""
    DRAINING = "draining"
    """It is about to end."""
    RELEASING = "releasing"
    """It hands a call over to another worker, and takes none for a moment."""


class WorkerDescription(Message):
    """One call-worker: whether it would take a call now, and what carriers need to know of it."""

    worker_id: str
    slots: PositiveInt = Field(description="Calls that it takes at once.")
    calls: NonNegativeInt = Field(description="Slots that are taken now.")
    accepting: bool = Field(description="Whether it would take a call now: it is neither full nor about to end.")
    state: OpenEnum[WorkerState] | None = Field(
        default=None, description="Why it would take none: `full`, `draining` or `releasing`; else `accepting`."
    )
    public_url: str = Field(description="Where it believes carriers reach the gateway; their hooks begin with it.")
    media_url: str = Field(description="Where it sends carriers for the audio of its calls.")
    carriers: tuple[str, ...] = Field(
        default=(), description="Carriers at which this installation has an account, for assistants that bring none."
    )
    at: Moment = Field(description="Its clock.")

    @property
    def free(self) -> int:
        """Calls that it would take now."""
        return max(0, self.slots - self.calls) if self.accepting else 0
