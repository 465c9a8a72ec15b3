"""Builds webhooks: the only file that knows every adapter."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import structlog

from calliope import egress
from calliope.errors import PermanentError, TransientError
from calliope.messaging import streams
from calliope.messaging.broker import Bus, BusLostError, Watchdog, build_broker, ready, start, stop
from calliope.observability.health import Health, serve
from calliope.runtime.supervise import Supervisor
from calliope.secrets import Opener
from calliope.storage.calls import STORE, StoreRefusedError
from calliope_webhooks.adapters import mongo
from calliope_webhooks.adapters.nats import (
    ASSISTANTS,
    BusAlarm,
    BusAnnouncer,
    BusAssistants,
    BusCallStarts,
    hear_of_changes,
)
from calliope_webhooks.breaker import BreakerRules
from calliope_webhooks.delivery import Sender
from calliope_webhooks.dispatcher import Dispatcher, Pace
from calliope_webhooks.endpoints import EndpointBook
from calliope_webhooks.handlers import SERVICE, listen
from calliope_webhooks.outcome import Settler
from calliope_webhooks.retry import Schedule
from calliope_webhooks.service import Deliveries, Fanout, SystemClock
from calliope_webhooks.settings import DeliverySettings, WebhooksSettings
from calliope_webhooks.targets.http import HttpTarget
from calliope_webhooks.turnstile import Limits

log = structlog.get_logger(__name__)


@asynccontextmanager
async def running(settings: WebhooksSettings) -> AsyncIterator[int]:
    """The service, working; gives its health port. On leaving: nothing new, attempts on their way are recorded."""
    bus = build_broker(settings.nats, SERVICE)
    async with (
        mongo.connect(settings.mongo) as store,
        egress.session(settings.egress, total_s=settings.delivery.timeout_s, limit=settings.delivery.overall) as http,
    ):
        if settings.egress.allow:
            log.warning("egress.loosened", allow=[str(network) for network in settings.egress.allow])
        await _prepare(store)
        dispatcher, endpoints = _assemble(settings, bus, store, http)
        bus.dependencies.add(STORE, store.check_writes)
        bus.dependencies.add(ASSISTANTS, BusAssistants(bus).check)
        jobs = Supervisor()
        health = Health(
            {"bus": lambda: ready(bus), "store": store.ping, "durables": lambda: _durables(bus), "jobs": jobs.check},
            notices={"bus": bus.dependencies.notice},
        )
        await start(bus)
        try:
            await hear_of_changes(bus, endpoints)
            async with serve(health, settings.health) as port, jobs:
                jobs.start("bus.watchdog", Watchdog(bus).run, ends_process=(BusLostError,))
                jobs.start("health.loop", health.watch_loop)
                for name, helper in dispatcher.helpers.items():
                    jobs.start(name, helper)
                sending = jobs.start("webhooks.dispatcher", dispatcher.run)
                try:
                    yield port
                finally:
                    dispatcher.stop()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(settings.shutdown_timeout_s):
                            await asyncio.wait({sending})
        finally:
            await stop(bus)


async def _prepare(store: mongo.MongoStore) -> None:
    """Raises: TransientError and PermanentError, in words for the operator."""
    try:
        await store.prepare()
    except StoreRefusedError as exc:
        raise PermanentError(f"{exc}. This does not heal by itself; mend it and start again") from exc
    except TransientError as exc:
        raise TransientError(f"{exc}: is the store running, and is CALLIOPE_MONGO__URL its address?") from exc


def _assemble(
    settings: WebhooksSettings, bus: Bus, store: mongo.MongoStore, http: aiohttp.ClientSession
) -> tuple[Dispatcher, EndpointBook]:
    ours, clock = settings.delivery, SystemClock()
    schedule = Schedule(ours.schedule_s, ours.jitter, ours.slow_s)
    endpoints = EndpointBook(BusAssistants(bus), store, ttl_s=ours.endpoint_ttl_s)
    opener = Opener(key.get_secret_value() for key in settings.sealing.private_keys)
    target = HttpTarget(http, settings.egress, total_s=ours.timeout_s, connect_s=ours.connect_timeout_s)
    dispatcher = Dispatcher(
        store,
        endpoints,
        Sender(target, opener, clock),
        Settler(
            store, endpoints, schedule, BusAlarm(bus, service=SERVICE), BusAnnouncer(bus), clock, ours.alarm_from_s
        ),
        clock,
        _pace(ours, schedule),
        BreakerRules(**settings.breaker.model_dump()),
    )
    fanout = Fanout(endpoints, store, BusCallStarts(bus), dispatcher, clock)
    listen(bus, fanout, dispatcher, Deliveries(store, dispatcher, clock))
    return dispatcher, endpoints


def _pace(ours: DeliverySettings, schedule: Schedule) -> Pace:
    return Pace(
        limits=Limits(ours.per_endpoint, ours.per_organization, ours.overall),
        lease_s=2 * ours.timeout_s + ours.lease_margin_s,
        sweep_s=ours.sweep_s,
        max_age_s=schedule.span_s + 3_600.0,
    )


async def _durables(bus: Bus) -> None:
    for durable in (streams.WEBHOOKS_FANOUT, streams.WEBHOOKS_WAKE):
        await bus.jetstream.consumer_info(durable.stream, durable.name)
