"""What the tests of deliveries share: real bus and store, a receiver on loopback, assistants from a dict."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook

from calliope.contracts.assistants import AssistantRef, Endpoints, secret_context
from calliope.contracts.base import CommandMessage, Event
from calliope.contracts.subjects import Command
from calliope.contracts.webhooks import Delivery, DeliveryPage, ListDeliveries, ReplayDelivery
from calliope.errors import not_found, unavailable
from calliope.ids import new_id
from calliope.messaging.broker import Bus, build_broker, start, stop
from calliope.messaging.command_client import CommandClient
from calliope.messaging.commands import responder
from calliope.messaging.publish import EventPublisher
from calliope.secrets import Sealer, generate_key, public_key_of
from calliope.settings import EgressSettings, HealthSettings, MongoSettings, NatsSettings
from calliope_webhooks.app import running
from calliope_webhooks.settings import BreakerSettings, DeliverySettings, SealingSettings, WebhooksSettings
from support.mongo import mongo_server, mongo_settings, own_mongo_server
from support.nats import bus_settings, own_nats_server

__all__ = ["bus_settings", "mongo_server", "mongo_settings", "own_mongo_server", "own_nats_server"]

ORGANIZATION = "org_1"
SECRET = f"whsec_{base64.b64encode(b'k' * 32).decode()}"
PRIVATE_KEY = generate_key()
QUICK = DeliverySettings(
    schedule_s=(0, 0.05, 0.05, 0.05), slow_s=0.05, timeout_s=2, connect_timeout_s=1, sweep_s=1, lease_margin_s=0.5
)
PATIENT = BreakerSettings(hard_failures=1_000, least_answers=1_000)


@dataclass
class Got:
    """One request as it arrived."""

    name: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verify(self, secret: str = SECRET) -> Any:
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """Answers `/name` from a script per name: statuses, or "hang"; 200 when there is nothing left."""

    port: int = 0
    got: list[Got] = field(default_factory=list)
    scripts: dict[str, list[int | str]] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def of(self, name: str) -> list[Got]:
        return [one for one in self.got if one.name == name]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        headers = {key.lower(): value for key, value in request.headers.items()}
        self.got.append(Got(name, headers, await request.read()))
        script = self.scripts.get(name, [])
        says = (script.pop(0) if len(script) > 1 or script[0] != "hang" else "hang") if script else 200
        if says == "hang":
            await self.released.wait()
            return web.Response()
        return web.Response(status=int(says), text="thanks", headers=self.headers.get(name))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{name}", receiver.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    yield receiver
    receiver.released.set()
    await runner.cleanup()


class House:
    """The world around the service: its settings, the owner of assistants, a publisher, a caller of commands."""

    def __init__(self, bus: Bus, settings: WebhooksSettings) -> None:
        self.bus = bus
        self.settings = settings
        self.publisher = EventPublisher(bus)
        self.commands = CommandClient(bus)
        self.known: dict[str, Endpoints] = {}
        self.away = False
        self.asked = 0
        self._sequence = 0

    def with_delivery(self, **changes: Any) -> "House":
        self.settings = self.settings.model_copy(update={"delivery": QUICK.model_copy(update=changes)})
        return self

    def assistant(
        self,
        name: str,
        url: str | None,
        *,
        sms_url: str | None = None,
        organization: str = ORGANIZATION,
        secrets: Sequence[str] = (SECRET,),
    ) -> str:
        """An assistant with a webhook; its id."""
        id_ = f"asst_{name}"
        sealer = Sealer(public_key_of(PRIVATE_KEY))
        context = secret_context(organization, id_, ("webhook_secret",))
        sealed = tuple(sealer.seal(secret, context=context) for secret in secrets)
        self.known[id_] = Endpoints(assistant_id=id_, webhook_url=url, sms_webhook_url=sms_url, signing_secrets=sealed)
        return id_

    def event(self, type_: str, entity_id: str, **data: Any) -> Event:
        entity = type_.split(".")[1]
        self._sequence += 1
        return Event(
            id=new_id("evt"), type=type_, source="/calliope/test", subject=f"{entity}/{entity_id}",
            time=datetime.now(UTC), organization=ORGANIZATION, sequence=self._sequence, data=data,
        )  # fmt: skip

    def started(self, assistant_id: str, call_id: str | None = None) -> Event:
        """The first fact of a call."""
        return self.event("calliope.call.started.v1", call_id or new_id("call"), assistant_id=assistant_id)

    async def tell(self, *events: Event) -> None:
        for event in events:
            await self.publisher.publish(event)

    async def deliveries(self, organization: str = ORGANIZATION, **query: Any) -> tuple[Delivery, ...]:
        page = await self.commands.call(
            Command.DELIVERIES_LIST, ListDeliveries(**query), reply_type=DeliveryPage, organization=organization
        )
        return page.items

    async def replay(self, id_: str, *, organization: str = ORGANIZATION, command_id: str | None = None) -> Delivery:
        return await self.commands.call(
            Command.DELIVERIES_REPLAY,
            ReplayDelivery(delivery_id=id_),
            reply_type=Delivery,
            organization=organization,
            command_id=command_id,
        )

    async def delivery(self, wanted: Callable[[Delivery], bool]) -> Delivery:
        """Wait for a delivery that is as wanted."""
        async with asyncio.timeout(10):
            while True:
                for found in await self.deliveries():
                    if wanted(found):
                        return found
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def open(self, *, times: int = 1) -> AsyncIterator[None]:
        """The service, running; `times` replicas of it."""
        async with AsyncExitStack() as stack:
            for _ in range(times):
                await stack.enter_async_context(running(self.settings))
            yield


@pytest.fixture
async def house(bus_settings: NatsSettings, mongo_settings: MongoSettings) -> AsyncIterator[House]:
    settings = WebhooksSettings(
        nats=bus_settings,
        mongo=mongo_settings,
        health=HealthSettings(port=0),
        egress=EgressSettings.model_validate({"allow": ["127.0.0.0/8"], "allow_http": True}),
        sealing=SealingSettings(private_keys=(SecretStr(PRIVATE_KEY),)),
        delivery=QUICK,
        breaker=PATIENT,
        shutdown_timeout_s=3,
    )
    bus = build_broker(bus_settings, "assistants", graceful_timeout_s=2.0)
    house = House(bus, settings)

    @responder(bus, Command.ASSISTANTS_ENDPOINTS, service="assistants")
    async def endpoints(command: CommandMessage[AssistantRef]) -> Endpoints:
        house.asked += 1
        if house.away:
            raise unavailable("the store is away")
        known = house.known.get(command.payload.assistant_id)
        if known is None:
            raise not_found("assistant", command.payload.assistant_id)
        return known

    await start(bus, within_s=10)
    yield house
    await stop(bus)
