"""The order of what a connection writes, seen by a server that only listens."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext

from calliope.messaging.connection import Connection, _PatientPull


class Listener:
    """Says hello as a NATS server does, answers pings, and keeps the verbs it was sent."""

    def __init__(self) -> None:
        self.verbs: list[str] = []
        self.url = ""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"headers":true}\r\n')
        while line := await reader.readline():
            self.verbs.append(line.split()[0].decode() if line.strip() else "")
            if self.verbs[-1] == "PING":
                writer.write(b"PONG\r\n")
        writer.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listener = Listener()
    server = await asyncio.start_server(listener.talk, "127.0.0.1", 0)
    listener.url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield listener
    server.close()
    await server.wait_closed()


@pytest.fixture
async def connection(listener: Listener) -> AsyncIterator[Connection]:
    opened = Connection()
    await opened.connect(listener.url)
    listener.verbs.clear()
    yield opened
    await opened.close()


async def test_a_flush_is_answered_after_the_server_has_read_every_subscription(
    listener: Listener, connection: Connection
) -> None:
    for number in range(3):
        await connection.subscribe(f"some.subject.{number}")
    await connection.flush()
    assert listener.verbs == ["SUB", "SUB", "SUB", "PING"]


async def test_a_drained_subscription_is_given_up_before_the_drain_ends(
    listener: Listener, connection: Connection
) -> None:
    subscription = await connection.subscribe("some.subject")
    await connection.flush()
    await subscription.drain()  # type: ignore[no-untyped-call]
    assert listener.verbs == ["SUB", "PING", "UNSUB", "PING"]


@pytest.mark.parametrize("kind", [TimeoutError, NatsTimeoutError])
async def test_a_pull_to_which_nothing_came_ends_in_one_way(kind: type[Exception]) -> None:
    """The framework's loop passes over the client's own error only; the plain one it logs as a crash of its task."""

    class Pull:
        async def fetch(self, batch: int) -> list[Msg]:
            raise kind

    with pytest.raises(NatsTimeoutError):
        await _PatientPull(cast("JetStreamContext.PullSubscription", Pull())).fetch(1)
