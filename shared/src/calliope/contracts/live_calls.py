"""What an operator asks call-workers about calls that run: who has one, and that it ends or is handed over."""

from enum import StrEnum

from pydantic import Field, NonNegativeInt

from calliope.contracts.base import Message, Token
from calliope.contracts.open_enum import OpenEnum


class LiveCallRef(Message):
    """One call by its id."""

    call_id: Token = Field(description="Its id.", examples=["call_01jd0000000000000000000000"])


class HeldCall(Message):
    """Whether a worker has a call, and what became of it; every worker answers for itself."""

    worker_id: str = Field(description="Who answers.")
    held: bool = Field(description="Whether this worker had the call when it was asked.")
    over: bool = Field(default=False, description="Whether the call is over here: it ended, or was handed over.")
    ending: bool = Field(default=False, description="Whether it was decided that the call ends.")
    waiting_facts: NonNegativeInt = Field(default=0, description="Its facts that wait in memory for the bus.")


class Closure(StrEnum):
    """What came of closing a call that no worker has."""

    CLOSED = "closed"
    ENDED = "ended"
    """It had its end already."""
    HELD = "held"
    """A worker has it, or had it a moment ago."""
    UNKNOWN = "unknown"
    """No call of this id began."""


class ClosedCall(Message):
    """What a worker that was asked to close a call has done."""

    worker_id: str = Field(description="Who answers.")
    closure: OpenEnum[Closure] = Field(description="`closed`, `ended`, `held` or `unknown`.")
