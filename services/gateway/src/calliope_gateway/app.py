"""Builds the gateway: the bus and the HTTP server, nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from calliope.messaging.broker import BusLostError, Watchdog, build_broker, ready, start, stop
from calliope.messaging.command_client import CommandClient
from calliope.observability.health import Health
from calliope.runtime.supervise import Supervisor
from calliope_gateway.adapters.nats import hear_of_revoked_keys
from calliope_gateway.http.server import build_http, build_keys
from calliope_gateway.settings import GatewaySettings

log = structlog.get_logger(__name__)


@asynccontextmanager
async def running(settings: GatewaySettings) -> AsyncIterator[int]:
    """The gateway while the block lasts; gives its port."""
    bus = build_broker(settings.nats, "gateway")
    commands = CommandClient(bus)
    keys = build_keys(settings, commands)
    await start(bus)
    await hear_of_revoked_keys(bus, keys)
    jobs = Supervisor()
    health = Health({"bus": lambda: ready(bus), "jobs": jobs.check})
    app = build_http(settings, commands, keys=keys)
    health.add_to(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=settings.shutdown_timeout_s)
    await runner.setup()
    try:
        async with jobs:
            jobs.start("health.loop", health.watch_loop)
            jobs.start("bus.watchdog", Watchdog(bus).run, ends_process=(BusLostError,))
            await web.TCPSite(runner, settings.http.host, settings.http.port).start()
            port = int(runner.addresses[0][1])
            log.info("gateway.serving", port=port)
            yield port
    finally:
        await runner.cleanup()
        await stop(bus)
