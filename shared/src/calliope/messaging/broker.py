"""How a service connects to the bus, reads a durable, and lets go; every setting that matters is made here.

bus = build_broker(settings.nats, "webhooks", routers=[handlers.router])
await start(bus)                              # connected, subscribed, and the server knows (ready)
async with asyncio.TaskGroup() as tasks:
    tasks.create_task(Watchdog(bus).run(), name="bus.watchdog")
    ...
await stop(bus)                               # answers what is in flight; works without NATS

@consumer(router, streams.WEBHOOKS_FANOUT)    # errors become nak, dead letter: see outcome.py
async def fan_out(event: Event) -> None: ...
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog
from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsRouter, PullSub
from faststream.nats.subscriber.usecases import CoreSubscriber
from faststream.security import BaseSecurity, SASLPlaintext
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import SlowConsumerError
from nats.js import JetStreamContext

from calliope.errors import CalliopeError, TransientError
from calliope.messaging.commands import CommandMiddleware, detach, settled
from calliope.messaging.connection import Connection, pick_server
from calliope.messaging.outcome import OutcomeMiddleware
from calliope.messaging.streams import Durable
from calliope.messaging.telemetry import bus_middlewares
from calliope.observability import metrics
from calliope.settings import NatsSettings

if TYPE_CHECKING:
    from faststream.nats.subscriber.usecases import LogicSubscriber

PING_INTERVAL_S: Final = 10
PENDING_BYTES: Final = 2 * 1024 * 1024
"""What may be published while disconnected; beyond it publishing fails at once."""
FETCH_S: Final = 5.0
CONNECT_WITHIN_S: Final = 30.0
DRAIN_S: Final = 5
GRACEFUL_S: Final = 10.0

log = structlog.get_logger()

_CONNECTION_EVENTS: Final = metrics.counter(
    "calliope_bus_connection_events_total", "What befell the connection to NATS.", "event"
)
_CONNECTED: Final = metrics.gauge("calliope_bus_connected", "1 while connected to NATS.")


class BusLostError(CalliopeError):
    """The connection is closed for good; only a new process helps."""


class Bus(NatsBroker):
    """A FastStream broker over a `Connection`; `service` names its queue groups, inbox and spans."""

    service: str
    up: asyncio.Event

    @property
    def jetstream(self) -> JetStreamContext:
        """JetStream over this connection. Raises: IncorrectState, before the first connect."""
        stream: JetStreamContext = self.config.connection_state.stream
        return stream

    async def _connect(self) -> Client:
        connection = Connection()
        try:
            await connection.connect(**self._connection_kwargs)
        except BaseException:
            with suppress(Exception):
                await connection.close()
            raise
        self.config.connect(connection)
        _came_up(self)
        return connection

    def _log_connection_broken(self, error_cb: Any = None) -> Callable[[Exception], Any]:
        """FastStream's raises inside the client's reconnect task and so ends it; ours raises at first start only."""
        refuses = super()._log_connection_broken(None)

        async def note(error: Exception) -> None:
            slow = isinstance(error, SlowConsumerError)
            _CONNECTION_EVENTS.labels("slow_consumer" if slow else "error").inc()
            if self._connection is None:
                await refuses(error)
            elif self.up.is_set():
                log.warning("bus.errored", error=str(error) or type(error).__name__)

        return note


def build_broker(
    settings: NatsSettings,
    service: str,
    *,
    routers: Iterable[NatsRouter] = (),
    telemetry: bool = True,
    graceful_timeout_s: float = GRACEFUL_S,
) -> Bus:
    """The broker of a service, not yet connected.

    `telemetry` adds spans and Prometheus metrics per message; it costs about half of the framework's throughput.
    """
    bus: Bus

    async def disconnected() -> None:
        _CONNECTION_EVENTS.labels("disconnected").inc()
        _CONNECTED.set(0)
        bus.up.clear()
        log.warning("bus.disconnected")

    async def reconnected() -> None:
        _CONNECTION_EVENTS.labels("reconnected").inc()
        _came_up(bus)
        log.info("bus.reconnected")

    async def closed() -> None:
        _CONNECTION_EVENTS.labels("closed").inc()
        _CONNECTED.set(0)
        bus.up.clear()

    bus = Bus(
        [url.strip() for url in settings.url.split(",")],
        name=f"calliope-{service}",
        security=_security(settings),
        connect_timeout=int(settings.connect_timeout_s) or 1,
        allow_reconnect=True,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.5,  # type: ignore[arg-type]  # the client sleeps this long, fractions included
        reconnect_to_server_handler=pick_server,
        ping_interval=PING_INTERVAL_S,
        max_outstanding_pings=2,
        pending_size=PENDING_BYTES,
        drain_timeout=DRAIN_S,
        inbox_prefix=_inbox(service),
        disconnected_cb=disconnected,
        reconnected_cb=reconnected,
        closed_cb=closed,
        graceful_timeout=graceful_timeout_s,
        ack_policy=AckPolicy.NACK_ON_ERROR,
        middlewares=(*(bus_middlewares(service) if telemetry else ()), OutcomeMiddleware, CommandMiddleware),
        routers=tuple(routers),
        logger=log,
        log_level=logging.DEBUG,  # the framework's two lines per message; errors keep their level
    )
    bus.service = service
    bus.up = asyncio.Event()
    return bus


def consumer(router: NatsBroker | NatsRouter, durable: Durable, *, batch: int = 16) -> "LogicSubscriber[Any]":
    """Read a durable: up to `batch` messages at once, the next pull when the slowest of them is done."""
    return router.subscriber(
        durable.subject,
        stream=JStream(durable.stream, declare=False),
        durable=durable.name,
        config=durable.config(),
        pull_sub=PullSub(batch, timeout=FETCH_S),
        inbox_prefix=f"{_inbox(durable.service)}.".encode(),
        ack_policy=AckPolicy.NACK_ON_ERROR,
    )


async def start(bus: Bus, *, within_s: float = CONNECT_WITHIN_S) -> None:
    """Connect, subscribe, and wait until the server knows of it.

    Raises: TransientError, when NATS cannot be reached in time; NatsError, when it refuses us.
    """
    try:
        async with asyncio.timeout(within_s):
            await bus.start()
            await ready(bus)
    except TimeoutError as exc:
        raise TransientError(f"NATS could not be reached within {within_s:g} s") from exc


async def ready(bus: Bus, *, within_s: float = 5.0) -> None:
    """Return when the server has seen all our subscriptions; also the readiness check. Raises: TransientError."""
    if not connected(bus):
        raise TransientError("not connected to NATS")
    try:
        async with asyncio.timeout(within_s):
            await bus.connection.flush()
    except (TimeoutError, NatsError, OSError) as exc:
        raise TransientError("NATS does not answer") from exc


def connected(bus: Bus) -> bool:
    """Whether messages flow now."""
    return bus._connection is not None and bus._connection.is_connected


async def stop(bus: Bus, *, within_s: float = 15.0) -> None:
    """Leave the queue groups, let handlers in flight answer, drain, close. Works without NATS, and never raises."""
    try:
        async with asyncio.timeout(within_s):
            responding = [each for each in bus.subscribers if isinstance(each, CoreSubscriber)]
            for subscriber in responding:
                await detach(subscriber)
            with suppress(TimeoutError):
                async with asyncio.timeout(bus.config.graceful_timeout or GRACEFUL_S):
                    for subscriber in responding:
                        await settled(subscriber)
            await bus.stop()
    except (TimeoutError, NatsError, OSError, ExceptionGroup) as exc:
        log.warning("bus.stop_incomplete", error=type(exc).__name__)
        connection, bus._connection = bus._connection, None
        if connection is not None:
            with suppress(TimeoutError, NatsError, OSError):
                async with asyncio.timeout(1.0):
                    await connection.close()
        bus.config.disconnect()


class Watchdog:
    """Looks after the connection: revives it when nobody tries to reconnect, gives up when it is closed for good."""

    def __init__(
        self,
        bus: Bus,
        *,
        patience_s: float = 30.0,
        every_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus = bus
        self._patience_s = patience_s
        self._every_s = every_s
        self._clock = clock
        self._away_since: float | None = None

    async def run(self) -> None:
        """For ever; raises BusLostError so that the service ends and is started anew."""
        while True:
            await asyncio.sleep(self._every_s)
            self.look()

    def look(self) -> None:
        """One look. Raises: BusLostError."""
        connection = self._bus.connection
        if connection.is_connected:
            self._away_since = None
            return
        if connection.is_closed:
            raise BusLostError("the connection to NATS is closed for good")
        now = self._clock()
        if self._away_since is None:
            self._away_since = now
        away_s = now - self._away_since
        if away_s >= self._patience_s and isinstance(connection, Connection) and not connection.is_reviving:
            log.error("bus.revived", away_s=round(away_s, 1))
            _CONNECTION_EVENTS.labels("revived").inc()
            connection.revive()


def _came_up(bus: Bus) -> None:
    _CONNECTED.set(1)
    bus.up.set()


def _inbox(service: str) -> str:
    return f"_INBOX.{service}"


def _security(settings: NatsSettings) -> BaseSecurity | None:
    if settings.user is None or settings.password is None:
        return None
    return SASLPlaintext(username=settings.user, password=settings.password.get_secret_value())
