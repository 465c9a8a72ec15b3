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
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
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
from nats.js.errors import NotFoundError

from calliope.errors import CalliopeError, PermanentError, TransientError
from calliope.messaging.commands import CommandMiddleware, detach, settled
from calliope.messaging.connection import Connection, pick_server
from calliope.messaging.dependencies import Dependencies
from calliope.messaging.outcome import OutcomeMiddleware
from calliope.messaging.streams import Durable
from calliope.messaging.telemetry import bus_middlewares
from calliope.observability import metrics
from calliope.settings import NatsSettings

if TYPE_CHECKING:
    from faststream.nats.subscriber.usecases import LogicSubscriber

    from calliope.messaging.direct_responder import DirectResponder

PING_INTERVAL_S: Final = 10
PENDING_BYTES: Final = 2 * 1024 * 1024
"""What may be published while disconnected; beyond it publishing fails at once."""
FETCH_S: Final = 5.0
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
    servers: str
    start_timeout_s: float
    up: asyncio.Event
    dependencies: Dependencies
    """What its durables need besides the bus; the service adds them."""
    subscribed = False
    """Whether the server knows every subscription; a connection alone can ask but not answer."""
    direct_responders: "list[DirectResponder[Any, Any]]"
    """What reads beside the framework; `start` subscribes them, `stop` lets them finish."""
    _awaited = False

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
                if not self._awaited:
                    self._awaited = True
                    log.warning("bus.awaited", servers=self.servers, error=str(error) or type(error).__name__)
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
    dependencies = Dependencies()

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
        middlewares=(
            *(bus_middlewares(service) if telemetry else ()),
            partial(OutcomeMiddleware, dependencies=dependencies),
            CommandMiddleware,
        ),
        routers=tuple(routers),
        logger=log,
        log_level=logging.DEBUG,  # the framework's two lines per message; errors keep their level
    )
    bus.service = service
    bus.servers = shown(settings.url)
    bus.start_timeout_s = settings.start_timeout_s
    bus.up = asyncio.Event()
    bus.dependencies = dependencies
    bus.direct_responders = []
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


async def start(bus: Bus, *, within_s: float | None = None) -> None:
    """Connect, subscribe, and wait until the server knows of it, for `start_timeout_s` of the settings.

    Raises: TransientError, when NATS cannot be reached in time; PermanentError, when it refuses us.
    """
    patience_s = bus.start_timeout_s if within_s is None else within_s
    try:
        async with asyncio.timeout(patience_s):
            await bus.start()
            for each in bus.direct_responders:
                await each.resume()
            await _flushed(bus, within_s=5.0)
            bus.subscribed = True
    except TimeoutError as exc:
        raise TransientError(absent(bus.servers, patience_s)) from exc
    except NatsError as exc:
        raise PermanentError(refusal(bus.servers, exc)) from exc


def absent(servers: str, patience_s: float) -> str:
    """A bus that does not answer, in words."""
    return (
        f"NATS could not be reached at {servers} within {patience_s:g} s: is it running, "
        "and is CALLIOPE_NATS__URL its address?"
    )


def refusal(servers: str, error: Exception) -> str:
    """A bus that does not let us in, or is not provisioned, in words."""
    if isinstance(error, NotFoundError):
        what = (error.description or "something is missing").removesuffix(" not found")
        return f"NATS at {servers} lacks a {what} that is needed: run `python -m calliope.messaging.provision`"
    words = str(error).removeprefix("nats: ").strip("'")
    if not is_refusal(error):
        return f"NATS at {servers} answers with an error: {words}"
    return f"NATS at {servers} refuses us ({words}): are CALLIOPE_NATS__USER and CALLIOPE_NATS__PASSWORD right?"


def is_refusal(error: Exception) -> bool:
    """Whether the server does not accept who we say we are."""
    return any(word in str(error).lower() for word in ("authorization", "authentication"))


def shown(urls: str) -> str:
    """Addresses of servers, as they may stand in a log: without users and passwords."""
    return ", ".join(re.sub(r"(//)[^/]*@", r"\1", url.strip()) for url in urls.split(","))


async def ready(bus: Bus, *, within_s: float = 5.0) -> None:
    """Return when the server answers and knows all our subscriptions: the readiness check. Raises: TransientError."""
    if not connected(bus):
        raise TransientError("not connected to NATS")
    if not bus.subscribed:
        raise TransientError("still subscribing at NATS")
    await _flushed(bus, within_s=within_s)


async def _flushed(bus: Bus, *, within_s: float) -> None:
    """Return when the server has read all that was sent. Raises: TransientError."""
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
    bus.dependencies.close()
    try:
        async with asyncio.timeout(within_s):
            responding = [each for each in bus.subscribers if isinstance(each, CoreSubscriber)]
            for subscriber in responding:
                await detach(subscriber)
            for each in bus.direct_responders:
                await each.pause()
            with suppress(TimeoutError):
                async with asyncio.timeout(bus.config.graceful_timeout or GRACEFUL_S):
                    for subscriber in responding:
                        await settled(subscriber)
                    for each in bus.direct_responders:
                        await each.settled()
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
