"""NATS edge of webhooks: read one message, call one use case."""

import time
from typing import Final

import orjson
from faststream.nats.annotations import NatsMessage

from calliope.contracts.base import CommandMessage, Event
from calliope.contracts.subjects import Command
from calliope.contracts.webhooks import Delivery, DeliveryPage, ListDeliveries, ReplayDelivery
from calliope.errors import invalid
from calliope.messaging import streams
from calliope.messaging.broker import Bus, consumer
from calliope.messaging.commands import responder
from calliope_webhooks.dispatcher import Dispatcher
from calliope_webhooks.service import Deliveries, Fanout

SERVICE: Final = "webhooks"


def listen(bus: Bus, fanout: Fanout, dispatcher: Dispatcher, deliveries: Deliveries) -> None:
    """Subscribe the use cases; takes effect when the bus is started."""

    @consumer(bus, streams.WEBHOOKS_FANOUT, batch=32)
    async def fan_out(message: NatsMessage) -> None:
        """Plan one delivery per endpoint that wants the event, with its exact bytes; running twice plans them once."""
        await fanout.plan(Event.model_validate_json(message.body), message.body)

    @consumer(bus, streams.WEBHOOKS_WAKE)
    async def wake(message: NatsMessage) -> None:
        """A retry is due; waking twice finds nothing to do the second time."""
        alarm = orjson.loads(message.body)
        early_s = alarm["due_ms"] / 1000 - time.time()  # schedules have whole seconds
        dispatcher.wake_at(alarm["endpoint_id"], alarm["organization_id"], max(0.0, early_s))

    @responder(bus, Command.DELIVERIES_LIST, service=SERVICE)
    async def list_deliveries(command: CommandMessage[ListDeliveries]) -> DeliveryPage:
        """Deliveries of one organization."""
        return await deliveries.list(_organization(command.organization), command.payload)

    @responder(bus, Command.DELIVERIES_REPLAY, service=SERVICE)
    async def replay_delivery(command: CommandMessage[ReplayDelivery]) -> Delivery:
        """Send one again; twice the same command is one replay."""
        return await deliveries.replay(
            _organization(command.organization), command.payload.delivery_id, command_id=command.command_id
        )


def _organization(named: str | None) -> str:
    if named is None:
        raise invalid("a command about deliveries needs an organization")
    return named
