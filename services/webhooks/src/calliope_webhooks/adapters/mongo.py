"""The store of webhooks: deliveries, endpoints, and which assistant a call belongs to. The only file with the driver.

The shape of its documents is in `shapes.py`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from calliope.contracts.webhooks import DeliveryAttempt, DeliveryState, ListDeliveries
from calliope.settings import MongoSettings
from calliope.storage.calls import StoreCalls
from calliope.storage.mongo_errors import fault_of, reading_address
from calliope_webhooks.adapters import shapes
from calliope_webhooks.adapters.shapes import Document
from calliope_webhooks.model import Endpoint, Row
from calliope_webhooks.ports import Announcement

_CHECKS: Final = "store_checks"
LISTED_BY: Final = ("subject", "assistant_id", "state")
"""What lists of deliveries are narrowed by."""
_CALLS_KEPT: Final = timedelta(days=30)
"""Longer than the 14 days of the event stream, so that a replayed stream finds every call's assistant."""

_REPLAYABLE: Final = (DeliveryState.DUE, DeliveryState.DELIVERED, DeliveryState.DEAD)


@asynccontextmanager
async def connect(settings: MongoSettings) -> AsyncIterator["MongoStore"]:
    """One client for the process; closing the block closes it."""
    timeout_ms = round(settings.timeout_s * 1000)
    with reading_address():
        client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
            settings.url.get_secret_value(),
            appname="calliope-webhooks",
            serverSelectionTimeoutMS=timeout_ms,
            connectTimeoutMS=timeout_ms,
            socketTimeoutMS=timeout_ms,
            waitQueueTimeoutMS=timeout_ms,
            maxPoolSize=settings.pool_size,
            retryWrites=True,
        )
    try:
        yield MongoStore(client[settings.database], StoreCalls(settings.timeout_s, fault_of))
    finally:
        client.close()


