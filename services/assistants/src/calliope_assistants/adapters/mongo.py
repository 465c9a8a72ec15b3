"""The store in MongoDB: its client, its indexes, what its errors mean. `mongo_*.py` ask it; rows are in `shapes.py`.

Only operators are used that every compatible store has: maps instead of arrays, no transactions, no partial unique
index.
"""

from contextlib import AbstractAsyncContextManager
from typing import Final

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo.errors import DuplicateKeyError

from calliope.settings import MongoSettings
from calliope.storage.calls import StoreCalls, refusal
from calliope.storage.mongo_errors import fault_of, reading_address, refused
from calliope_assistants.adapters.shapes import Doc
from calliope_assistants.call_listing import KEYS
from calliope_assistants.ports import COMMANDS_KNOWN

OUTBOX_COLLECTIONS: Final = ("organizations", "api_keys", "assistants", "phone_numbers")
_NAME: Final = "assistants"
SENT_DAYS: Final = 7
_SELECTION_S: Final = 1.0
"""A store that is known to be away is not hoped for: callers have 2 s, and what they remember."""


class MongoStore:
    """One client, made inside its event loop; nothing waits for the store longer than `timeout_s`."""

    def __init__(self, settings: MongoSettings) -> None:
        timeout_ms = int(settings.timeout_s * 1_000)
        self._calls = StoreCalls(settings.timeout_s, fault_of)
        with reading_address():
            self._client: AsyncIOMotorClient[Doc] = AsyncIOMotorClient(
                settings.url.get_secret_value(),
                serverSelectionTimeoutMS=int(min(_SELECTION_S, settings.timeout_s) * 1_000),
                connectTimeoutMS=timeout_ms,
                socketTimeoutMS=timeout_ms,
                waitQueueTimeoutMS=timeout_ms,
                maxPoolSize=settings.pool_size,
                tz_aware=True,
                appname=f"calliope-{_NAME}",
            )
        self.database: AsyncIOMotorDatabase[Doc] = self._client[settings.database]

    async def prepare(self) -> None:
        """Indexes; existing ones stay. Raises: TransientError; StoreRefusedError, when that does not heal."""
        db, unique, day_s = self.database, {"unique": True}, int(COMMANDS_KNOWN.total_seconds())
        indexes: list[tuple[AsyncIOMotorCollection[Doc], list[tuple[str, int]], Doc]] = [
            (db.assistants, [("org_id", 1), ("name_key", 1)], unique),
            (db.assistants, [("org_id", 1), ("order", -1)], {}),
            (db.phone_numbers, [("org_id", 1), ("assistant_id", 1)], {}),
            (db.organizations, [("name_key", 1)], unique),
            (db.organizations, [("order", -1)], {}),
            (db.api_keys, [("key_sha256", 1)], unique),
            (db.api_keys, [("org_id", 1), ("order", -1)], {}),
            (db.commands, [("at", 1)], {"expireAfterSeconds": day_s}),
            (db.events_log, [("sent_at", 1)], {"expireAfterSeconds": SENT_DAYS * 86_400}),
            (db.calls, [("summary_version", 1)], {}),
            *((db.calls, [(f"listed.{key}", -1)], {}) for key in KEYS),
            *((db[name], [("outbox_n", 1), ("updated_at", 1)], {}) for name in OUTBOX_COLLECTIONS),
        ]
        for collection, keys, options in indexes:
            doing = f"create the index {'_'.join(name for name, _ in keys)} of {collection.name}"
            try:
                async with self.asked(doing):
                    await collection.create_index(keys, **options)
            except DuplicateKeyError as exc:
                said = refused(exc)
                raise refusal(said.code, said.name, said.words, doing=doing) from exc

    def asked(self, doing: str = "") -> AbstractAsyncContextManager[None]:
        """See `StoreCalls.asked`."""
        return self._calls.asked(doing)

    def written(self) -> AbstractAsyncContextManager[None]:
        """See `StoreCalls.written`."""
        return self._calls.written()

    async def added(self, rows: AsyncIOMotorCollection[Doc], new: Doc) -> bool:
        """Write a new row; False when its key is taken. Raises: as `written`."""
        try:
            async with self.written():
                await rows.insert_one(new)
        except DuplicateKeyError:
            return False
        return True

    async def ping(self) -> None:
        """Readiness. Raises: TransientError."""
        async with self.asked("ping"):
            await self.database.command("ping")

    async def check_writes(self) -> None:
        """Return when it takes writes: a store whose disk is full answers a ping. Raises: TransientError."""
        async with self.asked("note that it takes writes"):
            await self.database.store_checks.update_one({"_id": _NAME}, {"$inc": {"n": 1}}, upsert=True)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()
