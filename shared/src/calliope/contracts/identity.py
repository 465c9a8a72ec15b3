"""Organizations and API keys: who a key speaks for, what it may do, and the commands around both."""

from collections.abc import Iterable
from enum import StrEnum

from pydantic import Field

from calliope.contracts.base import Message, Moment, Token


class Scope(StrEnum):
    """What a key may do. `read` and `write` hold for every noun but `api_keys`; neither implies the other."""

    READ = "read"
    WRITE = "write"
    ASSISTANTS_READ = "assistants:read"
    ASSISTANTS_WRITE = "assistants:write"
    PHONE_NUMBERS_READ = "phone_numbers:read"
    PHONE_NUMBERS_WRITE = "phone_numbers:write"
    CALLS_READ = "calls:read"
    CALLS_WRITE = "calls:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    API_KEYS_READ = "api_keys:read"
    API_KEYS_WRITE = "api_keys:write"

    @property
    def broader(self) -> "Scope | None":
        """`read` of `calls:read`: the scope that grants this one too, if there is one."""
        noun, _, verb = self.partition(":")
        return Scope(verb) if verb and noun != "api_keys" else None


def is_granted(held: Iterable[str], wanted: Scope) -> bool:
    """Whether a key with the scopes `held` may do what `wanted` names. A scope that is not known grants nothing."""
    known = set(held)
    return wanted in known or (wanted.broader is not None and wanted.broader in known)


class Authenticate(Message):
    """Whose key is this? Only its SHA-256 travels, as 64 hex digits."""

    key_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Principal(Message):
    """Who a key speaks for."""

    organization_id: Token
    key_id: Token
    name: str = Field(default="", description="The key's label.")
    scopes: tuple[str, ...] = Field(description="What it may do; those that a reader does not know grant nothing.")
    expires_at: Moment | None = Field(default=None, description="The key is refused from then on; null: never.")
