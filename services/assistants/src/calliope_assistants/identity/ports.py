"""What the use cases about identity need of the store: rows of organizations and keys. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from calliope.contracts.base import Event
from calliope.contracts.identity import KeyState


@dataclass(frozen=True, slots=True)
class OrganizationRow:
    """A tenant. `name_key` is unique over all organizations."""

    id: str
    name: str
    name_key: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An API key: its hash, never itself. `created_by` and `revoked_by` are ids of keys; None: an operator."""

    id: str
    organization_id: str
    key_sha256: str
    name: str
    scopes: tuple[str, ...]
    last4: str
    created_at: datetime
    created_by: str | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None

    def state(self, now: datetime) -> KeyState:
        """Whether it opens anything."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        return KeyState.EXPIRED if self.expires_at is not None and self.expires_at <= now else KeyState.ACTIVE


class OrganizationNameTakenError(Exception):
    """Another organization has this name."""


class Organizations(Protocol):
    """Who there is. Writes raise TransientError when nothing was written, TimeoutError when nobody knows."""

    async def get(self, organization_id: str) -> OrganizationRow | None:
        """By id. Raises: TransientError."""

    async def page(self, limit: int, before: str | None) -> Sequence[OrganizationRow]:
        """Newest first, those whose `pages.position` is below `before`. Raises: TransientError."""

    async def insert(self, row: OrganizationRow, event: Event) -> bool:
        """Store a new one with its event; False, when the id is there already. Raises: OrganizationNameTakenError."""


class Keys(Protocol):
    """API keys. By hash they are found whosever they are; else only within their organization. Raises as above."""

    async def find(self, key_sha256: str) -> KeyRow | None:
        """By hash, of any organization. Raises: TransientError."""

    async def get(self, organization_id: str, key_id: str) -> KeyRow | None:
        """By id. Raises: TransientError."""

    async def page(self, organization_id: str, limit: int, before: str | None) -> Sequence[KeyRow]:
        """Newest first, those whose `pages.position` is below `before`. Raises: TransientError."""

    async def any(self) -> bool:
        """Whether there is a key at all, of any organization. Raises: TransientError."""

    async def insert(self, row: KeyRow, event: Event) -> bool:
        """Store a new key with its event; False, when its id or hash is there already."""

    async def revoke(self, row: KeyRow, event: Event) -> bool:
        """Store when and by whom it was revoked, with its event; False, when it is revoked already."""
