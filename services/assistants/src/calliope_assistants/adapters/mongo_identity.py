"""Rows of organizations and their API keys, written together with their event."""

from collections.abc import Sequence
from datetime import datetime

from motor.motor_asyncio import AsyncIOMotorCollection

from calliope.contracts.base import Event
from calliope.contracts.identity import Scope
from calliope_assistants.adapters import identity_shapes, shapes
from calliope_assistants.adapters.mongo import MongoStore
from calliope_assistants.adapters.shapes import Doc
from calliope_assistants.identity.organizations import new_row
from calliope_assistants.identity.ports import KeyRow, OrganizationNameTakenError, OrganizationRow


class MongoOrganizations:
    """See `identity.ports.Organizations`."""

    def __init__(self, store: MongoStore) -> None:
        self._store = store
        self._rows: AsyncIOMotorCollection[Doc] = store.database.organizations

    async def get(self, organization_id: str) -> OrganizationRow | None:
        """See `identity.ports.Organizations`."""
        async with self._store.asked():
            found = await self._rows.find_one({"_id": organization_id})
        return identity_shapes.organization(found) if found else None

    async def page(self, limit: int, before: str | None) -> Sequence[OrganizationRow]:
        """See `identity.ports.Organizations`."""
        wanted: Doc = {} if before is None else {"order": {"$lt": before}}
        async with self._store.asked():
            found = await self._rows.find(wanted).sort("order", -1).limit(limit).to_list(limit)
        return [identity_shapes.organization(row) for row in found]

    async def insert(self, row: OrganizationRow, event: Event) -> bool:
        """See `identity.ports.Organizations`."""
        document = {"_id": row.id, **identity_shapes.organization_fields(row), **shapes.first_event(event)}
        if await self._store.added(self._rows, document):
            return True
        if await self.get(row.id) is None:
            raise OrganizationNameTakenError
        return False


class MongoKeys:
    """See `identity.ports.Keys`."""

    def __init__(self, store: MongoStore) -> None:
        self._store = store
        self._rows: AsyncIOMotorCollection[Doc] = store.database.api_keys

    async def find(self, key_sha256: str) -> KeyRow | None:
        """See `identity.ports.Keys`."""
        return await self._one({"key_sha256": key_sha256})

    async def get(self, organization_id: str, key_id: str) -> KeyRow | None:
        """See `identity.ports.Keys`."""
        return await self._one({"_id": key_id, "org_id": organization_id})

    async def page(self, organization_id: str, limit: int, before: str | None) -> Sequence[KeyRow]:
        """See `identity.ports.Keys`."""
        wanted: Doc = {"org_id": organization_id}
        if before is not None:
            wanted["order"] = {"$lt": before}
        async with self._store.asked():
            found = await self._rows.find(wanted).sort("order", -1).limit(limit).to_list(limit)
        return [identity_shapes.key(row) for row in found]

    async def any(self) -> bool:
        """See `identity.ports.Keys`."""
        return await self._one({}) is not None

    async def insert(self, row: KeyRow, event: Event) -> bool:
        """See `identity.ports.Keys`."""
        return await self._store.added(
            self._rows, {"_id": row.id, **identity_shapes.key_fields(row), **shapes.first_event(event)}
        )

    async def revoke(self, row: KeyRow, event: Event) -> bool:
        """See `identity.ports.Keys`."""
        guard = {"_id": row.id, "org_id": row.organization_id, "revoked_at": None}
        changed = shapes.with_event(identity_shapes.key_fields(row), event)
        async with self._store.written():
            result = await self._rows.update_one(guard, changed)
        return result.matched_count == 1

    async def _one(self, wanted: Doc) -> KeyRow | None:
        async with self._store.asked():
            found = await self._rows.find_one(wanted)
        return identity_shapes.key(found) if found else None


async def complete_older_rows(store: MongoStore) -> None:
    """Give rows of installations older than names, scopes per noun and ends what they lack; twice is once.

    Only the local stack could make such rows: its key may do everything. Raises: TransientError.
    """
    older = {"created_at": {"$exists": False}}
    for row in await _found(store, store.database.organizations, older):
        tenant = new_row(row["_id"], row["_id"], datetime.fromisoformat(row["updated_at"]))
        await _complete(store, store.database.organizations, row["_id"], identity_shapes.organization_fields(tenant))
    for row in await _found(store, store.database.api_keys, older):
        key = KeyRow(
            id=row["_id"],
            organization_id=row["org_id"],
            key_sha256=row["key_sha256"],
            name="first key of the local stack",
            scopes=tuple(scope.value for scope in Scope),
            last4="",
            created_at=datetime.fromisoformat(row["updated_at"]),
        )
        await _complete(store, store.database.api_keys, row["_id"], identity_shapes.key_fields(key))


async def _found(store: MongoStore, rows: AsyncIOMotorCollection[Doc], wanted: Doc) -> list[Doc]:
    async with store.asked():
        return await rows.find(wanted).limit(1_000).to_list(1_000)


async def _complete(store: MongoStore, rows: AsyncIOMotorCollection[Doc], id_: str, fields: Doc) -> None:
    async with store.asked():
        await rows.update_one({"_id": id_, "created_at": {"$exists": False}}, {"$set": fields})
