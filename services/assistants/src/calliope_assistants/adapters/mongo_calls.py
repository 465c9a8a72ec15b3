"""Calls in MongoDB: a row for each event, which never changes, and a row for each call with what lists show of it.

The row of a call names the events that are summed up in it, and its revision guards each write. So an event counts
once, whoever else writes, in whatever order events come and however often.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError

from calliope.contracts.base import Event
from calliope.contracts.call_records import ListCalls
from calliope.errors import TransientError
from calliope_assistants.adapters import shapes
from calliope_assistants.adapters.mongo import MongoStore
from calliope_assistants.adapters.shapes import Doc
from calliope_assistants.call_listing import Question, questions
from calliope_assistants.ports import CallList, CallRow, ListedCall
from calliope_assistants.recorded import Recorded
from calliope_assistants.summaries import SUMMARY_VERSION, add_to, summary_of

EXAMINED_AT_ONCE: Final = 1_000
"""Rows that one list looks at, at most, when no key covers all of its filters."""
EVENTS_AT_ONCE: Final = 500
TRIES: Final = 20
_DUPLICATE: Final = 11_000
_OUTDATED: Final = {
    "$or": [{"summary_version": {"$exists": False}}, {"summary_version": {"$lt": SUMMARY_VERSION}}]
}  # `$ne` says nothing about rows without the field in a compatible store
_NOT_SHOWN: Final = {"recorded": 0, "listed": 0}


class MongoCallEvents:
    """See `ports.CallEvents`."""

    def __init__(self, store: MongoStore) -> None:
        self._store = store
        self._events: AsyncIOMotorCollection[Doc] = store.database.call_events
        self._rows: AsyncIOMotorCollection[Doc] = store.database.calls

    async def add(self, events: Sequence[Event]) -> None:
        """See `ports.CallEvents`."""
        known = await self._insert(events)
        if known:  # what stands stored counts, should an event of this sequence have been another one
            stored = dict(await self._stored(known))
            events = [stored.get(shapes.call_event_id(event), event) for event in events]
        by_row: dict[str, list[Event]] = {}
        for event in events:
            by_row.setdefault(shapes.call_id(event.organization, event.entity_id), []).append(event)
        for _ in range(TRIES):
            by_row = await self._sum_up(by_row)
            if not by_row:
                return
        raise TransientError("others write the same calls all the time", retry_after_s=1.0)

    async def get(self, organization_id: str, call_id: str) -> CallRow | None:
        """See `ports.CallEvents`."""
        row_id = shapes.call_id(organization_id, call_id)
        row = await self._row(row_id)
        if row is not None and row.get("summary_version") != SUMMARY_VERSION:
            await self._rebuild(row_id)
            row = await self._row(row_id)
        return None if row is None else CallRow(row, Recorded.parse(row["recorded"]))

    async def events(
        self, organization_id: str, call_id: str, sequences: Iterable[int], *, names: Sequence[str] | None = None
    ) -> Sequence[Event]:
        """See `ports.CallEvents`."""
        row_id = shapes.call_id(organization_id, call_id)
        found = await self._stored((f"{row_id}/{sequence}" for sequence in sequences), names)
        return sorted((event for _, event in found), key=lambda event: event.sequence)

    async def page(self, organization_id: str, wanted: ListCalls, *, before: str | None) -> CallList:
        """See `ports.CallEvents`."""
        found: dict[str, Doc] = {}
        floors = [""]
        for question in questions(organization_id, wanted, before):
            rows, floor = await self._answers(question, wanted.limit + 1)
            found |= {row["order"]: row for row in rows}
            floors.append(floor or "")
        floor = max(floors)
        complete = sorted((order for order in found if order >= floor), reverse=True)
        shown = complete[: wanted.limit]
        calls = tuple(
            ListedCall(order, summary_of(found[order]["_id"].partition("/")[2], organization_id, found[order]))
            for order in shown
        )
        return CallList(calls, next=shown[-1] if len(complete) > len(shown) else floor or None)

    async def summarize(self, limit: int) -> int:
        """See `ports.CallEvents`."""
        async with self._store.asked():
            rows = await self._rows.find(_OUTDATED, {"_id": 1}).limit(limit).to_list(limit)
        for row in rows:
            await self._rebuild(row["_id"])
        return len(rows)

    async def _insert(self, events: Sequence[Event]) -> list[str]:
        """Store the rows of events; the ids of those that were there already."""
        new = {shapes.call_event_id(event): shapes.call_event(event) for event in events}
        documents = list(new.values())
        async with self._store.asked("store events of calls"):
            try:
                await self._events.insert_many(documents, ordered=False)
            except BulkWriteError as exc:
                return [documents[at]["_id"] for at in _duplicates(exc)]
        return []

    async def _sum_up(self, by_row: dict[str, list[Event]]) -> dict[str, list[Event]]:
        """Add events to the rows of their calls; those that are to be tried again, as somebody else wrote there."""
        async with self._store.asked():
            rows = {row["_id"]: row async for row in self._rows.find({"_id": {"$in": list(by_row)}})}
        writes: list[InsertOne[Doc] | UpdateOne] = []
        again: dict[str, list[Event]] = {}
        for row_id, events in by_row.items():
            row = rows.get(row_id)
            if row is not None and row.get("summary_version") != SUMMARY_VERSION:
                await self._rebuild(row_id)
                again[row_id] = events
                continue
            changed = _with(row, row_id, events)
            if changed is None:
                continue  # it holds them all
            again[row_id] = events
            guard = {"_id": row_id, "revision": changed["revision"] - 1}
            writes.append(InsertOne(changed) if row is None else UpdateOne(guard, {"$set": changed}))
        return again if await self._write(writes) < len(again) else {}

    async def _write(self, writes: Sequence[InsertOne[Doc] | UpdateOne]) -> int:
        """How many were done."""
        if not writes:
            return 0
        async with self._store.asked("sum up events of calls"):
            try:
                done = await self._rows.bulk_write(list(writes), ordered=False)
            except BulkWriteError as exc:
                return len(writes) - len(_duplicates(exc))
        return done.matched_count + done.inserted_count

    async def _answers(self, question: Question, limit: int) -> tuple[list[Doc], str | None]:
        """Rows that a question finds, and the position down to which it looked; None: to the end."""
        path = f"listed.{question.key}"
        within = {path: {"$gte": question.low, "$lt": question.high}}
        most = EXAMINED_AT_ONCE if question.also else limit
        checked = {path.partition(".")[0]: 1 for path in question.also}  # a compatible store shows no inner parts
        parts = {"order": 1, **checked} if question.also else _NOT_SHOWN
        async with self._store.asked("list calls"):
            rows = await self._rows.find(within, parts).sort(path, -1).limit(most).to_list(most)
        floor = rows[-1]["order"] if len(rows) == most else None
        if not question.also:
            return rows, floor
        wanted = [row for row in rows if question.admits(row)]
        if len(wanted) > limit:
            wanted = wanted[:limit]
            floor = wanted[-1]["order"]
        if not wanted:  # a compatible store looks through all rows for no ids
            return [], floor
        async with self._store.asked("list calls"):
            ids = [row["_id"] for row in wanted]
            return await self._rows.find({"_id": {"$in": ids}}, _NOT_SHOWN).to_list(limit), floor

    async def _row(self, row_id: str) -> Doc | None:
        async with self._store.asked("read a call"):
            return await self._rows.find_one({"_id": row_id})

    async def _stored(self, ids: Iterable[str], names: Sequence[str] | None = None) -> list[tuple[str, Event]]:
        asked_for = list(ids)
        if not asked_for:
            return []
        wanted: Doc = {"_id": {"$in": asked_for}}
        if names is not None:
            wanted["name"] = {"$in": list(names)}
        async with self._store.asked("read events of a call"):
            rows = await self._events.find(wanted, {"body": 1}).to_list(len(asked_for))
        return [(row["_id"], Event.model_validate_json(row["body"])) for row in rows]

    async def _rebuild(self, row_id: str) -> None:
        """A row of another version, made anew of the events of its call; whoever is first writes it.

        The first version kept the events in the row: each gets a row of its own.
        """
        old = await self._row(row_id)
        if old is None or old.get("summary_version") == SUMMARY_VERSION:
            return
        kept = [Event.model_validate_json(text) for text in old.get("events", {}).values()]
        for at in range(0, len(kept), EVENTS_AT_ONCE):
            await self._insert(kept[at : at + EVENTS_AT_ONCE])
        known = Recorded.parse(old.get("recorded", "")).plus(event.sequence for event in kept)
        row: Doc = {"_id": row_id, "org_id": old["org_id"], "revision": old.get("revision", 0)}
        read_to = 0
        while sequences := known.after(read_to, EVENTS_AT_ONCE):
            for _, event in await self._stored(f"{row_id}/{sequence}" for sequence in sequences):
                add_to(row, event)
            read_to = sequences[-1]
        row = shapes.call_row(row, known)
        gone = {name: "" for name in old if name not in row}
        change = {"$set": row, "$unset": gone} if gone else {"$set": row}
        version = old.get("summary_version", {"$exists": False})  # no `$or`: a compatible store forgets the id then
        async with self._store.asked("sum up a call anew"):
            await self._rows.update_one({"_id": row_id, "summary_version": version}, change)


def _with(row: Doc | None, row_id: str, events: Iterable[Event]) -> Doc | None:
    """The row of a call after events; None, when it holds them all."""
    recorded = Recorded.parse("" if row is None else row["recorded"])
    new = {event.sequence: event for event in events if event.sequence not in recorded}
    if not new:
        return None
    row = row or {"_id": row_id, "org_id": row_id.partition("/")[0], "revision": 0}
    for event in new.values():
        add_to(row, event)
    return shapes.call_row(row, recorded.plus(new))


def _duplicates(error: BulkWriteError) -> list[int]:
    """Which of the documents were there already. Raises: the error, when it says anything else."""
    refused: list[dict[str, Any]] = error.details["writeErrors"]
    if any(each["code"] != _DUPLICATE for each in refused) or error.details.get("writeConcernErrors"):
        raise error
    return [each["index"] for each in refused]
