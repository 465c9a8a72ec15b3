"""Reads journals of calls from JetStream in batches: whole, or what matters of a long one.

The stream's leader is asked for the last fact first, and nothing is answered that does not reach it: a replica that
answers the rest may not know it yet.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from calliope.contracts import subjects
from calliope.contracts.base import Event
from calliope.errors import TransientError
from calliope.messaging.broker import Bus
from calliope.messaging.direct_get import Message, direct_get
from calliope.messaging.streams import EVENTS
from calliope_call_worker.errors import JOURNALS

READ_S: Final = 5.0
"""One request."""
WHOLE_S: Final = 120.0
BATCH: Final = 250
"""Facts per request."""
HEAD: Final = 8
"""The first facts say who called and when it was answered."""
RECENT: Final = 400
"""The latest facts that are read at least; a history that goes to a model has fewer."""
MOST_RECENT: Final = 2_000
_LAGS_S: Final = 0.05
_WINDOWS: Final = (1.5, 6, 24)
"""Times longer than `RECENT` facts took on the average; facts do not come evenly."""

Facts = tuple[tuple[Event, ...], int]


@dataclass(frozen=True, slots=True)
class _Stored:
    """A fact, its position in the stream, and when the server stored it."""

    fact: Event
    position: int
    at: datetime


class JournalReader:
    """See `ports.Journals` for what the answers are."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def first(self, call_id: str) -> Event | None:
        """The first fact. Raises: TransientError."""
        journal = _journal(call_id)
        first = None if journal is None else await self._asked_leader(seq=1, subject=journal, next=True)
        return None if first is None else first.fact

    async def whole(self, call_id: str) -> Facts:
        """All facts. Raises: TransientError."""
        last = await self._last(call_id)
        return ((), 0) if last is None else _facts(await self._read(last, {"seq": 1}))

    async def scan(self, call_id: str, take: Callable[[Event], None]) -> int:
        """Each fact is given to `take`; the position of the last. Raises: TransientError."""
        last = await self._last(call_id)
        return 0 if last is None else await self._each(last, {"seq": 1}, lambda stored: take(stored.fact))

    async def recent(self, call_id: str) -> Facts:
        """The first facts and the latest. Raises: TransientError."""
        last = await self._last(call_id)
        if last is None:
            return (), 0
        if last.fact.sequence <= HEAD + RECENT:
            return _facts(await self._read(last, {"seq": 1}))
        head: list[_Stored] = []
        await self._batch(last, {"seq": 1}, head.append, HEAD)
        tail = await self._tail(head[0], last)
        return _facts([*head, *(each for each in tail if each.position > head[-1].position)])

    async def _tail(self, first: _Stored, last: _Stored) -> list[_Stored]:
        """At least `RECENT` facts, up to the last one. Where they begin is guessed from how fast they came."""
        average = max(last.at - first.at, timedelta(seconds=1)) * (RECENT / last.fact.sequence)
        for times in _WINDOWS:
            found = await self._read(last, {"start_time": (last.at - times * average).isoformat()})
            if len(found) >= RECENT:
                return found[-MOST_RECENT:]
        return (await self._read(last, {"seq": 1}))[-MOST_RECENT:]

    async def _read(self, last: _Stored, begin: Mapping[str, Any]) -> list[_Stored]:
        """From there to the last fact, and those that came since. Raises: TransientError."""
        facts: list[_Stored] = []
        await self._each(last, begin, facts.append)
        return facts

    async def _each(self, last: _Stored, begin: Mapping[str, Any], keep: Callable[[_Stored], None]) -> int:
        """As `_read`, one by one; the position of the last. Raises: TransientError."""
        position = 0

        def take(stored: _Stored) -> None:
            nonlocal position
            position = stored.position
            keep(stored)

        try:
            async with asyncio.timeout(WHOLE_S):
                while position < last.position:
                    before = position
                    await self._batch(last, begin, take, BATCH)
                    if position == before:
                        await asyncio.sleep(_LAGS_S)
                    else:
                        begin = {"seq": position + 1}
        except TimeoutError as exc:
            raise _unreadable() from exc
        return position

    async def _batch(
        self, last: _Stored, begin: Mapping[str, Any], keep: Callable[[_Stored], None], batch: int
    ) -> None:
        # With its organization the server finds the facts of a call faster.
        journal = subjects.events_of(
            subjects.Entity.CALL, organization=last.fact.organization, entity_id=last.fact.entity_id
        )

        def take(message: Message) -> None:
            keep(_Stored(Event.model_validate_json(message.body), message.sequence, message.stored_at))

        request = {**begin, "next_by_subj": journal}
        try:
            await direct_get(self._bus, EVENTS.name, request, take, batch=batch, timeout_s=READ_S)
        except TransientError as exc:
            raise TransientError(str(exc), retry_after_s=1.0, dependency=JOURNALS) from exc

    async def _last(self, call_id: str) -> _Stored | None:
        journal = _journal(call_id)
        return None if journal is None else await self._asked_leader(subject=journal)

    async def _asked_leader(self, **which: Any) -> _Stored | None:
        try:
            async with asyncio.timeout(READ_S):
                found = await self._bus.jetstream.get_msg(EVENTS.name, **which)
        except NotFoundError:
            return None
        except (NatsError, OSError, TimeoutError) as exc:
            raise _unreadable() from exc
        stored_at = found.time or datetime.now(UTC)
        return _Stored(Event.model_validate_json(found.data or b""), int(found.seq or 0), stored_at)


def _facts(stored: list[_Stored]) -> Facts:
    return tuple(each.fact for each in stored), stored[-1].position


def _unreadable() -> TransientError:
    return TransientError("the call's journal cannot be read now", retry_after_s=1.0, dependency=JOURNALS)


def _journal(call_id: str) -> str | None:
    """None for what is no id: it comes from a path that anybody can ask for."""
    try:
        return subjects.events_of(subjects.Entity.CALL, entity_id=call_id)
    except ValueError:
        return None
