"""What happens when the server goes away: nothing lost, nothing frozen, and a stop that ends."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
from faststream.nats import NatsRouter

from calliope.contracts.base import CommandMessage, Event
from calliope.contracts.errors import ErrorCode
from calliope.errors import CommandError, PermanentError, TransientError
from calliope.messaging.broker import BusLostError, Watchdog, build_broker, consumer, start, stop
from calliope.messaging.command_client import CommandClient
from calliope.messaging.commands import responder
from calliope.messaging.connection import Connection
from calliope.messaging.publish import EventPublisher
from calliope.messaging.streams import EVENTS, WEBHOOKS_FANOUT
from calliope.settings import NatsSettings
from support.nats import NatsServer, provisioned
from support.waiting import until

MakeEvent = Callable[..., Event]
SUBJECT = "calliope.cmd.calls.accept.v1"


@pytest.mark.promise("P3")
async def test_every_event_arrives_though_the_server_is_killed(
    own_nats_server: NatsServer, make_event: MakeEvent
) -> None:
    await provisioned(own_nats_server.url)
    router, seen = NatsRouter(), set()

    @consumer(router, WEBHOOKS_FANOUT)
    async def handle(event: Event) -> None:
        seen.add(event.sequence)

    bus = build_broker(NatsSettings(url=own_nats_server.url), "webhooks", routers=[router])
    await start(bus)
    publisher = EventPublisher(bus, timeout_s=2.0)
    sequences: list[int] = []

    async def publish(numbers: range) -> None:
        for number in numbers:
            sequences.append(await publisher.publish(make_event(sequence=number)))

    def stored(enough: int) -> bool:
        return len(sequences) >= enough

    async with asyncio.timeout(30):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(publish(range(1, 301)))
            tasks.create_task(publish(range(301, 601)))
            for threshold in (100, 300):
                await until(partial(stored, threshold))
                await asyncio.to_thread(own_nats_server.kill)
                await asyncio.to_thread(own_nats_server.start)
        await until(lambda: len(seen) == 600)
        info = await bus.jetstream.stream_info(EVENTS.name)
    await stop(bus)

    assert seen == set(range(1, 601))
    assert len(set(sequences)) == info.state.messages == 600


async def test_requests_work_again_after_the_server_came_back_and_fail_fast_before(
    own_nats_server: NatsServer,
) -> None:
    router = NatsRouter()

    @responder(router, SUBJECT, service="call-worker")
    async def answer(command: CommandMessage[dict[str, int]]) -> str:  # type: ignore[type-var]
        return "here"

    bus = build_broker(NatsSettings(url=own_nats_server.url), "call-worker", routers=[router])
    await start(bus)
    commands = CommandClient(bus)
    own_nats_server.kill()
    async with asyncio.timeout(20):
        await until(lambda: not bus.up.is_set())
        with pytest.raises(CommandError) as away:
            await commands.call(SUBJECT, {}, timeout_s=10)
        await asyncio.to_thread(own_nats_server.start)
        await asyncio.wait_for(bus.up.wait(), 10)
        back = await commands.call(SUBJECT, {})
    await stop(bus)

    assert away.value.code is ErrorCode.UNAVAILABLE
    assert back == "here"


async def test_a_responder_paused_while_the_server_is_away_stays_away(own_nats_server: NatsServer) -> None:
    router = NatsRouter()
    accept = responder(router, SUBJECT, service="call-worker")

    @accept
    async def answer(command: CommandMessage[dict[str, int]]) -> str:  # type: ignore[type-var]
        return "here"

    bus = build_broker(NatsSettings(url=own_nats_server.url), "call-worker", routers=[router])
    await start(bus)
    own_nats_server.kill()
    async with asyncio.timeout(20):
        await until(lambda: not bus.up.is_set())
        await accept.pause()
        await asyncio.to_thread(own_nats_server.start)
        await asyncio.wait_for(bus.up.wait(), 10)
        with pytest.raises(CommandError) as nobody:
            await CommandClient(bus).call(SUBJECT, {})
        await accept.resume()
        back = await CommandClient(bus).call(SUBJECT, {})
    await stop(bus)

    assert (nobody.value.code, back) == (ErrorCode.UNAVAILABLE, "here")


async def test_stop_ends_while_the_server_is_away(own_nats_server: NatsServer) -> None:
    await provisioned(own_nats_server.url)
    router = NatsRouter()

    @consumer(router, WEBHOOKS_FANOUT)
    async def handle(event: Event) -> None: ...

    @responder(router, SUBJECT, service="webhooks")
    async def answer(command: CommandMessage[dict[str, int]]) -> None: ...  # type: ignore[type-var]

    bus = build_broker(NatsSettings(url=own_nats_server.url), "webhooks", routers=[router], graceful_timeout_s=1)
    await start(bus)
    own_nats_server.kill()
    async with asyncio.timeout(10):
        await until(lambda: not bus.up.is_set())
        await stop(bus)


async def test_start_gives_up_in_words_when_there_is_no_server(unused_tcp_port: int) -> None:
    bus = build_broker(NatsSettings(url=f"nats://127.0.0.1:{unused_tcp_port}"), "webhooks")

    with pytest.raises(TransientError, match="could not be reached"):
        await start(bus, within_s=0.3)


async def test_start_says_at_once_that_the_password_is_wrong(own_nats_server: NatsServer) -> None:
    own_nats_server.stop()
    own_nats_server.start(extra_config="authorization { user: a, password: right }")
    bus = build_broker(NatsSettings(url=own_nats_server.url, user="a", password="wrong"), "webhooks")

    with pytest.raises(PermanentError, match=r"(?i)authorization violation.*CALLIOPE_NATS__USER"):
        await start(bus, within_s=10)


async def test_wrong_credentials_for_a_while_are_survived(own_nats_server: NatsServer) -> None:
    """The framework's own callback ends the client's reconnecting here, in silence and for ever."""
    right = 'authorization { users: [ { user: "a", password: "right" }, { user: "b", password: "b" } ] }'
    wrong = 'authorization { users: [ { user: "a", password: "other" }, { user: "b", password: "b" } ] }'
    own_nats_server.stop()
    own_nats_server.start(extra_config=right)
    bus = build_broker(NatsSettings(url=own_nats_server.url, user="a", password="right"), "webhooks")
    await start(bus)
    async with asyncio.timeout(20):
        await asyncio.to_thread(own_nats_server.kill)
        await asyncio.to_thread(own_nats_server.start, extra_config=wrong)
        await until(lambda: "authorization" in str(bus.connection.last_error).lower())
        await asyncio.to_thread(own_nats_server.kill)
        await asyncio.to_thread(own_nats_server.start, extra_config=right)
        await asyncio.wait_for(bus.up.wait(), 10)
    await stop(bus)


async def test_an_error_of_the_server_does_not_close_the_connection(
    own_nats_server: NatsServer, make_event: MakeEvent
) -> None:
    """As when a message passes the server's limit: plain client and framework end here, the loop frozen."""
    await provisioned(own_nats_server.url)
    router, seen = NatsRouter(), asyncio.Event()

    @consumer(router, WEBHOOKS_FANOUT)
    async def handle(event: Event) -> None:
        seen.set()

    bus = build_broker(NatsSettings(url=own_nats_server.url), "webhooks", routers=[router])
    await start(bus)
    async with asyncio.timeout(20):
        await bus.connection._send_command(b"PUB calliope.evt.x 2000000\r\n" + b"x" * 2_000_000 + b"\r\n")
        await bus.connection._flush_pending()
        await until(lambda: not bus.up.is_set())
        await asyncio.wait_for(bus.up.wait(), 10)
        await EventPublisher(bus).publish(make_event())
        await seen.wait()
    await stop(bus)


