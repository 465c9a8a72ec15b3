"""Looks at what is on the bus, for people who look for what is wrong; changes nothing.

Everything here raises TransientError when the bus does not answer in time, and PermanentError when it refuses.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from nats.errors import Error as NatsError
from nats.js.errors import APIError, NotFoundError

from calliope.errors import PermanentError, TransientError
from calliope.messaging.broker import Bus
from calliope.messaging.differences import durable_differences, stream_differences
from calliope.messaging.streams import EVENTS, Durable, Stream

LOOK_S: Final = 5.0
_STREAM_INFO: Final = "$JS.API.STREAM.INFO."


@dataclass(frozen=True, slots=True)
class Copies:
    """How a stream is kept: on how many servers, which of them leads, and which are behind or away."""

    replicas: int
    leader: str | None
    lagging: tuple[str, ...] = ()
    clustered: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """How far a durable's readers had got when it was looked at."""

    waiting: int
    """Messages that nobody was given yet."""
    unanswered: int
    """Messages that were given and are not acknowledged."""
    again: int
    """Of those, how many were given more than once."""
    pulls: int
    """Readers that wait for messages."""
    acknowledged: int
    """Place in the stream up to which all are."""
    delivered: int = 0
    """Place in the stream of the latest one that was given."""
    paused_until: str | None = None
    """When an operator's pause ends, as the server tells it; None, when there is none."""

    def moved(self, before: "Reading") -> bool:
        """Whether somebody read or acknowledged something since that look."""
        return self.acknowledged > before.acknowledged or self.delivered > before.delivered


@dataclass(frozen=True, slots=True)
class Room:
    """Something that has a limit, and how much of it is used."""

    name: str
    used: int
    limit: int
    unit: str = "bytes"


@dataclass(frozen=True, slots=True)
class Server:
    """The server that we are connected to, and how many it knows of."""

    version: str
    servers: int


def server(bus: Bus) -> Server:
    """Who answers."""
    connection = bus.connection
    known = {str(each.netloc) for each in (*connection.servers, *connection.discovered_servers)}
    version = connection.connected_server_version
    return Server(f"{version.major}.{version.minor}.{version.patch}", max(1, len(known)))


async def keeps_messages(bus: Bus) -> None:
    """Return when JetStream is there. Raises: TransientError, PermanentError."""
    async with looking("JetStream"):
        await bus.jetstream.account_info()


async def stream_look(bus: Bus, stream: Stream) -> tuple[list[str], Copies] | None:
    """Fields in which it is not as declared, and how it is kept; None when there is no such stream."""
    async with looking(f"stream {stream.name}"):
        try:
            info = await bus.jetstream.stream_info(stream.name)
        except NotFoundError:
            return None
    cluster = info.cluster
    late = [each.name for each in (cluster.replicas if cluster and cluster.replicas else []) if _is_late(each)]
    copies = Copies(
        replicas=info.config.num_replicas or 1,
        leader=cluster.leader if cluster else None,
        lagging=tuple(name or "a server" for name in late),
        clustered=bool(cluster and cluster.name),
    )
    return stream_differences(info.config, stream), copies


async def durable_look(bus: Bus, durable: Durable) -> tuple[list[str], Reading] | None:
    """Fields in which it is not as declared, and how far its readers are; None when there is no such durable."""
    async with looking(f"durable {durable.name}"):
        try:
            info = await bus.jetstream.consumer_info(durable.stream, durable.name)
        except NotFoundError:
            return None
    reading = Reading(
        waiting=info.num_pending or 0,
        unanswered=info.num_ack_pending or 0,
        again=info.num_redelivered or 0,
        pulls=info.num_waiting or 0,
        acknowledged=info.ack_floor.stream_seq if info.ack_floor else 0,
        delivered=info.delivered.stream_seq if info.delivered else 0,
        paused_until=str(info.config.pause_until or "a moment that is not known") if info.paused else None,
    )
    return durable_differences(info.config, durable), reading


async def room(bus: Bus, streams: Iterable[Stream]) -> list[Room]:
    """How full is what has a limit that NATS tells its users: the account, and streams that were given one."""
    found: list[Room] = []
    async with looking("JetStream"):
        account = await bus.jetstream.account_info()
        if account.limits.max_storage > 0:
            found.append(Room("the storage of the account", account.storage, account.limits.max_storage))
        for stream in streams:
            try:
                info = await bus.jetstream.stream_info(stream.name)
            except NotFoundError:
                continue
            if (info.config.max_bytes or -1) > 0:
                found.append(Room(f"the stream {stream.name}", info.state.bytes, info.config.max_bytes or 0))
            if (info.config.max_msgs or -1) > 0:
                found.append(
                    Room(f"the stream {stream.name}", info.state.messages, info.config.max_msgs or 0, "messages")
                )
    return found


async def last_stored_at(bus: Bus, stream: Stream, subject: str) -> datetime | None:
    """When the last message of a subject was stored; None, when there is none."""
    async with looking(f"stream {stream.name}"):
        try:
            return (await bus.jetstream.get_last_msg(stream.name, subject)).time
        except NotFoundError:
            return None


async def clock_ahead_s(bus: Bus) -> float | None:
    """How far the clock of the bus is ahead of ours, in seconds; None when it does not tell."""
    asked = time.time()
    async with looking("the bus"):
        message = await bus.connection.request(_STREAM_INFO + EVENTS.name, b"", timeout=LOOK_S)
    now = (asked + time.time()) / 2
    answer: Any = orjson.loads(message.data)
    if not isinstance(answer, dict) or not isinstance(stamp := answer.get("ts"), str):
        return None
    return datetime.fromisoformat(f"{stamp[:19]}+00:00").timestamp() + _fraction(stamp) - now


def _fraction(stamp: str) -> float:
    """Of `2026-11-28T01:02:03.123456789Z`; nanoseconds are more than `fromisoformat` reads."""
    digits = stamp[20:].rstrip("Z") if stamp[19:20] == "." else ""
    return float(f"0.{digits}") if digits.isdecimal() else 0.0


def _is_late(peer: Any) -> bool:
    return bool(peer.offline) or peer.current is False


@asynccontextmanager
async def looking(at: str) -> AsyncIterator[None]:
    """Around questions to the bus: they have `LOOK_S` in all, and what fails is told in words that begin with `at`."""
    try:
        async with asyncio.timeout(LOOK_S):
            yield
    except APIError as exc:
        raise PermanentError(f"{at} cannot be looked at: {exc.description or exc}") from exc
    except TimeoutError as exc:
        raise TransientError(f"{at} did not answer within {LOOK_S:g} s") from exc
    except (NatsError, OSError) as exc:
        raise TransientError(f"{at} cannot be looked at: {str(exc) or type(exc).__name__}") from exc
