"""The events of calls, and beside them what lists show: written in one act, each event once."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo.errors import DuplicateKeyError

from calliope.contracts.base import Event
from calliope.contracts.call_records import TOOL_PREFIX, ListCalls
from calliope.contracts.calls import Stage
from calliope_assistants.adapters import shapes
from calliope_assistants.adapters.mongo import MongoStore
from calliope_assistants.adapters.shapes import Doc
from calliope_assistants.pages import position
from calliope_assistants.ports import ListedCall
from calliope_assistants.summaries import STATUSES, SUMMARY_VERSION, Change, change_of, row_of, summary_of

_CURRENT: Final = {"summary_version": SUMMARY_VERSION}
_OUTDATED: Final = {
    "$or": [{"summary_version": {"$exists": False}}, {"summary_version": {"$lt": SUMMARY_VERSION}}]
}  # `$ne` says nothing about rows without the field in a compatible store


class MongoCallEvents:
    """See `ports.CallEvents`. A call is one row with a map of its events; what is beside it is in `summaries`.

    An event is added while its row does not hold it, so its sums are counted once, whoever else writes. Paths into
    maps are only written to rows that are there: a compatible store takes dots for a part of the name in new ones.
    """

    def __init__(self, store: MongoStore) -> None:
        self._store = store
        self._rows: AsyncIOMotorCollection[Doc] = store.database.calls

    async def add(self, event: Event) -> None:
        """See `ports.CallEvents`."""
        row_id, slot = shapes.call_id(event.organization, event.entity_id), f"events.{event.sequence}"
        missing = {"_id": row_id, **_CURRENT, slot: {"$exists": False}}
        update = _update(change_of(event), {slot: event.model_dump_json()})
        async with self._store.asked():
            added = await self._rows.update_one(missing, update)
        if added.matched_count == 0:  # it is there already, or its row is not, or is of another kind
            await self._make_ready(row_id, event.organization)
            async with self._store.asked():
                await self._rows.update_one(missing, update)

    async def of_call(self, organization_id: str, call_id: str) -> Sequence[Event]:
        """See `ports.CallEvents`."""
        async with self._store.asked():
            row = await self._rows.find_one({"_id": shapes.call_id(organization_id, call_id)}, {"events": 1})
        return _events(row or {})

    async def page(self, organization_id: str, wanted: ListCalls, *, before: str | None) -> Sequence[ListedCall]:
        """See `ports.CallEvents`."""
        query = _query(organization_id, wanted, before)
        async with self._store.asked():
            rows = self._rows.find(query, {"events": 0}).sort("order", -1).limit(wanted.limit)
            found = await rows.to_list(wanted.limit)
        return [await self._listed(organization_id, row) for row in found]

    async def summarize(self, limit: int) -> int:
        """See `ports.CallEvents`."""
        async with self._store.asked():
            rows = await self._rows.find(_OUTDATED, {"_id": 1}).limit(limit).to_list(limit)
        for row in rows:
            await self._summarized(row["_id"])
        return len(rows)

    async def _make_ready(self, row_id: str, organization_id: str) -> None:
        """See to it that there is a row, of the present kind."""
        async with self._store.asked():
            row = await self._rows.find_one({"_id": row_id}, {"summary_version": 1})
        if row is None:
            with suppress(DuplicateKeyError):  # another event of the call was first
                async with self._store.asked():
                    await self._rows.insert_one({"_id": row_id, "org_id": organization_id, "events": {}, **_CURRENT})
        elif row.get("summary_version") != SUMMARY_VERSION:
            await self._summarized(row_id)

    async def _summarized(self, row_id: str) -> Doc:
        """A row of another kind, with a summary made of its events; whoever is first writes it."""
        async with self._store.asked():
            row = await self._rows.find_one({"_id": row_id})
        if row is None or row.get("summary_version") == SUMMARY_VERSION:
            return row or {}
        summary = {**row_of(_events(row)), **_CURRENT}
        gone = {name: "" for name in row if name not in {"_id", "org_id", "events", *summary}}
        update = _operators({"$set": summary, "$unset": gone})
        async with self._store.asked():
            await self._rows.update_one({"_id": row_id, **_OUTDATED}, update)
        return {"_id": row_id, **summary}

    async def _listed(self, organization_id: str, row: Doc) -> ListedCall:
        if row.get("summary_version") != SUMMARY_VERSION:
            row = await self._summarized(row["_id"])
        call_id = row["_id"].partition("/")[2]
        return ListedCall(row["order"], summary_of(call_id, organization_id, row))


def _events(row: Doc) -> list[Event]:
    return [Event.model_validate_json(text) for text in row.get("events", {}).values()]


def _update(change: Change, also: Doc) -> Doc:
    put = {**change.put, **also}
    return _operators({"$set": put, "$inc": change.add, "$max": change.greatest, "$min": change.least})


def _operators(update: Doc) -> Doc:
    """Stores refuse operators without fields."""
    return {operator: fields for operator, fields in update.items() if fields}


def _query(organization_id: str, wanted: ListCalls, before: str | None) -> Doc:
    """Every part has its index, each together with `order`."""
    order: Doc = {"$exists": True}
    if wanted.since is not None:
        order = {"$gte": position(wanted.since, "")}
    if wanted.until is not None:
        before = min(filter(None, (before, position(wanted.until, ""))))
    if before is not None:
        order = {**order, "$lt": before} if "$gte" in order else {"$lt": before}
    query: Doc = {"org_id": organization_id, "order": order}
    if wanted.assistant_id is not None:
        query["assistant_id"] = wanted.assistant_id
    if wanted.status is not None:
        query["status"] = STATUSES.index(wanted.status)
    if wanted.ended_reason is not None:
        query["ended_reason"] = wanted.ended_reason.value
    if wanted.problem is not None:
        query[f"failed.{wanted.problem.removeprefix(TOOL_PREFIX)}"] = 1
        if wanted.problem.startswith(TOOL_PREFIX):
            query[f"failed.{Stage.TOOL}"] = 1
    if wanted.number is not None:
        query["$or"] = [{"from_number": wanted.number}, {"to_number": wanted.number}]
    return query
