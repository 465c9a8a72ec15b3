"""Which commands were done, and what they were answered: the memory that makes a repeated one harmless."""

import json
from datetime import datetime, timedelta

from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo.errors import DuplicateKeyError

from calliope_assistants.adapters import shapes
from calliope_assistants.adapters.mongo import MongoStore
from calliope_assistants.adapters.shapes import Doc
from calliope_assistants.ports import (
    COMMANDS_KNOWN,
    Done,
    may_be_the_same,
)


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
        same = may_be_the_same(row["hash"], request_hash)
        given_up = row["reply"] is None and same and row["lease_until"] < shapes.text(now)
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
