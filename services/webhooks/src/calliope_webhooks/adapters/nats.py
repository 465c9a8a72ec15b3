"""The bus as webhooks uses it: ask for endpoints, hear of changed assistants, set alarms, publish deaths."""

import asyncio
from typing import Final

import orjson
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError
from pydantic import ValidationError

from calliope.contracts import subjects
from calliope.contracts.assistants import AssistantRef, Endpoints
from calliope.contracts.base import Event
from calliope.contracts.errors import ErrorCode
from calliope.errors import CommandError, TransientError
from calliope.messaging import streams
from calliope.messaging.broker import Bus
from calliope.messaging.command_client import CommandClient
from calliope.messaging.outbox_publish import OutboxPublisher
from calliope.messaging.publish import Scheduler
from calliope_webhooks.endpoints import EndpointBook
from calliope_webhooks.fanout import assistant_in
from calliope_webhooks.model import Row, moment
from calliope_webhooks.ports import Announcement

ASSISTANTS: Final = "assistants"
"""The name of the owner of assistants among our dependencies."""
_NOBODY: Final = "none"
"""No organization and no assistant has this id: asking for it costs one look into the store."""
_ASK_S: Final = 4.0
_LOOK_S: Final = 4.0
_ALARM_S: Final = 2.0
"""An attempt waits for it; after that the sweep is the alarm."""


class BusAssistants:
    """Implements `AssistantsApi`."""

    def __init__(self, bus: Bus) -> None:
        self._commands = CommandClient(bus)

    async def endpoints(self, organization_id: str, assistant_id: str) -> Endpoints | None:
        try:
            return await self._commands.call(
                subjects.Command.ASSISTANTS_ENDPOINTS,
                AssistantRef(assistant_id=assistant_id),
                reply_type=Endpoints,
                organization=organization_id,
                timeout_s=_ASK_S,
            )
        except CommandError as exc:
            if exc.code is ErrorCode.NOT_FOUND:
                return None
            raise TransientError(f"assistants did not answer: {exc.code}", dependency=ASSISTANTS) from exc

    async def check(self) -> None:
        """Return when they are answered for. Raises: TransientError."""
        await self.endpoints(_NOBODY, _NOBODY)


class BusCallStarts:
    """Implements `CallStarts` with the stream of events."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def assistant_of(self, organization_id: str, call_id: str) -> str | None:
        subject = subjects.event(organization_id, subjects.Entity.CALL.value, call_id, "started")
        try:
            async with asyncio.timeout(_LOOK_S):
                found = await self._bus.jetstream.get_last_msg(streams.EVENTS.name, subject)
            return assistant_in(Event.model_validate_json(found.data or b""))
        except (NotFoundError, ValidationError):
            return None
        except (NatsError, OSError, TimeoutError) as exc:
            raise TransientError("the start of the call cannot be read") from exc


class BusAlarm:
    """Implements `Alarm` with scheduled messages."""

    def __init__(self, bus: Bus, *, service: str) -> None:
        self._scheduler = Scheduler(bus, service=service, timeout_s=_ALARM_S, budget_s=_ALARM_S)

    async def set(self, row: Row, *, due_ms: int) -> None:
        body = {"endpoint_id": row.endpoint_id, "organization_id": row.organization_id, "due_ms": due_ms}
        await self._scheduler.at(moment(due_ms), key=row.id, body=orjson.dumps(body))


class BusAnnouncer:
    """Implements `Announcer`."""

    def __init__(self, bus: Bus) -> None:
        self._publisher = OutboxPublisher(bus)

    async def publish(self, announcement: Announcement, *, now_ms: int) -> None:
        event = Event.model_validate_json(announcement.body)
        await self._publisher.publish_kept(event, now=moment(now_ms))


async def hear_of_changes(bus: Bus, endpoints: EndpointBook) -> None:
    """Every replica forgets a changed assistant at once; the durable tells only one of them.

    A plain subscription, because these messages carry the publisher's reply address and must not be answered.
    """

    async def forget(message: Msg) -> None:
        changed = subjects.parse_event(message.subject)
        endpoints.forget(changed.organization, changed.entity_id)

    await bus.connection.subscribe(subjects.events_of(subjects.Entity.ASSISTANT), cb=forget)
