"""What the events about documents, keys and deliveries carry. None holds a secret; what changed is named, not shown.

The events of a call stand in `calls.py`; every message of the bus with its owner stands in `catalogue.py`.
"""

from pydantic import Field, NonNegativeInt, PositiveInt

from calliope.contracts.base import E164, Message, Moment, Token


class AssistantChanged(Message):
    """An assistant was created or updated: which of its fields were written, at which revision it is now."""

    assistant_id: Token
    name: str
    revision: PositiveInt
    fields: tuple[str, ...] = Field(default=(), description="Top-level fields that were written.")


class AssistantDeleted(Message):
    """An assistant is gone; live calls go on with what they pinned."""

    assistant_id: Token
    name: str
    revision: PositiveInt


class NumberMoved(Message):
    """A number was given to an assistant, or taken from it."""

    number: E164
    carrier: str
    assistant_id: Token | None = Field(default=None, description="Who answers it now, or answered it until now.")


class OrganizationCreated(Message):
    """An organization exists from now on. First fact of every tenant."""

    organization_id: Token
    name: str = ""


class ApiKeyCreated(Message):
    """An API key was stored; only its hash is known here."""

    key_id: Token
    name: str = Field(default="", description="The key's label.")
    scopes: tuple[str, ...]
    expires_at: Moment | None = None
    created_by: Token | None = Field(default=None, description="The key that asked for it; null: an operator.")


class ApiKeyRevoked(Message):
    """An API key is refused from now on."""

    key_id: Token
    name: str = Field(default="", description="The key's label.")
    revoked_by: Token | None = Field(default=None, description="The key that asked for it; null: an operator.")


class DeliveryDead(Message):
    """An event could not be delivered to an endpoint and is given up; it can be replayed."""

    event_id: Token
    event_type: str
    assistant_id: Token
    attempts: NonNegativeInt
    reason: str
