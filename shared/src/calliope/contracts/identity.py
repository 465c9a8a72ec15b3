"""Organizations and API keys: what the gateway asks to know who is speaking."""

from enum import StrEnum

from pydantic import Field

from calliope.contracts.base import Message, Token


class Scope(StrEnum):
    """What a key may do."""

    READ = "read"
    WRITE = "write"


class Authenticate(Message):
    """Whose key is this? Only its SHA-256 travels, as 64 hex digits."""

    key_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Principal(Message):
    """Who a key speaks for."""

    organization_id: Token
    key_id: Token
    scopes: tuple[Scope, ...]
