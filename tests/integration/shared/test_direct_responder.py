"""Requests answered without the framework: the same on the wire, and bounded whoever asks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from faststream.nats import NatsRouter
from pydantic import BaseModel

from calliope.contracts.base import CommandMessage
from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.errors import CommandError, TransientError, invalid
from calliope.messaging.broker import Bus, build_broker, start, stop
from calliope.messaging.command_client import CommandClient
from calliope.messaging.commands import ANSWERED_AT, DEADLINE, responder
from calliope.messaging.direct_responder import BUSY, MAX_PENDING, MAX_PENDING_UNTRUSTED, DirectResponder, Pending
from calliope.observability import metrics
from calliope.runtime.isolated_tasks import IsolatedTasks
from calliope.runtime.loop_share import LoopShare
from calliope.settings import NatsSettings
from support.nats import NatsServer
from support.waiting import until

Connect = Callable[..., AbstractAsyncContextManager[Bus]]
SUBJECT, OTHER = Command.CALLS_ACCEPT, Command.CALLS_DECLINE


class Ask(BaseModel):
    text: str


class Answer(BaseModel):
    text: str


def echo(ask: Ask) -> Answer:
    return Answer(text=ask.text)


def later(ask: Ask) -> Pending[Answer]:
    async def work() -> Answer:
        return echo(ask)

    return Pending(work, trusted=True)


def raising(error: Exception) -> Callable[[Ask], Answer]:
    def refuse(_: Ask) -> Answer:
        raise error

    return refuse


def raising_later(error: Exception) -> Callable[[Ask], Pending[Answer]]:
    async def refuse() -> Answer:
        raise error

    return lambda _: Pending(refuse, trusted=True)


@dataclass(slots=True)
class Clock:
    """Time that the thread has worked; goes on by `each_s` whenever somebody looks."""

    each_s: float = 0.0
    at_s: float = field(default=0.0, init=False)

    def used_s(self) -> float:
        self.at_s += self.each_s
        return self.at_s


@asynccontextmanager
async def answering(
    settings: NatsSettings,
    handler: Callable[[Ask], Answer | Pending[Answer]],
    *,
    share: LoopShare | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[tuple[Bus, DirectResponder[Ask, Answer]]]:
    """A service that answers so; another one may ask over its bus."""
    bus = build_broker(settings, "call-worker", graceful_timeout_s=2.0)
    async with IsolatedTasks() as tasks:
        direct = DirectResponder(
            bus,
            SUBJECT,
            Ask,
            handler,
            service="call-worker",
            share=share or LoopShare(1.0, 1_000.0),
            spawn=tasks.spawn,
            used_s=(clock or Clock()).used_s,
        )
        await start(bus, within_s=10)
        try:
            yield bus, direct
        finally:
            await stop(bus)


async def refused(bus: Bus, payload: BaseModel, *, timeout_s: float = 5.0) -> CommandError:
    with pytest.raises(CommandError) as caught:
        await CommandClient(bus).call(SUBJECT, payload, timeout_s=timeout_s)
    return caught.value


def counted(name: str, code: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, {"subject": SUBJECT, "code": code}) or 0.0


Sent = tuple[bytes, dict[str, str]]
"""Body and headers of a request."""


async def both_replies(
    settings: NatsSettings, handler: Callable[[Ask], Any], framework: NatsRouter, requests: Sequence[Sent]
) -> tuple[list[Any], list[Any]]:
    """Bodies and headers of replies, without the time and what only the framework adds."""
    async with answering(settings, handler) as (bus, _):
        bus.include_router(framework)
        for subscriber in framework.subscribers:
            await subscriber.start()
        direct = [await asked(bus, SUBJECT, *each) for each in requests]
        return direct, [await asked(bus, OTHER, *each) for each in requests]


async def asked(bus: Bus, subject: str, body: bytes, headers: dict[str, str]) -> tuple[Any, dict[str, str]]:
    reply = await bus.connection.request(
        subject, body, timeout=5, headers={"content-type": "application/json"} | headers
    )
    assert (reply.headers or {})[ANSWERED_AT].isdigit()
    return orjson.loads(reply.data), without(reply.headers or {})


def without(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in {ANSWERED_AT, "correlation_id"}}


def framework_router(error: Exception | None = None) -> NatsRouter:
    router = NatsRouter()

    @responder(router, OTHER, service="call-worker")
    async def answer(command: CommandMessage[Ask]) -> Answer:
        if error is not None:
            raise error
        return echo(command.payload)

    return router


async def test_a_request_is_read_like_that_of_any_other_command(bus_settings: NatsSettings) -> None:
    requests: list[Sent] = [
        (b'{"organization": "org_1", "command_id": null, "payload": {"text": "ho", "more": 1}}', {}),
        (b'{"payload": {"text": "late"}}', {DEADLINE: "1000"}),
        (b'{"payload": {"text": 5}}', {}),
        (b'{"payload": {}}', {}),
        (b'{"text": "ho"}', {}),
        (b"{no json", {}),
        (b"", {}),
    ]
    direct, framework = await both_replies(bus_settings, echo, framework_router(), requests)

    assert direct == framework
    assert [next(iter(body)) for body, _ in direct] == ["ok", *["error"] * 6]


@pytest.mark.parametrize("how", [raising, raising_later])
@pytest.mark.parametrize(
    "error",
    [invalid("that cannot be"), TransientError("later", retry_after_s=3), TimeoutError(), KeyError("sk-secret")],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_is_told_like_that_of_any_other_command(
    bus_settings: NatsSettings, error: Exception, how: Callable[[Exception], Callable[[Ask], Any]]
) -> None:
    requests: list[Sent] = [(b'{"payload": {"text": "ho"}}', {})]
    direct, framework = await both_replies(bus_settings, how(error), framework_router(error), requests)

    assert direct == framework
    assert "sk-secret" not in str(direct)


async def test_a_body_that_is_no_command_is_answered(bus_settings: NatsSettings) -> None:
    async with answering(bus_settings, echo) as (bus, _):
        replies = [await asked(bus, SUBJECT, body, {}) for body in (b"[]", b"0", b'"x"', b"\xff\xfe", b"null")]

    assert {body["error"]["code"] for body, _ in replies} == {"invalid"}


async def test_what_is_answered_at_once_is_counted_and_has_no_place_among_what_was_begun(
    bus_settings: NatsSettings,
) -> None:
    begun, at_once = "calliope_command_seconds_count", "calliope_commands_answered_at_once_total"
    before = counted(begun, "ok"), counted(at_once, "ok")
    async with answering(bus_settings, echo) as (bus, _):
        for _number in range(3):
            await CommandClient(bus).call(SUBJECT, Ask(text="ho"))
    async with answering(bus_settings, later) as (bus, _):
        await CommandClient(bus).call(SUBJECT, Ask(text="ho"))

    assert (counted(begun, "ok"), counted(at_once, "ok")) == (before[0] + 1, before[1] + 3)


async def test_beyond_its_share_of_the_loop_a_request_is_refused_unread(bus_settings: NatsSettings) -> None:
    read: list[str] = []

    def slow(ask: Ask) -> Answer:
        read.append(ask.text)
        return echo(ask)

    async with answering(bus_settings, slow, share=LoopShare(1e-9, 0.05), clock=Clock(0.02)) as (bus, _):
        for number in range(3):
            await CommandClient(bus).call(SUBJECT, Ask(text=str(number)))
        error = await refused(bus, Ask(text="one more"))

    assert (error.code, error.problem.retry_after_s) == (ErrorCode.UNAVAILABLE, BUSY.retry_after_s)
    assert read == ["0", "1", "2"]


async def answered(bus: Bus, text: str) -> Any:
    """As soon as somebody takes it."""
    async with asyncio.timeout(10):
        while True:
            with suppress(CommandError):
                return await CommandClient(bus).call(SUBJECT, Ask(text=text))


async def test_used_up_it_is_away_until_something_of_its_share_is_there_again(
    bus_settings: NatsSettings, connect: Connect
) -> None:
    read: list[str] = []

    def noted(ask: Ask) -> Answer:
        read.append(ask.text)
        return echo(ask)

    rests, share = counted_rests(), LoopShare(0.5, 0.05)
    async with connect(service="gateway") as asks, answering(bus_settings, noted, share=share, clock=Clock(0.06)):
        first = await answered(asks, "first")
        error = await refused(asks, Ask(text="at once"))
        later = await answered(asks, "later")

    assert (first, error.code, later) == ({"text": "first"}, ErrorCode.UNAVAILABLE, {"text": "later"})
    assert read == ["first", "later"]
    assert counted_rests() == rests + 1


async def test_who_is_away_stays_so_when_it_is_paused(bus_settings: NatsSettings, connect: Connect) -> None:
    share = LoopShare(1e-9, 0.05)
    async with (
        connect(service="gateway") as asks,
        answering(bus_settings, echo, share=share, clock=Clock(0.06)) as (_, direct),
        asyncio.timeout(10),
    ):
        await answered(asks, "first")
        await refused(asks, Ask(text="at once"))
        await direct.pause()
        nobody = await refused(asks, Ask(text="?"))
        async with answering(bus_settings, lambda _: Answer(text="free")):
            answers = {(await answered(asks, "?"))["text"] for _ in range(20)}

    assert "nobody answers" in str(nobody)
    assert answers == {"free"}


def counted_rests() -> float:
    return metrics.REGISTRY.get_sample_value("calliope_command_rests_total", {"subject": SUBJECT}) or 0.0


async def test_who_is_trusted_uses_nothing_of_the_share_and_a_stranger_whose_request_waits_does(
    bus_settings: NatsSettings,
) -> None:
    share = LoopShare(1e-9, 0.0004)

    def by_name(ask: Ask) -> Pending[Answer]:
        return Pending(later(ask).work, trusted=ask.text == "friend")

    async with answering(bus_settings, by_name, share=share, clock=Clock(1.0)) as (bus, _):
        commands = CommandClient(bus)
        for name in (*["friend"] * 50, "stranger"):
            assert await commands.call(SUBJECT, Ask(text=name)) == {"text": name}
        error = await refused(bus, Ask(text="stranger"))

    assert error.code is ErrorCode.UNAVAILABLE


@pytest.mark.parametrize(("trusted", "places"), [(True, MAX_PENDING), (False, MAX_PENDING_UNTRUSTED)])
async def test_so_many_wait_and_more_are_refused_at_once(
    bus_settings: NatsSettings, trusted: bool, places: int
) -> None:
    begun, release = asyncio.Semaphore(0), asyncio.Event()

    def waiting(ask: Ask) -> Pending[Answer]:
        async def work() -> Answer:
            begun.release()
            await release.wait()
            return echo(ask)

        return Pending(work, trusted=trusted)

    async with answering(bus_settings, waiting) as (bus, _), asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        commands = CommandClient(bus)
        asked = [tasks.create_task(commands.call(SUBJECT, Ask(text=str(n)))) for n in range(places)]
        for _number in range(places):
            await begun.acquire()
        error = await refused(bus, Ask(text="one more"), timeout_s=60)
        release.set()

    assert error.code is ErrorCode.UNAVAILABLE
    assert [task.result()["text"] for task in asked] == [str(number) for number in range(places)]


async def test_ten_thousand_requests_at_once_are_each_answered_and_leave_the_loop_to_others(
    bus_settings: NatsSettings, connect: Connect
) -> None:
    total, answered = 10_000, 0
    async with answering(bus_settings, echo) as (bus, _), connect(service="gateway") as asks, asyncio.timeout(30):

        async def count(_: Any) -> None:
            nonlocal answered
            answered += 1

        others = 0
        inbox = asks.connection.new_inbox()
        await asks.connection.subscribe(inbox, cb=count)
        for _number in range(total):
            await asks.connection.publish(SUBJECT, b'{"payload": {"text": "ho"}}', reply=inbox)
        while answered < total:
            others += 1
            await asyncio.sleep(0)
        assert bus.connection.is_connected

    assert others > total / 100


async def test_paused_it_leaves_its_requests_to_others_and_answers_what_it_has(
    bus_settings: NatsSettings, connect: Connect
) -> None:
    began, release = asyncio.Event(), asyncio.Event()

    def slow(_: Ask) -> Pending[Answer]:
        async def work() -> Answer:
            began.set()
            await release.wait()
            return Answer(text="full")

        return Pending(work, trusted=True)

    async with (
        connect(service="gateway") as asks,
        answering(bus_settings, slow) as (_, full),
        asyncio.timeout(10),
        asyncio.TaskGroup() as tasks,
    ):
        commands = CommandClient(asks)
        in_flight = tasks.create_task(commands.call(SUBJECT, Ask(text="1"), reply_type=Answer))
        await began.wait()
        await full.pause()
        await full.pause()
        nobody = await refused(asks, Ask(text="2"))
        async with answering(bus_settings, lambda _: Answer(text="free")):
            answers = {(await commands.call(SUBJECT, Ask(text="3"), reply_type=Answer)).text for _ in range(20)}
        release.set()
        await full.resume()
        await full.resume()
        back = await commands.call(SUBJECT, Ask(text="4"), reply_type=Answer)

    assert nobody.code is ErrorCode.UNAVAILABLE
    assert answers == {"free"}
    assert (in_flight.result().text, back.text) == ("full", "full")


async def test_stopping_under_load_fails_no_request(bus_settings: NatsSettings, connect: Connect) -> None:
    """Two replicas; one leaves while requests fly."""
    answered, stopped = 0, asyncio.Event()
    async with connect(service="gateway") as asks, answering(bus_settings, later):
        commands = CommandClient(asks)

        async def keep_asking() -> None:
            nonlocal answered
            after = 0
            while after < 20:
                await commands.call(SUBJECT, Ask(text="ho"), timeout_s=3)
                answered += 1
                after += stopped.is_set()

        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            async with answering(bus_settings, later):
                for _number in range(8):
                    tasks.create_task(keep_asking())
                await until(lambda: answered >= 100)
            stopped.set()

    assert answered >= 260


async def test_it_is_there_again_when_the_server_is_and_paused_meanwhile_it_is_not(own_nats_server: NatsServer) -> None:
    async with (
        answering(NatsSettings(url=own_nats_server.url), echo) as (bus, direct),
        asyncio.timeout(30),
    ):
        commands = CommandClient(bus)
        for paused in (False, True):
            await asyncio.to_thread(own_nats_server.kill)
            await until(lambda: not bus.up.is_set())
            if paused:
                await direct.pause()
            await asyncio.to_thread(own_nats_server.start)
            await asyncio.wait_for(bus.up.wait(), 10)
            if paused:
                assert (await refused(bus, Ask(text="ho"))).code is ErrorCode.UNAVAILABLE
                await direct.resume()
            assert await commands.call(SUBJECT, Ask(text="ho")) == {"text": "ho"}
