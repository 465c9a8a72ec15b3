"""Puts the events of an outbox on the bus once, however long ago they may have been published already.

    publisher = OutboxPublisher(bus)
    await publisher.publish_kept(event, now=datetime.now(UTC))

An outbox publishes and then notes that it did; a store that goes away in between has it publish again when it is back.
The server knows ids for as long as the stream's duplicate window. Of an older event the stream itself is asked, and
what is not found there is appended only if the entity has no newer event by then.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from calliope.contracts import subjects
from calliope.contracts.base import Event
from calliope.errors import TransientError
from calliope.messaging.direct_get import Message, direct_get
from calliope.messaging.publish import EventPublisher, Last, SequenceConflict
from calliope.messaging.streams import EVENTS

CLOCKS_DIFFER: Final = timedelta(minutes=1)
RECENT: Final = timedelta(seconds=EVENTS.duplicate_window_s) - CLOCKS_DIFFER
"""An event of which the server knows the id, if it was published: that was not before it happened."""
BATCH: Final = 250
READ_S: Final = 5.0


class OutboxPublisher(EventPublisher):
    """For writers that keep their events in a store until the bus has them; several may publish the same ones."""

    async def publish_kept(self, event: Event, *, now: datetime) -> int:
        """Store an event unless it stands in the stream; its sequence there. Raises: as `publish`."""
        if now - event.time < RECENT:
            return await self.publish(event)
        entity = subjects.Entity(event.entity)
        journal = subjects.events_of(entity, organization=event.organization, entity_id=event.entity_id)
        last, found = await self._looked_up(event, journal)
        if found is not None:
            return found
        try:
            return await self.publish(event, after=Last(journal, last))
        except SequenceConflict as exc:
            raise TransientError("somebody else published an event of this entity meanwhile") from exc

    async def _looked_up(self, event: Event, journal: str) -> tuple[int, int | None]:
        """The stream sequences of the journal's last event (0: none) and of this one. Raises: TransientError."""
        since = event.time - CLOCKS_DIFFER
        try:
            newest = await self._bus.jetstream.get_last_msg(EVENTS.name, journal)
        except NotFoundError:
            return 0, None
        except (NatsError, OSError, TimeoutError) as exc:
            raise TransientError("the stream cannot be read") from exc
        last = int(newest.seq or 0)
        if newest.time is not None and newest.time.astimezone(UTC) < since:
            return last, None
        found: list[int] = []
        read_to = 0

        def look(message: Message) -> None:
            nonlocal read_to
            read_to = message.sequence
            if Event.model_validate_json(message.body).id == event.id:
                found.append(message.sequence)

        begin: dict[str, object] = {"start_time": since.isoformat()}
        while not found and read_to < last:
            before = read_to
            request = {**begin, "next_by_subj": journal}
            await direct_get(self._bus, EVENTS.name, request, look, batch=BATCH, timeout_s=READ_S)
            if read_to == before:
                raise TransientError("the replica that answered does not know the newest events yet")
            begin = {"seq": read_to + 1}
        return last, next(iter(found), None)
