"""Builds the gateway: the bus, the HTTP server and its health, nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from calliope.http_listener import ConnectionLimits, listening
from calliope.messaging.broker import BusLostError, Watchdog, build_broker, start, stop
from calliope.messaging.command_client import CommandClient
from calliope.observability.health import Health, serve
from calliope.runtime.supervise import Supervisor
from calliope_gateway.adapters.abilities import abilities
from calliope_gateway.adapters.nats import hear_of_revoked_keys
from calliope_gateway.http.errors import malformed
from calliope_gateway.http.server import build_http, build_keys
from calliope_gateway.settings import GatewaySettings, LimitSettings

log = structlog.get_logger(__name__)


@asynccontextmanager
async def running(settings: GatewaySettings) -> AsyncIterator[int]:
    """The gateway while the block lasts; gives its port.

    Leaving it: not ready at once, still serving for `lame_duck_s`, then no new connections, requests under way end,
    the bus last.
    """
    bus = build_broker(settings.nats, "gateway")
    commands = CommandClient(bus)
    keys = build_keys(settings, commands)
    # The bus is not needed to be ready: while it is away no other replica could do better, and carriers are still told
    # to wait for a call that goes on.
    jobs = Supervisor()
    health = Health({"jobs": jobs.check}, able=abilities(bus, commands), started=False)
    app = build_http(settings, commands, keys=keys, stopping=lambda: health.is_stopping)
    try:
        async with serve(health, settings.health), jobs:
            jobs.start("health.loop", health.watch_loop)
            await start(bus)
            await hear_of_revoked_keys(bus, keys)
            jobs.start("bus.watchdog", Watchdog(bus).run, ends_process=(BusLostError,))
            async with listening(
                app,
                "public",
                host=settings.http.host,
                port=settings.http.port,
                limits=_connections(settings.limits),
                shutdown_timeout_s=settings.shutdown_timeout_s,
                answer=malformed,
            ) as (_, port):
                health.start()
                log.info("gateway.serving", port=port)
                yield port
                health.stop()
                log.info("gateway.leaving", lame_duck_s=settings.lame_duck_s)
                await asyncio.sleep(settings.lame_duck_s)
    finally:
        await stop(bus)


def _connections(limits: LimitSettings) -> ConnectionLimits:
    return ConnectionLimits(
        overall=limits.connections, per_address=limits.connections_per_address, exempt=limits.trusted_proxies
    )
