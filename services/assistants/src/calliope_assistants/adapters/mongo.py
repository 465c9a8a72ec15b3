"""The store in MongoDB: its client, its indexes, what its errors mean. `mongo_*.py` ask it; rows are in `shapes.py`.

Only operators are used that every compatible store has: maps instead of arrays, no transactions, no partial unique
index.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo.errors import (
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)

from calliope.errors import TransientError
from calliope.settings import MongoSettings
from calliope.storage import refusal
from calliope_assistants.adapters.shapes import Doc
from calliope_assistants.ports import COMMANDS_KNOWN

OUTBOX_COLLECTIONS: Final = ("organizations", "api_keys", "assistants", "phone_numbers")
SENT_DAYS: Final = 7
CALL_FILTERS: Final = ("assistant_id", "status", "ended_reason", "from_number", "to_number", "failed.any")
"""What lists of calls are narrowed by; problems of one kind are looked for among calls with any."""
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
            (db.calls, [("org_id", 1), ("order", -1)], {}),
            (db.calls, [("summary_version", 1)], {}),
            *((db.calls, [("org_id", 1), (name, 1), ("order", -1)], {}) for name in CALL_FILTERS),
            *((db[name], [("outbox_n", 1), ("updated_at", 1)], {}) for name in OUTBOX_COLLECTIONS),
        ]
        for collection, keys, options in indexes:
            doing = f"create the index {'_'.join(name for name, _ in keys)} of {collection.name}"
            try:
                async with self.asked(doing):
                    await collection.create_index(keys, **options)
            except DuplicateKeyError as exc:
                raise _refused(exc, doing) from exc

    @asynccontextmanager
    async def asked(self, doing: str = "answer a question") -> AsyncIterator[None]:
        """Around one question, or a write that may be done twice; `doing` names it.

        Raises: TransientError; StoreRefusedError, when the store refuses it for good.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except DuplicateKeyError:
            raise
        except ExecutionTimeout as exc:
            raise TransientError(_AWAY, retry_after_s=2.0) from exc
        except OperationFailure as exc:
            raise _refused(exc, doing) from exc
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
        except OperationFailure as exc:
            raise _refused(exc, "write") from exc
        except PyMongoError as exc:
            raise TransientError("the store refused", retry_after_s=2.0) from exc

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
        async with self.asked():
            await self.database.command("ping")

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()


def _refused(error: OperationFailure, doing: str) -> TransientError:
    """What the store's own answer means."""
    details = error.details or {}
    labels = details.get("errorLabels") or ()
    return refusal(error.code, details.get("codeName"), str(details.get("errmsg", "")), doing=doing, labels=labels)
