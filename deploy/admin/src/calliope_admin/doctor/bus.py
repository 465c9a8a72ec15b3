"""Looks at the bus: its version, JetStream, clock, streams, durables and dead letters."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from calliope.errors import CalliopeError
from calliope.messaging import inspection
from calliope.messaging.broker import Bus
from calliope.messaging.dead_letter_form import REFUSED
from calliope.messaging.dead_letters import DeadLetter, DeadLetters
from calliope.messaging.streams import ASSISTANTS_OUTBOX, DURABLES, EVENTS, STREAMS, Stream
from calliope_admin.doctor.clocks import clock_finding
from calliope_admin.doctor.durables import DurableLook, look_at_all
from calliope_admin.doctor.findings import About, Finding, well, wrong
from calliope_admin.doctor.streams import (
    PROVISION,
    copies_trouble,
    dead_trouble,
    held_trouble,
    reading_trouble,
    room_trouble,
)
from calliope_admin.moments import age

LEAST_VERSION: Final = (2, 12)
MOST_REFUSED: Final = 20
_START: Final = "is it running, and does this user have its permissions?"


class BusLooks:
    """Every look at one bus. `replicas` is how many copies of a stream are wanted, if somebody said so."""

    def __init__(self, bus: Bus, replicas: int | None) -> None:
        self._bus = bus
        self._replicas = replicas

    async def server(self) -> list[Finding]:
        """Version and JetStream."""
        server = inspection.server(self._bus)
        least = ".".join(map(str, LEAST_VERSION))
        if tuple(int(part) for part in server.version.split(".")[:2]) < LEAST_VERSION:
            advice = f"install {least} or newer: scheduled messages, which wake retries, begin there"
            return [wrong(About.BUS, f"NATS {server.version} is too old", advice)]
        return await _told(About.BUS, self._jetstream(server.version))

    async def _jetstream(self, version: str) -> list[Finding]:
        await inspection.keeps_messages(self._bus)
        return [well(About.BUS, f"NATS {version} with JetStream answers at {self._bus.servers}.")]

    async def clock(self) -> list[Finding]:
        """The clock of the bus against ours."""

        async def look() -> list[Finding]:
            ahead = await inspection.clock_ahead_s(self._bus)
            return [] if ahead is None else [clock_finding("the bus", ahead)]

        return await _told(About.CLOCKS, look())

    async def streams(self) -> list[Finding]:
        """Every stream that is declared."""
        return await self._each(About.STREAMS, STREAMS, self._stream, f"All {len(STREAMS)} streams are as declared.")

    async def durables(self) -> list[DurableLook]:
        """Every durable that is declared, looked at twice."""
        return await look_at_all(self._bus, DURABLES)

    async def room(self) -> list[Finding]:
        """Limits of size that NATS tells its users."""

        async def look() -> list[Finding]:
            troubles = [room_trouble(each) for each in await inspection.room(self._bus, STREAMS)]
            return [_troubled(About.STREAMS, each) for each in troubles if each is not None]

        return await _told(About.STREAMS, look())

    async def dead_letters(self) -> list[Finding]:
        """What the services gave up on."""

        async def look() -> list[Finding]:
            letters = DeadLetters(self._bus)
            counts = await letters.counts()
            oldest = (await letters.list(limit=1)).letters if counts else ()
            oldest_s = (datetime.now(UTC) - oldest[0].died_at).total_seconds() if oldest else None
            trouble = dead_trouble(counts, oldest_s)
            return (
                [_troubled(About.DEAD_LETTERS, trouble)]
                if trouble
                else [well(About.DEAD_LETTERS, "No message was given up.")]
            )

        return await _told(About.DEAD_LETTERS, look())

    async def outbox(self) -> list[Finding]:
        """Entities whose events wait behind one that the bus refused."""
        return await _told(About.OUTBOX, self._refused())

    async def _refused(self) -> list[Finding]:
        page = await DeadLetters(self._bus).list(durable=ASSISTANTS_OUTBOX.name, limit=MOST_REFUSED)
        found: list[Finding] = []
        for letter in page.letters:
            if letter.reason != REFUSED:
                continue
            stored_at = await inspection.last_stored_at(self._bus, EVENTS, letter.subject)
            if stored_at is None or stored_at < letter.died_at:  # else it went out since
                found.append(refused_finding(letter, datetime.now(UTC)))
        return found

    async def _each(
        self,
        about: About,
        things: tuple[Any, ...],
        look: Callable[[Any], Coroutine[Any, Any, list[Finding]]],
        fine: str,
    ) -> list[Finding]:
        async with asyncio.TaskGroup() as tasks:
            looks = [tasks.create_task(_told(about, look(each)), name=f"doctor.{each.name}") for each in things]
        found = [finding for task in looks for finding in task.result()]
        return found or [well(about, fine)]

    async def _stream(self, stream: Stream) -> list[Finding]:
        seen = await inspection.stream_look(self._bus, stream)
        if seen is None:
            return [wrong(About.STREAMS, f"There is no stream {stream.name}.", PROVISION)]
        different, copies = seen
        found = (
            [wrong(About.STREAMS, f"{stream.name} differs in {', '.join(different)}.", PROVISION)] if different else []
        )
        trouble = copies_trouble(stream.name, copies, self._replicas)
        return [*found, _troubled(About.STREAMS, trouble)] if trouble else found


def durable_findings(looks: Iterable[DurableLook], away: Mapping[str, str]) -> list[Finding]:
    """What is wrong with durables; `away` is what each service waits for, when that is known."""
    every = list(looks)
    found = [finding for look in every for finding in _durable_judged(look, away.get(look.durable.service))]
    return found or [well(About.CONSUMERS, f"All {len(every)} durable consumers are as declared and read.")]


def _durable_judged(look: DurableLook, away: str | None) -> list[Finding]:
    if look.problem is not None:
        return [wrong(About.CONSUMERS, f"{look.problem}.", _START)]
    if look.before is None or look.now is None:
        return [wrong(About.CONSUMERS, f"There is no durable consumer {look.durable.name}.", PROVISION)]
    if look.different:
        return [wrong(About.CONSUMERS, f"{look.durable.name} differs in {', '.join(look.different)}.", PROVISION)]
    trouble = held_trouble(look.durable, look.before, look.now, away) if away is not None else None
    trouble = trouble or reading_trouble(look.durable, look.before, look.now)
    return [_troubled(About.CONSUMERS, trouble)] if trouble else []


def refused_finding(letter: DeadLetter, now: datetime) -> Finding:
    """An event of the outbox that the bus refused, and whose later events wait behind it."""
    _, _, organization, entity, entity_id, *_ = (*letter.subject.split("."), "?", "?", "?", "?", "?")
    words = (
        f"Events of {entity} {entity_id} of {organization} wait behind one that the bus refused "
        f"{age((now - letter.died_at).total_seconds())} ago (dead letter {letter.id})."
    )
    return wrong(
        About.OUTBOX,
        words,
        f"mend what `calliope-admin dead-letters show {letter.id}` says, then `dead-letters replay {letter.id}`; "
        "without that it is tried every five minutes",
    )


def _troubled(about: About, trouble: tuple[str, str]) -> Finding:
    words, advice = trouble
    return wrong(about, f"{words}.", advice)


async def _told(about: About, look: Coroutine[Any, Any, list[Finding]]) -> list[Finding]:
    """A look that fails is a finding, too."""
    try:
        return await look
    except CalliopeError as exc:
        return [wrong(about, f"{exc}.", _START)]
