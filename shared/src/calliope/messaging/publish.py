"""Putting events on the bus so that they are there exactly once: same id on every try, and a fence for journals.

    publisher = EventPublisher(bus)
    sequence = await publisher.publish(event)                       # returns the stream sequence, stored

    journal = subjects.events_of(Entity.CALL, organization=org, entity_id=call_id)
    last = await publisher.last_sequence(journal)                   # 0 when there is none
    last = await publisher.publish(event, after=Last(journal, last))   # SequenceConflict: somebody else wrote

    wakes = Scheduler(bus, service="webhooks")
    await wakes.at(due_at, key=delivery_id, body=b"{}")             # arrives on streams.WEBHOOKS_WAKE
    await wakes.cancel(delivery_id)

A publish that timed out is of unknown outcome. The server (2.15.1) checks the expected sequence *before* it looks for
duplicates, so the retry of a stored event is refused with `wrong last sequence` instead of being recognised. So a
refusal is looked into: when the last message of the journal carries our id, the publish has succeeded.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog
from nats.errors import Error as NatsError
from nats.js.api import Header, PubAck
from nats.js.errors import APIError, BadRequestError, NoStreamResponseError, NotFoundError

from calliope.contracts import subjects
from calliope.contracts.base import Event
from calliope.errors import CalliopeError, PermanentError, TransientError
from calliope.messaging.streams import EVENTS, SCHED
from calliope.observability import metrics, traces

if TYPE_CHECKING:
    from calliope.messaging.broker import Bus

TIMEOUT_S: Final = 5.0
BUDGET_S: Final = 16.0
"""For all tries together: a new leader takes up to 9 s."""
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0
WRONG_LAST_SEQUENCE: Final = (10071, 10164)
_NO_ROOM: Final = frozenset({10002, 10023, 10047, 10077})
"""The account's, the server's or the stream's limit is reached; the first of them comes as a bad request."""
EXPECTED_LAST: Final = "Nats-Expected-Last-Subject-Sequence"
_EXPECTED_FILTER: Final = "Nats-Expected-Last-Subject-Sequence-Subject"
_LAST_IN_WORDS: Final = re.compile(r"wrong last sequence: (\d+)")

log = structlog.get_logger()

_RETRIES: Final = metrics.counter(
    "calliope_publish_retries_total", "Tries to publish that failed and were repeated.", "stream", "reason"
)
_SECONDS: Final = metrics.histogram("calliope_publish_seconds", "Events published, all tries.", "stream", "result")


class SequenceConflict(CalliopeError):  # noqa: N818 - the name of the thing that happened
    """Somebody else appended to this journal: whoever gets this is not its owner any more."""

    def __init__(self, journal: str, expected: int, actual: int | None) -> None:
        super().__init__(f"{journal} was expected at {expected} and is at {actual}")
        self.expected = expected
        self.actual = actual


class NotStoredError(TransientError):
    """It is certain that this try stored nothing: it was refused for now, or never sent."""


@dataclass(frozen=True, slots=True)
class Last:
    """Only append when the last message of all subjects matching `journal` has this stream sequence (0: none)."""

    journal: str
    sequence: int


def encode(event: Event) -> bytes:
    """The bytes of an envelope: the same for the bus, for live feeds and for webhooks."""
    return event.model_dump_json(exclude={"traceparent"} if event.traceparent is None else None).encode()


def subject_of(event: Event) -> str:
    """Where an event belongs."""
    return subjects.event(event.organization, event.entity, event.entity_id, event.name)


