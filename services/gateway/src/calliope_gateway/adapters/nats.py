"""The bus as the gateway hears it: which API keys are no more."""

from nats.aio.msg import Msg

from calliope.contracts import subjects
from calliope.messaging.broker import Bus
from calliope_gateway.identity import Keys


async def hear_of_revoked_keys(bus: Bus, keys: Keys) -> None:
    """Every replica refuses a revoked key as soon as it is told; what is not heard, `key_cache_s` bounds.

    A plain subscription, because these messages carry the publisher's reply address and must not be answered.
    """

    async def forget(message: Msg) -> None:
        keys.revoked(subjects.parse_event(message.subject).entity_id)

    await bus.connection.subscribe(subjects.events_of(subjects.Entity.API_KEY, name="revoked"), cb=forget)