class MongoStore:
    """Implements `Rows`, `Log`, `EndpointStore` and `CallMap`."""

    def __init__(self, database: AsyncIOMotorDatabase[Document], calls: StoreCalls) -> None:
        self._database = database
        self._asked = calls.asked
        self._rows: AsyncIOMotorCollection[Document] = database["deliveries"]
        self._endpoints: AsyncIOMotorCollection[Document] = database["delivery_endpoints"]
        self._calls: AsyncIOMotorCollection[Document] = database["delivery_calls"]

    async def prepare(self) -> None:
        """Create the indexes; those that exist stay. `_id` is made from event and endpoint: unique by itself."""
        indexes: list[tuple[AsyncIOMotorCollection[Document], list[tuple[str, int]], Document]] = [
            (self._rows, [("claim_at", 1)], {}),
            (self._rows, [("endpoint_id", 1), ("claim_at", 1)], {}),
            (self._rows, [("organization_id", 1), ("position", -1)], {}),
            *((self._rows, [("organization_id", 1), (name, 1), ("position", -1)], {}) for name in LISTED_BY),
            (self._rows, [("announce_n", 1)], {}),
            (self._rows, [("expire_at", 1)], {"expireAfterSeconds": 0}),
            (self._endpoints, [("organization_id", 1), ("assistant_id", 1)], {}),
            (self._calls, [("expire_at", 1)], {"expireAfterSeconds": 0}),
        ]
        for rows, keys, options in indexes:
            async with self._asked("create indexes"):
                await rows.create_index(keys, **options)

    async def ping(self) -> None:
        """Raises: TransientError, when the store does not answer."""
        async with self._asked("ping"):
            await self._database.command("ping")

    async def check_writes(self) -> None:
        """Return when it takes writes: a store whose disk is full answers a ping. Raises: TransientError."""
        async with self._asked("note that it takes writes"):
            await self._database[_CHECKS].update_one({"_id": "webhooks"}, {"$inc": {"n": 1}}, upsert=True)

    # -- Rows

    async def add(self, row: Row) -> bool:
        async with self._asked("add a delivery"):
            try:
                await self._rows.insert_one(shapes.row_fields(row))
            except DuplicateKeyError:
                return False
        return True

    async def claim(self, endpoint_id: str, *, now_ms: int, lease: str, lease_until_ms: int) -> Row | None:
        return await self._claim({"endpoint_id": endpoint_id, "claim_at": {"$lte": now_ms}}, lease, lease_until_ms)

    async def claim_older(
        self, endpoint_id: str, *, since_before_ms: int, now_ms: int, lease: str, lease_until_ms: int
    ) -> Row | None:
        where = {"endpoint_id": endpoint_id, "claim_at": {"$lte": now_ms}, "since": {"$lt": since_before_ms}}
        return await self._claim(where, lease, lease_until_ms)

    async def _claim(self, where: Document, lease: str, lease_until_ms: int) -> Row | None:
        take = {"state": DeliveryState.SENDING.value, "claim_at": lease_until_ms, "lease": lease}
        async with self._asked("claim a delivery"):
            found = await self._rows.find_one_and_update(
                where,
                {"$set": take, "$inc": {"attempts": 1}},
                sort=[("claim_at", 1)],
                return_document=ReturnDocument.AFTER,
            )
        return shapes.row(found) if found else None

    async def delivered(self, row: Row, attempt: DeliveryAttempt) -> None:
        async with self._asked("record a delivery"):
            await self._rows.update_one({"_id": row.id}, shapes.finished(attempt, DeliveryState.DELIVERED, {}))

    async def again(self, row: Row, attempt: DeliveryAttempt, *, due_ms: int) -> bool:
        change = shapes.logged(attempt)
        change["$set"] |= {"state": DeliveryState.DUE.value, "claim_at": due_ms, "lease": ""}
        async with self._asked("put a delivery off"):
            result = await self._rows.update_one({"_id": row.id, "lease": row.lease}, change)
        return result.matched_count == 1

    async def bury(self, row: Row, attempt: DeliveryAttempt, announcement: Announcement) -> bool:
        extra = {
            "announce_n": 1,
            "announcement": {
                "event_id": announcement.event_id,
                "subject": announcement.subject,
                "body": announcement.body,
            },
        }
        change = shapes.finished(attempt, DeliveryState.DEAD, extra)
        change["$inc"] = {"deaths": 1}
        async with self._asked("give a delivery up"):
            result = await self._rows.update_one({"_id": row.id, "lease": row.lease}, change)
        return result.matched_count == 1

    async def due_endpoints(self, *, now_ms: int, limit: int) -> Sequence[tuple[str, str]]:
        stages: list[Mapping[str, Any]] = [
            {"$match": {"claim_at": {"$lte": now_ms}}},
            {"$group": {"_id": "$endpoint_id", "organization_id": {"$first": "$organization_id"}}},
            {"$limit": limit},
        ]
        async with self._asked("look for due deliveries"):
            return [(found["_id"], found["organization_id"]) async for found in self._rows.aggregate(stages)]

    async def unannounced(self, limit: int) -> Sequence[tuple[str, Announcement]]:
        async with self._asked("look for unpublished events"):
            found = await self._rows.find({"announce_n": 1}).limit(limit).to_list(limit)
        return [
            (item["_id"], Announcement(said["event_id"], said["subject"], bytes(said["body"])))
            for item in found
            if (said := item["announcement"])
        ]

    async def announced(self, delivery_id: str, event_id: str) -> None:
        async with self._asked("note a published event"):
            await self._rows.update_one(
                {"_id": delivery_id, "announcement.event_id": event_id},
                {"$set": {"announce_n": 0}, "$unset": {"announcement": ""}},
            )

    # -- Log

    async def page(self, organization_id: str, query: ListDeliveries, *, before: str | None) -> Sequence[Row]:
        where: Document = {"organization_id": organization_id}
        where |= {"subject": query.subject} if query.subject else {}
        where |= {"assistant_id": query.assistant_id} if query.assistant_id else {}
        where |= {"state": query.state.value} if query.state else {}
        where |= {"position": {"$lt": before}} if before else {}
        async with self._asked("list deliveries"):
            found = await self._rows.find(where).sort("position", -1).limit(query.limit + 1).to_list(query.limit + 1)
        return [shapes.row(item) for item in found]

    async def find(self, organization_id: str, delivery_id: str) -> Row | None:
        async with self._asked("find a delivery"):
            found = await self._rows.find_one({"_id": delivery_id, "organization_id": organization_id})
        return shapes.row(found) if found else None

    async def replay(self, organization_id: str, delivery_id: str, *, command_id: str, now_ms: int) -> Row | None:
        row = await self.find(organization_id, delivery_id)
        if row is None:
            return None
        where = {
            "_id": delivery_id,
            "organization_id": organization_id,
            "state": {"$in": [state.value for state in _REPLAYABLE]},
            "attempts": row.attempts,
        }
        begin = {
            "state": DeliveryState.DUE.value,
            "claim_at": now_ms,
            "since": now_ms,
            "tried_before": row.attempts,
            "forced": True,
            "replayed_by": command_id,
            "expire_at": datetime.now(UTC) + shapes.KEPT,
        }
        async with self._asked("replay a delivery"):
            found = await self._rows.find_one_and_update(where, {"$set": begin}, return_document=ReturnDocument.AFTER)
        return shapes.row(found) if found else None

    # -- EndpointStore

    async def put(self, endpoints: Sequence[Endpoint]) -> None:
        for endpoint in endpoints:
            known = {
                "organization_id": endpoint.organization_id,
                "assistant_id": endpoint.assistant_id,
                "kind": endpoint.kind.value,
                "url": endpoint.url,
                "secrets": {str(at): secret.model_dump() for at, secret in enumerate(endpoint.secrets)},
            }
            async with self._asked("remember an endpoint"):
                await self._endpoints.update_one(
                    {"_id": endpoint.id}, {"$set": known, "$setOnInsert": {"gone_url": None}}, upsert=True
                )

    async def get(self, endpoint_id: str) -> Endpoint | None:
        async with self._asked("find an endpoint"):
            found = await self._endpoints.find_one({"_id": endpoint_id})
        return shapes.endpoint(found) if found else None

    async def of_assistant(self, organization_id: str, assistant_id: str) -> Sequence[Endpoint]:
        where = {"organization_id": organization_id, "assistant_id": assistant_id}
        async with self._asked("find endpoints"):
            return [shapes.endpoint(found) async for found in self._endpoints.find(where)]

    async def set_gone(self, endpoint_id: str, url: str | None) -> None:
        async with self._asked("mark an endpoint"):
            await self._endpoints.update_one({"_id": endpoint_id}, {"$set": {"gone_url": url}})

    # -- CallMap

    async def put_call(self, organization_id: str, call_id: str, assistant_id: str) -> None:
        known = {"assistant_id": assistant_id, "expire_at": datetime.now(UTC) + _CALLS_KEPT}
        async with self._asked("remember a call"):
            await self._calls.update_one({"_id": f"{organization_id}/{call_id}"}, {"$set": known}, upsert=True)

    async def get_call(self, organization_id: str, call_id: str) -> str | None:
        async with self._asked("find a call"):
            found = await self._calls.find_one({"_id": f"{organization_id}/{call_id}"})
        return str(found["assistant_id"]) if found else None
