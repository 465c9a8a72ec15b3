"""Looks at one call on the bus, for people who look for what is wrong: its journal and its lease. Changes nothing."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from nats.js.errors import NotFoundError
from pydantic import ValidationError

from calliope.contracts import subjects
from calliope.contracts.base import Event
from calliope.errors import TransientError
from calliope.messaging.broker import Bus
from calliope.messaging.direct_get import Message, direct_get
from calliope.messaging.inspection import looking
from calliope.messaging.streams import CALLS, CALLS_BUCKET, EVENTS, OPEN_CALLS

BATCH: Final = 500
READ_S: Final = 5.0
WHOLE_S: Final = 60.0
"""A call of ten hours has some 50,000 facts."""
_LAGS_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Journal:
    """The facts of a call in order, and the place of the last one in the stream."""

    facts: tuple[Event, ...]
    last: int

    @property
    def end(self) -> Event | None:
        """Its end, when it has one."""
        return next((fact for fact in self.facts if fact.name == "ended"), None)

    def last_of(self, *names: str) -> Event | None:
        """The last fact of one of these names."""
        return next((fact for fact in reversed(self.facts) if fact.name in names), None)


@dataclass(frozen=True, slots=True)
class Lease:
    """Which worker holds a call, and when it said so last."""

    worker_id: str
    renewed_at: datetime | None


async def journal_of(bus: Bus, call_id: str) -> Journal | None:
    """Every fact of a call; None, when it has none. Raises: TransientError, PermanentError."""
    filter_ = subjects.events_of(subjects.Entity.CALL, entity_id=call_id)
    async with looking("the call's journal"):
        try:
            last = await bus.jetstream.get_last_msg(EVENTS.name, filter_)
        except NotFoundError:
            return None
    facts: list[Event] = []
    position = 0

    def take(message: Message) -> None:
        nonlocal position
        position = message.sequence
        try:
            facts.append(Event.model_validate_json(message.body))
        except ValidationError:
            return  # written by hand, or by a newer version

    try:
        async with asyncio.timeout(WHOLE_S):
            while position < int(last.seq or 0):
                request = {"seq": position + 1, "next_by_subj": filter_}
                read = await direct_get(bus, EVENTS.name, request, take, batch=BATCH, timeout_s=READ_S)
                if not read.messages:  # the replica that was asked is a little behind
                    await asyncio.sleep(_LAGS_S)
    except TimeoutError as exc:
        raise TransientError(f"the call's journal could not be read within {WHOLE_S:g} s") from exc
    return Journal(tuple(facts), position) if facts else None


async def latest(bus: Bus, call_id: str, name: str) -> Event | None:
    """The last fact of a call by its name. Raises: TransientError, PermanentError."""
    async with looking("the call's journal"):
        try:
            found = await bus.jetstream.get_last_msg(
                EVENTS.name, subjects.events_of(subjects.Entity.CALL, entity_id=call_id, name=name)
            )
        except NotFoundError:
            return None
    try:
        return Event.model_validate_json(found.data or b"")
    except ValidationError:
        return None


async def last_fact(bus: Bus, call_id: str) -> Event | None:
    """The last fact of a call, analysis included. Raises: TransientError, PermanentError."""
    return await latest(bus, call_id, ">")


async def held_calls(bus: Bus) -> set[str]:
    """Calls that a worker holds now. Raises: TransientError, PermanentError."""
    return await _last_tokens(bus, CALLS.name)


async def open_calls(bus: Bus) -> set[str]:
    """Calls that began and are not known to have ended. Raises: TransientError, PermanentError."""
    return await _last_tokens(bus, OPEN_CALLS.name)


async def _last_tokens(bus: Bus, stream: str) -> set[str]:
    """Of all subjects of a stream that have a message."""
    async with looking(f"stream {stream}"):
        try:
            info = await bus.jetstream.stream_info(stream, subjects_filter=">")
        except NotFoundError:
            return set()
    return {subject.rpartition(".")[2] for subject in info.state.subjects or {}}


async def lease_of(bus: Bus, call_id: str) -> Lease | None:
    """Who holds a call now; None, when nobody does. Raises: TransientError, PermanentError."""
    async with looking("the call's lease"):
        try:
            found = await bus.jetstream.get_last_msg(CALLS.name, f"$KV.{CALLS_BUCKET}.{call_id}")
        except NotFoundError:
            return None
    try:
        lease: Any = orjson.loads(found.data or b"")
        return Lease(str(lease["worker_id"]), found.time)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None  # given back: an empty message