class EventPublisher:
    """Publishes with acknowledgement, repeating an unknown outcome under the same id."""

    def __init__(self, bus: "Bus", *, timeout_s: float = TIMEOUT_S, budget_s: float = BUDGET_S) -> None:
        self._bus = bus
        self._timeout_s = timeout_s
        self._budget_s = budget_s

    async def publish(self, event: Event, *, after: Last | None = None) -> int:
        """Store an event; see `publish_bytes`."""
        return await self.publish_bytes(subject_of(event), encode(event), message_id=event.id, after=after)

    async def publish_bytes(self, subject: str, body: bytes, *, message_id: str, after: Last | None = None) -> int:
        """Store an encoded envelope and return its sequence in EVENTS.

        Raises: SequenceConflict; PermanentError, when it can never be stored (too large);
        TransientError, when the outcome is unknown or it was not stored: publish again with the same id.
        """
        headers = traces.inject({"content-type": "application/json", Header.MSG_ID.value: message_id})
        if after is not None:
            headers |= {EXPECTED_LAST: str(after.sequence), _EXPECTED_FILTER: after.journal}
        began, result = time.perf_counter(), "failed"
        try:
            ack = await stored(
                self._bus, EVENTS.name, subject, body, headers, timeout_s=self._timeout_s, budget_s=self._budget_s
            )
            result = "duplicate" if ack.duplicate else "stored"
        except BadRequestError as exc:
            if after is None or exc.err_code not in WRONG_LAST_SEQUENCE:
                raise PermanentError(f"{subject} was refused: {exc.description}") from exc
            sequence = await self._own_sequence(exc, message_id, after)
            result = "recognised"
            return sequence
        else:
            return int(ack.seq)
        finally:
            _SECONDS.labels(EVENTS.name, result).observe(time.perf_counter() - began)

    async def publish_once(self, event: Event, *, after: Last) -> int:
        """One try, for those who repeat it themselves; the sequence in EVENTS.

        Raises: SequenceConflict; PermanentError, when it can never be stored; NotStoredError;
        TransientError, when the outcome is unknown: publish again, with the same position.
        """
        if not self._bus.up.is_set():
            raise NotStoredError("not connected to NATS")
        headers = traces.inject({"content-type": "application/json", Header.MSG_ID.value: event.id})
        headers |= {EXPECTED_LAST: str(after.sequence), _EXPECTED_FILTER: after.journal}
        began, result = time.perf_counter(), "failed"
        try:
            ack = await self._bus.jetstream.publish(
                subject_of(event), encode(event), timeout=self._timeout_s, stream=EVENTS.name, headers=headers
            )
            result = "duplicate" if ack.duplicate else "stored"
        except BadRequestError as exc:
            if exc.err_code not in WRONG_LAST_SEQUENCE:
                raise PermanentError(f"{subject_of(event)} was refused: {exc.description}") from exc
            sequence = await self._own_sequence(exc, event.id, after)
            result = "recognised"
            return sequence
        except (APIError, NoStreamResponseError) as exc:
            raise NotStoredError(f"the bus stores nothing now: {exc}") from exc
        except (NatsError, OSError) as exc:
            raise TransientError(f"the bus did not acknowledge: {type(exc).__name__}") from exc
        else:
            return int(ack.seq)
        finally:
            _SECONDS.labels(EVENTS.name, result).observe(time.perf_counter() - began)

    async def last_sequence(self, journal: str) -> int:
        """The stream sequence of the last event matching a filter; 0 when there is none. Raises: TransientError."""
        try:
            found = await self._bus.jetstream.get_last_msg(EVENTS.name, journal)
        except NotFoundError:
            return 0
        except (NatsError, OSError, TimeoutError) as exc:
            raise TransientError("the stream cannot be read") from exc
        return int(found.seq or 0)

    async def _own_sequence(self, refusal: APIError, message_id: str, after: Last) -> int:
        """The sequence of our message, if that is what stands last. Raises: SequenceConflict, TransientError."""
        words = _LAST_IN_WORDS.search(refusal.description or "")
        actual = int(words[1]) if words else await self.last_sequence(after.journal)
        try:
            found = await self._bus.jetstream.get_msg(EVENTS.name, seq=actual) if actual else None
        except NotFoundError:
            found = None
        except (NatsError, OSError, TimeoutError) as exc:
            raise TransientError("the stream cannot be read") from exc
        if found is None or (found.headers or {}).get(Header.MSG_ID.value) != message_id:
            raise SequenceConflict(after.journal, after.sequence, actual) from refusal
        return actual


class Scheduler:
    """Wake-ups at a moment, one per key; the server fires them, also after it was away. A hint, never the truth."""

    def __init__(self, bus: "Bus", *, service: str, timeout_s: float = TIMEOUT_S, budget_s: float = BUDGET_S) -> None:
        self._bus = bus
        self._service = service
        self._timeout_s = timeout_s
        self._budget_s = budget_s

    async def at(self, moment: datetime, *, key: str, body: bytes = b"{}") -> None:
        """Deliver `body` to the service's wake durable at `moment`; replaces what was planned for `key`.

        Raises: TransientError, when that could not be made sure.
        """
        headers = {
            "content-type": "application/json",
            "Nats-Schedule": f"@at {moment.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}",
            "Nats-Schedule-Target": subjects.due(self._service, key),
        }
        try:
            await stored(
                self._bus,
                SCHED.name,
                subjects.schedule(self._service, key),
                body,
                traces.inject(headers),
                timeout_s=self._timeout_s,
                budget_s=self._budget_s,
            )
        except BadRequestError as exc:
            raise PermanentError(f"the schedule was refused: {exc.description}") from exc

    async def cancel(self, key: str) -> None:
        """Forget what was planned for `key`. Raises: TransientError."""
        try:
            jetstream = self._bus.jetstream
            await jetstream.purge_stream(SCHED.name, subject=subjects.schedule(self._service, key))
        except (NatsError, OSError, TimeoutError) as exc:
            raise TransientError("the schedule could not be cancelled") from exc


async def stored(
    bus: "Bus", stream: str, subject: str, body: bytes, headers: dict[str, str], *, timeout_s: float, budget_s: float
) -> PubAck:
    """Publish until it is acknowledged or refused. Raises: BadRequestError, PermanentError, TransientError."""
    pause_s = _FIRST_PAUSE_S
    last: Exception | None = None
    try:
        async with asyncio.timeout(budget_s):
            while True:
                try:
                    await bus.up.wait()
                    jetstream = bus.jetstream
                    return await jetstream.publish(
                        subject, body, timeout=timeout_s, stream=stream, headers=dict(headers)
                    )
                except (NatsError, OSError) as exc:
                    code = exc.err_code if isinstance(exc, APIError) else None
                    if isinstance(exc, BadRequestError) and code not in _NO_ROOM:
                        raise
                    last = exc
                    _RETRIES.labels(stream, reason := _why(exc)).inc()
                    log.warning("publish.retried", stream=stream, reason=reason, error=type(exc).__name__)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    except TimeoutError as exc:
        if last is not None and _why(last) == "no_room":
            raise TransientError(f"{stream} has no room for more") from last
        raise TransientError(f"{stream} did not acknowledge within {budget_s:g} s") from (last or exc)


def _why(exc: Exception) -> str:
    """Why a try failed, as a metric's label."""
    if isinstance(exc, APIError) and exc.err_code in _NO_ROOM:
        return "no_room"
    return "refused" if isinstance(exc, APIError) else "no_answer"
