"""The events of calls, as far as the call records are made from them."""

from collections.abc import Sequence
from typing import Final

from motor.motor_asyncio import AsyncIOMotorCollection

from calliope.contracts.base import Event
from calliope.contracts.calls import CallStatus, ListCalls
from calliope_assistants.adapters import shapes
from calliope_assistants.adapters.mongo import MongoStore
from calliope_assistants.adapters.shapes import Doc
from calliope_assistants.pages import position

_LISTED: Final = ("started", "answered", "ended", "analyzed")


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
