"""Requests and replies over a real server: errors arrive as errors, and nobody waits for nothing."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import orjson
import pytest
from faststream.nats import NatsRouter
from faststream.nats.subscriber.usecases import ConcurrentCoreSubscriber
from nats.aio.msg import Msg
from pydantic import BaseModel

from calliope.contracts.base import CommandMessage
from calliope.contracts.errors import ErrorCode, FieldProblem
from calliope.contracts.subjects import Command
from calliope.errors import CommandError, TransientError, invalid
from calliope.messaging.broker import Bus, build_broker, connected, ready, start, stop
from calliope.messaging.command_client import NOBODY_RETRY_S, CommandClient
from calliope.messaging.commands import DEADLINE, responder
from calliope.messaging.streams import MAX_MESSAGE_BYTES
from calliope.observability import metrics
from calliope.settings import NatsSettings
from support.waiting import until

Connect = Callable[..., AbstractAsyncContextManager[Bus]]
SUBJECT = Command.CALLS_ACCEPT


class Ask(BaseModel):
    text: str
    times: int = 1


class Answer(BaseModel):
    text: str


def a_router(raises: Exception | None = None) -> NatsRouter:
    router = NatsRouter()

    @responder(router, SUBJECT, service="call-worker")
    async def answer(command: CommandMessage[Ask]) -> Answer:
        if raises is not None:
            raise raises
        return Answer(text=f"{command.organization} {command.payload.text * command.payload.times}")

    return router


async def refused(bus: Bus, payload: BaseModel | dict[str, object], *, timeout_s: float = 5.0) -> CommandError:
    with pytest.raises(CommandError) as caught:
        await CommandClient(bus).call(SUBJECT, payload, timeout_s=timeout_s)
    return caught.value


async def test_a_result_comes_back_typed(connect: Connect) -> None:
    async with connect(a_router()) as bus:
        reply = await CommandClient(bus).call(SUBJECT, Ask(text="ho"), reply_type=Answer, organization="org_1")

    assert reply == Answer(text="org_1 ho")


async def test_a_service_is_not_ready_before_the_server_knows_every_subscription(
    bus_settings: NatsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = build_broker(bus_settings, "call-worker", routers=[a_router()])
    waiting, goes_on = asyncio.Event(), asyncio.Event()
    subscribe = ConcurrentCoreSubscriber.start

    async def later(subscriber: ConcurrentCoreSubscriber) -> None:
        waiting.set()
        await goes_on.wait()
        await subscribe(subscriber)

    monkeypatch.setattr(ConcurrentCoreSubscriber, "start", later)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        starting = tasks.create_task(start(bus))
        await waiting.wait()
        assert connected(bus)
        with pytest.raises(TransientError, match="still subscribing"):
            await ready(bus)
        goes_on.set()
        await starting
        await ready(bus)
        assert await CommandClient(bus).call(SUBJECT, Ask(text="ho"), reply_type=Answer) == Answer(text="None ho")
    await stop(bus)


async def test_an_error_keeps_its_code_its_fields_and_its_advice(connect: Connect) -> None:
    field = FieldProblem(path="a.0.b", message="no", hint="did you mean 'c'?")
    async with connect(a_router(invalid("that cannot be", field))) as bus:
        error = await refused(bus, Ask(text="ho"))

    assert (error.code, str(error), error.problem.fields) == (ErrorCode.INVALID, "that cannot be", (field,))


async def test_an_error_reply_is_readable_by_generic_tools(connect: Connect) -> None:
    async with connect(a_router(TransientError("later", retry_after_s=3))) as bus:
        reply = await bus.connection.request(SUBJECT, b'{"payload": {"text": "x"}}', timeout=5)

    assert (reply.headers or {})["Nats-Service-Error-Code"] == "unavailable"
    assert (reply.headers or {})["content-type"] == "application/json"
    assert orjson.loads(reply.data)["error"]["retry_after_s"] == 3


async def test_a_crash_is_answered_without_its_words(connect: Connect) -> None:
    async with connect(a_router(KeyError("sk-secret"))) as bus:
        error = await refused(bus, Ask(text="ho"))

    assert error.code is ErrorCode.INTERNAL
    assert "sk-secret" not in str(error.problem)


async def test_a_payload_of_the_wrong_form_names_its_fields(connect: Connect) -> None:
    async with connect(a_router()) as bus:
        error = await refused(bus, {"times": "many"})

    assert error.code is ErrorCode.INVALID
    assert [field.path for field in error.problem.fields] == ["text", "times"]


@pytest.mark.parametrize("body", [b"{no json", b"", b"0", b"[]", b'"x"', b"\xff\xfe"])
async def test_a_body_that_is_no_command_is_answered(connect: Connect, body: bytes) -> None:
    async with connect(a_router()) as bus:
        reply = await bus.connection.request(SUBJECT, body, timeout=5, headers={"content-type": "application/json"})

    assert orjson.loads(reply.data)["error"]["code"] == "invalid"


async def test_nobody_there_is_said_at_once(bus: Bus) -> None:
    async with asyncio.timeout(5):
        error = await refused(bus, Ask(text="ho"), timeout_s=60)

    assert (error.code, error.problem.retry_after_s) == (ErrorCode.UNAVAILABLE, NOBODY_RETRY_S)


async def test_silence_is_a_timeout(connect: Connect) -> None:
    release = asyncio.Event()
    router = NatsRouter()

    @responder(router, SUBJECT, service="call-worker")
    async def answer(command: CommandMessage[Ask]) -> None:
        await release.wait()

    async with connect(router) as bus:
        error = await refused(bus, Ask(text="ho"), timeout_s=0.1)
        release.set()

    assert error.code is ErrorCode.TIMEOUT


@pytest.mark.parametrize(
    "answer",
    [b"no json", b"", b"[]", b'{"ok": {"words": "ho"}}', b'{"ok": null}', b'{"error": {"code": "of_tomorrow"}}'],
    ids=repr,
)
async def test_an_answer_that_cannot_be_read_is_an_error_like_any_other(bus: Bus, answer: bytes) -> None:
    async def reply(message: Msg) -> None:
        await message.respond(answer)

    await bus.connection.subscribe(SUBJECT, cb=reply)

    with pytest.raises(CommandError, match="are all services of one version") as caught:
        await CommandClient(bus).call(SUBJECT, Ask(text="ho"), reply_type=Answer)

    assert caught.value.code is ErrorCode.INTERNAL


async def test_a_request_that_the_client_gives_up_is_an_error_and_no_cancellation(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def given_up(*_: object, **__: object) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    monkeypatch.setattr(bus.connection, "request", given_up)

    assert (await refused(bus, Ask(text="ho"))).code is ErrorCode.UNAVAILABLE


async def test_who_is_cancelled_while_asking_stays_cancelled_and_is_counted_so(connect: Connect) -> None:
    begun, release = asyncio.Event(), asyncio.Event()
    router = NatsRouter()

    @responder(router, SUBJECT, service="call-worker")
    async def answer(command: CommandMessage[Ask]) -> None:
        begun.set()
        await release.wait()

    before = calls_counted("cancelled")
    async with connect(router) as bus, asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(CommandClient(bus).call(SUBJECT, Ask(text="ho")), name="asking")
        await begun.wait()
        asking.cancel()
        release.set()

    assert asking.cancelled()
    assert calls_counted("cancelled") == before + 1


def calls_counted(code: str) -> float:
    labels = {"subject": SUBJECT, "code": code}
    return metrics.REGISTRY.get_sample_value("calliope_command_call_seconds_count", labels) or 0.0


async def test_a_request_past_its_deadline_is_not_begun(connect: Connect) -> None:
    begun: list[str] = []
    router = NatsRouter()

    @responder(router, SUBJECT, service="call-worker")
    async def answer(command: CommandMessage[Ask]) -> None:
        begun.append(command.payload.text)

    async with connect(router) as bus:
        reply = await bus.connection.request(
            SUBJECT, b'{"payload": {"text": "late"}}', timeout=5, headers={DEADLINE: "1000"}
        )
        await CommandClient(bus).call(SUBJECT, Ask(text="in time"))

    assert orjson.loads(reply.data)["error"]["code"] == "timeout"
    assert begun == ["in time"]


async def test_requests_are_handled_side_by_side(connect: Connect) -> None:
    all_there = asyncio.Barrier(33)
    router = NatsRouter()

    @responder(router, SUBJECT, service="call-worker")
    async def answer(command: CommandMessage[Ask]) -> None:
        await all_there.wait()

    async with connect(router) as bus, asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        for number in range(32):
            tasks.create_task(CommandClient(bus).call(SUBJECT, Ask(text=str(number))))
        await all_there.wait()


async def test_what_is_too_large_is_refused_and_the_connection_lives(connect: Connect) -> None:
    async with connect(a_router()) as bus:
        request = await refused(bus, Ask(text="x" * MAX_MESSAGE_BYTES))
        reply = await refused(bus, Ask(text="x" * 1000, times=MAX_MESSAGE_BYTES // 1000 + 1))
        answer = await CommandClient(bus).call(SUBJECT, Ask(text="ho"), reply_type=Answer)

    assert request.code is reply.code is ErrorCode.TOO_LARGE
    assert answer.text == "None ho"


async def test_a_number_that_json_readers_cannot_hold_is_refused_at_once_both_ways(connect: Connect) -> None:
    router = NatsRouter()

    @responder(router, SUBJECT, service="call-worker")
    async def answer(command: CommandMessage[Ask]) -> dict[str, int]:
        return {"large": 10**30}

    async with connect(router) as bus, asyncio.timeout(5):
        request = await refused(bus, {"text": "x", "times": 10**30}, timeout_s=60)
        reply = await refused(bus, Ask(text="x"), timeout_s=60)

    assert (request.code, reply.code) == (ErrorCode.INVALID, ErrorCode.INTERNAL)


async def test_a_paused_responder_leaves_its_requests_to_others_and_answers_what_it_has(connect: Connect) -> None:
    began, release = asyncio.Event(), asyncio.Event()
    full_router, free_router = NatsRouter(), NatsRouter()
    full = responder(full_router, SUBJECT, service="call-worker")

    @full
    async def slow(command: CommandMessage[Ask]) -> Answer:
        began.set()
        await release.wait()
        return Answer(text="full")

    @responder(free_router, SUBJECT, service="call-worker")
    async def quick(command: CommandMessage[Ask]) -> Answer:
        return Answer(text="free")

    async with connect(full_router) as bus, asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        commands = CommandClient(bus)
        in_flight = tasks.create_task(commands.call(SUBJECT, Ask(text="1"), reply_type=Answer))
        await began.wait()
        await full.pause()
        nobody = await refused(bus, Ask(text="2"))
        async with connect(free_router):
            answers = {(await commands.call(SUBJECT, Ask(text="3"), reply_type=Answer)).text for _ in range(20)}
        release.set()
        await full.resume()
        back = await commands.call(SUBJECT, Ask(text="4"), reply_type=Answer)

    assert nobody.code is ErrorCode.UNAVAILABLE
    assert answers == {"free"}
    assert (in_flight.result().text, back.text) == ("full", "full")


async def test_a_responder_can_be_paused_and_resumed_many_times(connect: Connect) -> None:
    router = NatsRouter()
    accept = responder(router, SUBJECT, service="call-worker")

    @accept
    async def answer(command: CommandMessage[Ask]) -> Answer:
        return Answer(text=command.payload.text)

    async with connect(router) as bus, asyncio.timeout(10):
        for number in range(20):
            await accept.pause()
            await accept.pause()
            assert (await refused(bus, Ask(text="?"))).code is ErrorCode.UNAVAILABLE
            await accept.resume()
            await accept.resume()
            assert (await CommandClient(bus).call(SUBJECT, Ask(text=str(number)))) == {"text": str(number)}


async def test_stopping_under_load_fails_no_request(connect: Connect) -> None:
    """Two replicas; one leaves while requests fly."""
    async with connect(a_router()) as stays, connect(a_router()) as leaves, connect(service="gateway") as asks:
        commands, stopped = CommandClient(asks), asyncio.Event()
        answered = 0

        async def keep_asking() -> None:
            nonlocal answered
            after = 0
            while after < 20:
                await commands.call(SUBJECT, Ask(text="ho"), timeout_s=3)
                answered += 1
                after += stopped.is_set()

        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(keep_asking())
            await until(lambda: answered >= 100)
            await stop(leaves)
            stopped.set()

        assert stays.connection.is_connected
        assert answered >= 260
