"""The store in MongoDB: the only file that knows the driver; the shape of its documents is in `shapes.py`.

Only operators are used that every compatible store has: maps instead of arrays, no transactions, no partial unique
index.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo.errors import (
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)

from calliope.contracts.base import Event
from calliope.contracts.calls import CallStatus, ListCalls
from calliope.errors import TransientError
from calliope.settings import MongoSettings
from calliope_assistants.adapters import shapes
from calliope_assistants.adapters.shapes import Doc
from calliope_assistants.pages import position
from calliope_assistants.ports import (
    COMMANDS_KNOWN,
    AssistantRow,
    Done,
    KeyRow,
    NameTakenError,
    NumberRow,
    Waiting,
)

OUTBOX_COLLECTIONS: Final = ("organizations", "api_keys", "assistants", "phone_numbers")
SENT_DAYS: Final = 7
_LISTED: Final = ("started", "answered", "ended", "analyzed")
_SELECTION_S: Final = 1.0
"""A store that is known to be away is not hoped for: callers have 2 s, and what they remember."""
_AWAY: Final = "the store does not answer"
_NOT_SENT: Final = (ServerSelectionTimeoutError, WaitQueueTimeoutError)


class MongoStore:
    """One client, made inside its event loop; nothing waits for the store longer than `timeout_s`."""

    def __init__(self, settings: MongoSettings) -> None:
        timeout_ms = int(settings.timeout_s * 1_000)
        self._timeout_s = settings.timeout_s
        self._client: AsyncIOMotorClient[Doc] = AsyncIOMotorClient(
            settings.url.get_secret_value(),
            serverSelectionTimeoutMS=int(min(_SELECTION_S, settings.timeout_s) * 1_000),
            connectTimeoutMS=timeout_ms,
            socketTimeoutMS=timeout_ms,
            waitQueueTimeoutMS=timeout_ms,
            maxPoolSize=settings.pool_size,
            tz_aware=True,
            appname="calliope-assistants",
        )
        self.database: AsyncIOMotorDatabase[Doc] = self._client[settings.database]

    async def prepare(self) -> None:
        """Indexes; existing ones stay. Raises: TransientError."""
        db, unique, day_s = self.database, {"unique": True}, int(COMMANDS_KNOWN.total_seconds())
        indexes: list[tuple[AsyncIOMotorCollection[Doc], list[tuple[str, int]], Doc]] = [
            (db.assistants, [("org_id", 1), ("name_key", 1)], unique),
            (db.assistants, [("org_id", 1), ("order", -1)], {}),
            (db.phone_numbers, [("org_id", 1)], {}),
            (db.api_keys, [("key_sha256", 1)], unique),
            (db.commands, [("at", 1)], {"expireAfterSeconds": day_s}),
            (db.events_log, [("sent_at", 1)], {"expireAfterSeconds": SENT_DAYS * 86_400}),
            (db.calls, [("org_id", 1), ("order", -1)], {}),
            *((db[name], [("outbox_n", 1), ("updated_at", 1)], {}) for name in OUTBOX_COLLECTIONS),
        ]
        for collection, keys, options in indexes:
            async with self.asked():
                await collection.create_index(keys, **options)

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[None]:
        """Around one question, or a write that may be done twice. Raises: TransientError."""
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except DuplicateKeyError:
            raise
        except (PyMongoError, TimeoutError) as exc:
            raise TransientError(_AWAY, retry_after_s=2.0) from exc

    @asynccontextmanager
    async def written(self) -> AsyncIterator[None]:
        """Around one write. Raises: TransientError, when it was not done; TimeoutError, when nobody knows."""
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except DuplicateKeyError:
            raise
        except _NOT_SENT as exc:
            raise TransientError(_AWAY, retry_after_s=2.0) from exc
        except (ConnectionFailure, ExecutionTimeout, TimeoutError) as exc:
            raise TimeoutError("the store did not say whether it wrote") from exc
        except PyMongoError as exc:
            raise TransientError("the store refused", retry_after_s=2.0) from exc

    async def ping(self) -> None:
        """Readiness. Raises: TransientError."""
        async with self.asked():
            await self.database.command("ping")

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()


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

    async def of(self, organization_id: str) -> Sequence[NumberRow]:
        """See `ports.Numbers`."""
        async with self._store.asked():
            found = await self._rows.find({"org_id": organization_id}).sort("_id", 1).limit(1_000).to_list(1_000)
        return [number for number in map(shapes.number, found) if number.assistant_id is not None]

    async def put(self, row: NumberRow, event: Event, *, if_revision: int) -> bool:
        """See `ports.Numbers`."""
        fields = shapes.number_fields(row)
        if if_revision == 0:
            new = {"_id": row.number, **fields, **shapes.first_event(event)}
            try:
                async with self._store.written():
                    await self._rows.insert_one(new)
            except DuplicateKeyError:
                return False
            return True
        async with self._store.written():
            guard = {"_id": row.number, "revision": if_revision}
            result = await self._rows.update_one(guard, shapes.with_event(fields, event))
        return result.matched_count == 1


class MongoOrganizations:
    """See `ports.Organizations`."""

    def __init__(self, store: MongoStore) -> None:
        self._store = store
        self._rows: AsyncIOMotorCollection[Doc] = store.database.organizations

    async def add(self, organization_id: str, event: Event) -> bool:
        """See `ports.Organizations`."""
        document = {"_id": organization_id, "updated_at": shapes.text(event.time), **shapes.first_event(event)}
        try:
            async with self._store.written():
                await self._rows.insert_one(document)
        except DuplicateKeyError:
            return False
        return True


class MongoKeys:
    """See `ports.Keys`."""

    def __init__(self, store: MongoStore) -> None:
        self._store = store
        self._rows: AsyncIOMotorCollection[Doc] = store.database.api_keys

    async def find(self, key_sha256: str) -> KeyRow | None:
        """See `ports.Keys`."""
        async with self._store.asked():
            row = await self._rows.find_one({"key_sha256": key_sha256})
        if row is None:
            return None
        return KeyRow(row["_id"], row["org_id"], row["key_sha256"], tuple(row["scopes"]), row["revoked"])

    async def add(self, row: KeyRow, event: Event) -> bool:
        """See `ports.Keys`."""
        document = {
            "_id": row.id,
            "org_id": row.organization_id,
            "key_sha256": row.key_sha256,
            "scopes": list(row.scopes),
            "revoked": row.revoked,
            "updated_at": shapes.text(event.time),
            **shapes.first_event(event),
        }
        try:
            async with self._store.written():
                await self._rows.insert_one(document)
        except DuplicateKeyError:
            return False
        return True


class MongoCommandLog:
    """See `ports.CommandLog`."""

    def __init__(self, store: MongoStore) -> None:
        self._store = store
        self._rows: AsyncIOMotorCollection[Doc] = store.database.commands

    async def begin(self, key: str, request_hash: str, now: datetime, lease_s: float) -> Done | None:
        """See `ports.CommandLog`."""
        lease = shapes.text(now + timedelta(seconds=lease_s))
        new = {
            "_id": key,
            "hash": request_hash,
            "reply": None,
            "lease_until": lease,
            "known_until": shapes.text(now + COMMANDS_KNOWN),
            "at": now,
        }
        try:
            async with self._store.asked():
                await self._rows.insert_one(new)
        except DuplicateKeyError:
            async with self._store.asked():
                row = await self._rows.find_one({"_id": key})
        else:
            return None
        if row is None or row["known_until"] <= shapes.text(now):
            return await self._begin_anew(new)
        given_up = row["reply"] is None and row["hash"] == request_hash and row["lease_until"] < shapes.text(now)
        if given_up and await self._take_over(key, row["lease_until"], lease):
            return None
        return Done(row["hash"], None if row["reply"] is None else json.loads(row["reply"]))

    async def _begin_anew(self, new: Doc) -> Done | None:
        """Of those that find the key expired, or gone, at once, one begins."""
        try:
            async with self._store.asked():
                await self._rows.delete_one({"_id": new["_id"], "known_until": {"$lte": shapes.text(new["at"])}})
            async with self._store.asked():
                await self._rows.insert_one(new)
        except DuplicateKeyError:
            return Done(new["hash"], None)
        return None

    async def _take_over(self, key: str, old_lease: str, lease: str) -> bool:
        """Its worker died, or gave it up."""
        async with self._store.asked():
            guard = {"_id": key, "reply": None, "lease_until": old_lease}
            result = await self._rows.update_one(guard, {"$set": {"lease_until": lease}})
        return result.matched_count == 1

    async def finish(self, key: str, reply: Doc) -> None:
        """See `ports.CommandLog`."""
        async with self._store.asked():
            await self._rows.update_one({"_id": key}, {"$set": {"reply": json.dumps(reply)}})

    async def release(self, key: str) -> None:
        """See `ports.CommandLog`."""
        async with self._store.asked():
            await self._rows.update_one({"_id": key, "reply": None}, {"$set": {"lease_until": ""}})

    async def forget(self, key: str) -> None:
        """See `ports.CommandLog`."""
        async with self._store.asked():
            await self._rows.delete_one({"_id": key, "reply": None})


class MongoCallEvents:
    """See `ports.CallEvents`. A call is one row with a map of its events: each is written on its own, in any order."""

    def __init__(self, store: MongoStore) -> None:
        self._store = store
        self._rows: AsyncIOMotorCollection[Doc] = store.database.calls

    async def add(self, event: Event) -> None:
        """See `ports.CallEvents`."""
        fields: Doc = {"org_id": event.organization, f"events.{event.sequence}": event.model_dump_json()}
        if event.name in _LISTED:
            fields[f"listed.{event.name}"] = event.model_dump_json()
        if event.name == "started":
            order = position(event.time, event.entity_id)
            fields |= {"order": order, "assistant_id": event.data.get("assistant_id")}
        async with self._store.asked():
            await self._rows.update_one(
                {"_id": shapes.call_id(event.organization, event.entity_id)}, {"$set": fields}, upsert=True
            )

    async def of_call(self, organization_id: str, call_id: str) -> Sequence[Event]:
        """See `ports.CallEvents`."""
        async with self._store.asked():
            row = await self._rows.find_one({"_id": shapes.call_id(organization_id, call_id)})
        return [Event.model_validate_json(text) for text in (row or {}).get("events", {}).values()]

    async def page(self, organization_id: str, wanted: ListCalls, *, before: str | None) -> Sequence[tuple[Event, ...]]:
        """See `ports.CallEvents`."""
        query: Doc = {"org_id": organization_id, "order": {"$exists": True} if before is None else {"$lt": before}}
        if wanted.assistant_id is not None:
            query["assistant_id"] = wanted.assistant_id
        if wanted.status is not None:
            query["listed.ended"] = {"$exists": wanted.status is CallStatus.ENDED}
        if wanted.status in {CallStatus.RINGING, CallStatus.IN_PROGRESS}:
            query["listed.answered"] = {"$exists": wanted.status is CallStatus.IN_PROGRESS}
        async with self._store.asked():
            rows = self._rows.find(query, {"listed": 1}).sort("order", -1).limit(wanted.limit)
            found = await rows.to_list(wanted.limit)
        return [tuple(Event.model_validate_json(text) for text in row["listed"].values()) for row in found]


class MongoOutbox:
    """See `ports.Outbox`."""

    def __init__(self, store: MongoStore) -> None:
        self._store = store
        self._database = store.database

    async def waiting(self, limit: int) -> Sequence[Waiting]:
        """See `ports.Outbox`."""
        found: list[Waiting] = []
        async with self._store.asked():
            for name in OUTBOX_COLLECTIONS:
                rows = self._database[name].find({"outbox_n": {"$gt": 0}}).sort("updated_at", 1).limit(limit)
                for row in await rows.to_list(limit):
                    events = sorted(map(Event.model_validate_json, row["outbox"].values()), key=lambda e: e.sequence)
                    found.append(Waiting(name, row["_id"], tuple(events)))
        return found

    async def published(self, waiting: Waiting, event: Event, now: datetime) -> None:
        """See `ports.Outbox`."""
        sent = {"org_id": event.organization, "body": event.model_dump_json(), "sent_at": now}
        slot = f"outbox.{event.id}"
        async with self._store.asked():
            await self._database.events_log.update_one({"_id": event.id}, {"$set": sent}, upsert=True)
            await self._database[waiting.collection].update_one(
                {"_id": waiting.id, slot: {"$exists": True}}, {"$unset": {slot: ""}, "$inc": {"outbox_n": -1}}
            )
