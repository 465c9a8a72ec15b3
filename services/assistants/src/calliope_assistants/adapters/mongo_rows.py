"""Rows written together with their event: assistants and numbers; and the events not yet sent, of all rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from motor.motor_asyncio import AsyncIOMotorCollection
from pydantic import ValidationError
from pymongo.errors import DuplicateKeyError

from calliope.contracts.base import Event
from calliope_assistants.adapters import shapes
from calliope_assistants.adapters.mongo import OUTBOX_COLLECTIONS, MongoStore
from calliope_assistants.adapters.shapes import Doc
from calliope_assistants.pages import position
from calliope_assistants.ports import AssistantRow, NameTakenError, NumberRow, Waiting


class MongoAssistants:
    """See `ports.Assistants`."""

    def __init__(self, store: MongoStore, organization_id: str) -> None:
        self._store = store
        self._rows: AsyncIOMotorCollection[Doc] = store.database.assistants
        self._organization_id = organization_id

    async def get(self, assistant_id: str, *, also_deleted: bool = False) -> AssistantRow | None:
        """See `ports.Assistants`."""
        wanted: Doc = {"_id": assistant_id, "org_id": self._organization_id}
        async with self._store.asked():
            found = await self._rows.find_one(wanted if also_deleted else {**wanted, "deleted": False})
        return shapes.assistant(found) if found else None

    async def page(self, limit: int, before: str | None) -> Sequence[AssistantRow]:
        """See `ports.Assistants`."""
        wanted: Doc = {"org_id": self._organization_id, "deleted": False}
        if before is not None:
            wanted["order"] = {"$lt": before}
        async with self._store.asked():
            found = await self._rows.find(wanted).sort("order", -1).limit(limit).to_list(limit)
        return [shapes.assistant(row) for row in found]

    async def insert(self, row: AssistantRow, event: Event) -> bool:
        """See `ports.Assistants`."""
        document = {
            "_id": row.id,
            "org_id": self._organization_id,
            "order": position(row.created_at, row.id),
            "created_at": shapes.text(row.created_at),
            **shapes.assistant_fields(row),
            **shapes.first_event(event),
        }
        try:
            async with self._store.written():
                await self._rows.insert_one(document)
        except DuplicateKeyError as exc:
            async with self._store.asked():
                if await self._rows.find_one({"_id": row.id}) is not None:
                    return False
            raise NameTakenError from exc
        return True

    async def update(self, row: AssistantRow, event: Event) -> bool:
        """See `ports.Assistants`."""
        guard = {"_id": row.id, "org_id": self._organization_id, "revision": row.revision - 1, "deleted": False}
        try:
            async with self._store.written():
                result = await self._rows.update_one(guard, shapes.with_event(shapes.assistant_fields(row), event))
        except DuplicateKeyError as exc:
            raise NameTakenError from exc
        return result.matched_count == 1


class MongoNumbers:
    """See `ports.Numbers`."""

    def __init__(self, store: MongoStore) -> None:
        self._store = store
        self._rows: AsyncIOMotorCollection[Doc] = store.database.phone_numbers

    async def get(self, number: str) -> NumberRow | None:
        """See `ports.Numbers`."""
        async with self._store.asked():
            found = await self._rows.find_one({"_id": number})
        return shapes.number(found) if found else None

    async def page(
        self, organization_id: str, assistant_id: str | None, limit: int, after: str | None
    ) -> Sequence[NumberRow]:
        """See `ports.Numbers`."""
        answered = {"$gt": ""} if assistant_id is None else assistant_id  # a released number's is null: no text
        wanted: Doc = {"org_id": organization_id, "assistant_id": answered}
        if after is not None:
            wanted["_id"] = {"$gt": after}
        async with self._store.asked():
            found = await self._rows.find(wanted).sort("_id", 1).limit(limit).to_list(limit)
        return [shapes.number(row) for row in found]

    async def put(self, row: NumberRow, event: Event, *, if_revision: int) -> bool:
        """See `ports.Numbers`."""
        fields = shapes.number_fields(row)
        if if_revision == 0:
            new = {"_id": row.number, **fields, **shapes.first_event(event)}
            return await self._store.added(self._rows, new)
        async with self._store.written():
            guard = {"_id": row.number, "revision": if_revision}
            result = await self._rows.update_one(guard, shapes.with_event(fields, event))
        return result.matched_count == 1


_UNSENT: Final[Doc] = {"outbox_n": {"$gt": 0}}
_RETRY_AT: Final = "outbox_retry_at"


class MongoOutbox:
    """See `ports.Outbox`."""

    def __init__(self, store: MongoStore) -> None:
        self._store = store
        self._database = store.database

    async def waiting(self, limit: int, now: datetime) -> Sequence[Waiting]:
        """See `ports.Outbox`."""
        found: list[Waiting] = []
        ready = {"$or": [{_RETRY_AT: {"$exists": False}}, {_RETRY_AT: {"$lte": shapes.text(now)}}]}
        for name in OUTBOX_COLLECTIONS:
            async with self._store.asked("look for unsent events"):
                rows = self._database[name].find({**_UNSENT, **ready}).sort("updated_at", 1).limit(limit)
                found += [_waiting(name, row) for row in await rows.to_list(limit)]
        return found

    async def published(self, waiting: Waiting, event: Event, now: datetime) -> None:
        """See `ports.Outbox`."""
        sent = {"org_id": event.organization, "body": event.model_dump_json(), "sent_at": now}
        slot = f"outbox.{event.id}"
        async with self._store.asked():
            await self._database.events_log.update_one({"_id": event.id}, {"$set": sent}, upsert=True)
            await self._database[waiting.collection].update_one(
                {"_id": waiting.id, slot: {"$exists": True}},
                {"$unset": {slot: "", _RETRY_AT: ""}, "$inc": {"outbox_n": -1}},
            )

    async def put_off(self, waiting: Waiting, until: datetime) -> None:
        """See `ports.Outbox`."""
        async with self._store.asked("put unsent events off"):
            await self._database[waiting.collection].update_one(
                {"_id": waiting.id, **_UNSENT}, {"$set": {_RETRY_AT: shapes.text(until)}}
            )

    async def take_up(self, event: Event) -> None:
        """See `ports.Outbox`."""
        for name in OUTBOX_COLLECTIONS:
            async with self._store.asked():
                its_row = {**_UNSENT, f"outbox.{event.id}": {"$exists": True}}
                await self._database[name].update_one(its_row, {"$unset": {_RETRY_AT: ""}})

    async def refused(self) -> int:
        """See `ports.Outbox`."""
        count = 0
        for name in OUTBOX_COLLECTIONS:
            async with self._store.asked():
                count += await self._database[name].count_documents({**_UNSENT, _RETRY_AT: {"$exists": True}})
        return count


def _waiting(collection: str, row: Doc) -> Waiting:
    try:
        events = sorted(map(Event.model_validate_json, row["outbox"].values()), key=lambda event: event.sequence)
    except ValidationError:  # of another version, or written by hand
        return Waiting(collection, row["_id"], (), was_refused=_RETRY_AT in row, is_readable=False)
    return Waiting(collection, row["_id"], tuple(events), was_refused=_RETRY_AT in row)
