"""The rows of organizations and API keys in memory, and what a gateway or an operator asks about them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from calliope import api_keys
from calliope.contracts.base import Event
from calliope.contracts.identity import CreateApiKey
from calliope_assistants.identity.ports import KeyRow, OrganizationNameTakenError, OrganizationRow
from calliope_assistants.pages import position


@dataclass
class MemoryOrganizations:
    """Implements `identity.ports.Organizations`."""

    rows: dict[str, OrganizationRow] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    async def get(self, organization_id: str) -> OrganizationRow | None:
        return self.rows.get(organization_id)

    async def page(self, limit: int, before: str | None) -> Sequence[OrganizationRow]:
        newest = sorted(self.rows.values(), key=lambda row: position(row.created_at, row.id), reverse=True)
        return [row for row in newest if before is None or position(row.created_at, row.id) < before][:limit]

    async def insert(self, row: OrganizationRow, event: Event) -> bool:
        if row.id in self.rows:
            return False
        if any(row.name_key == other.name_key for other in self.rows.values()):
            raise OrganizationNameTakenError
        self.rows[row.id] = row
        self.events.append(event)
        return True


@dataclass
class MemoryKeys:
    """Implements `identity.ports.Keys`."""

    rows: dict[str, KeyRow] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    async def find(self, key_sha256: str) -> KeyRow | None:
        return next((row for row in self.rows.values() if row.key_sha256 == key_sha256), None)

    async def get(self, organization_id: str, key_id: str) -> KeyRow | None:
        row = self.rows.get(key_id)
        return row if row is not None and row.organization_id == organization_id else None

    async def page(self, organization_id: str, limit: int, before: str | None) -> Sequence[KeyRow]:
        ours = [row for row in self.rows.values() if row.organization_id == organization_id]
        newest = sorted(ours, key=lambda row: position(row.created_at, row.id), reverse=True)
        return [row for row in newest if before is None or position(row.created_at, row.id) < before][:limit]

    async def any(self) -> bool:
        return bool(self.rows)

    async def insert(self, row: KeyRow, event: Event) -> bool:
        if row.id in self.rows or await self.find(row.key_sha256) is not None:
            return False
        self.rows[row.id] = row
        self.events.append(event)
        return True

    async def revoke(self, row: KeyRow, event: Event) -> bool:
        if self.rows[row.id].revoked_at is not None:
            return False
        self.rows[row.id] = row
        self.events.append(event)
        return True


def a_key(*scopes: str, by_key: str | None = None, name: str = "CI", **spec: Any) -> tuple[str, CreateApiKey]:
    """A key as whoever shows it makes it, and the command that stores it."""
    key = api_keys.generate()
    wanted = {"name": name, "scopes": list(scopes) or ["read"], **spec}
    return key, CreateApiKey(spec=wanted, key_sha256=api_keys.digest(key), last4=key[-4:], by_key=by_key)