async def test_a_closed_connection_does_not_freeze_the_loop_and_is_reported(own_nats_server: NatsServer) -> None:
    await provisioned(own_nats_server.url)
    router = NatsRouter()

    @consumer(router, WEBHOOKS_FANOUT)
    async def handle(event: Event) -> None: ...

    bus = build_broker(NatsSettings(url=own_nats_server.url), "webhooks", routers=[router], graceful_timeout_s=1)
    await start(bus)
    async with asyncio.timeout(10):
        await bus.connection.close()
        with pytest.raises(BusLostError):
            await Watchdog(bus, every_s=0.01).run()
        await stop(bus)


async def test_the_watchdog_revives_a_connection_that_nobody_restores(own_nats_server: NatsServer) -> None:
    bus = build_broker(NatsSettings(url=own_nats_server.url), "webhooks")
    await start(bus)
    connection = bus.connection
    assert isinstance(connection, Connection)
    now = [0.0]
    watchdog = Watchdog(bus, patience_s=30, clock=lambda: now[0])
    own_nats_server.kill()
    async with asyncio.timeout(20):
        await until(lambda: not bus.up.is_set() and connection.is_reviving)
        assert connection._reconnection_task is not None
        connection._reconnection_task.cancel()
        await until(lambda: not connection.is_reviving)
        await asyncio.to_thread(own_nats_server.start)
        watchdog.look()
        now[0] = 29.0
        watchdog.look()
        assert not connection.is_reviving
        now[0] = 30.0
        watchdog.look()
        await asyncio.wait_for(bus.up.wait(), 10)
    await stop(bus)
