"""Who answers a number, as a call-worker sees it: what is remembered helps while the store is away, and no further."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope.ids import new_id
from calliope.messaging.broker import Bus
from calliope.messaging.command_client import CommandClient
from calliope.secrets import Opener
from calliope_call_worker.adapters.directory import BusDirectory
from calliope_call_worker.adapters.number_resolver import ASK_S, BusNumberResolver
from calliope_call_worker.adapters.pins import NatsPins
from calliope_call_worker.calls.documents import CallDocuments
from calliope_call_worker.opened_documents import OpenedDocuments
from support.assistants import Asking, AssistantsProcess, a_bus
from support.mongo import MongoServer
from support.nats import NatsServer
from support.sealing import CALLS_KEY
from support.waiting import until

ON, OFF, UNKNOWN = "+15550001001", "+15550001002", "+15550001009"
TWILIO = {"account_sid": "AC" + "1" * 32, "auth_token": "a-token-of-twilio"}


@dataclass(slots=True)
class Worker:
    """As far as routing goes."""

    numbers: BusNumberResolver
    documents: CallDocuments

    async def takes(self, number: str) -> tuple[str, str, int]:
        """A new call's assistant, by id and name, and its revision."""
        route = await self.numbers.route(number)
        assert route is not None
        found = await self.documents.for_new_call(route)
        assert found is not None
        self.numbers.keep(route)
        return route.assistant_id, found[0].name, found[1]


@asynccontextmanager
async def a_worker(bus: Bus) -> AsyncIterator[Worker]:
    commands = CommandClient(bus)
    numbers = BusNumberResolver(bus, commands)
    documents = CallDocuments(BusDirectory(commands), NatsPins(bus), OpenedDocuments(Opener([CALLS_KEY])))
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(numbers.run(), name="routes.write")
        yield Worker(numbers, documents)
        writing.cancel()


async def assigned(asking: Asking, number: str, **document: Any) -> str:
    made = await asking.create(name=number, **document)
    await asking.ask(Command.PHONE_NUMBERS_ASSIGN, {"number": number, "spec": {"assistant_id": made.id}})
    return made.id


async def test_a_known_number_is_known_while_the_store_is_away_and_whether_its_assistant_is_switched_off(
    own: AssistantsProcess, own_nats_server: NatsServer, own_mongo_server: MongoServer
) -> None:
    async with a_bus(own_nats_server.url) as bus, a_worker(bus) as worker:
        asking = Asking(bus, new_id("org"))
        made = {number: await assigned(asking, number) for number in (ON, OFF)}
        for number, assistant_id in made.items():
            assert (await worker.takes(number))[0] == assistant_id
        await asking.ask(Command.ASSISTANTS_UPDATE, {"assistant_id": made[OFF], "patch": {"is_active": False}})
        asleep = await worker.numbers.route(OFF)
        own_mongo_server.kill()
        began = time.monotonic()
        remembered = await worker.numbers.route(ON)
        assert time.monotonic() - began < ASK_S
        still_asleep = await worker.numbers.route(OFF)
        assert (await worker.takes(ON))[0] == made[ON]
        with pytest.raises(CommandError) as caught:
            await worker.numbers.route(UNKNOWN)
    assert remembered is not None
    assert (remembered.assistant_id, remembered.is_active) == (made[ON], True)
    assert asleep is not None
    assert asleep == still_asleep
    assert (asleep.assistant_id, asleep.is_active) == (made[OFF], False)
    assert caught.value.code in {ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT}


@pytest.mark.promise("P3")
async def test_a_worker_that_starts_while_the_store_is_away_takes_the_calls_that_others_took_before(
    own: AssistantsProcess, own_nats_server: NatsServer, own_mongo_server: MongoServer
) -> None:
    async with a_bus(own_nats_server.url) as bus:
        async with a_worker(bus) as warm:
            made = await assigned(Asking(bus, new_id("org")), ON, twilio_config=TWILIO)
            taken = await warm.takes(ON)
            await until(lambda: warm.numbers.written == 1)
        own_mongo_server.kill()
        async with a_worker(bus) as cold:
            route = await cold.numbers.route(ON)
            assert await cold.takes(ON) == taken == (made, ON, 1)
    assert route is not None
    assert route.account is not None
    assert TWILIO["auth_token"] not in str(route)


async def test_a_changed_token_and_a_released_number_count_at_once(asking: Asking, bus: Bus) -> None:
    number = "+15550001004"
    made = await assigned(asking, number, twilio_config=TWILIO)
    async with a_worker(bus) as worker:
        before = await worker.numbers.route(number)
        rotated = {"assistant_id": made, "patch": {"twilio_config": {"auth_token": "another-token"}}}
        await asking.ask(Command.ASSISTANTS_UPDATE, rotated)
        after = await worker.numbers.route(number)
        await asking.ask(Command.PHONE_NUMBERS_RELEASE, {"number": number})
        assert await worker.numbers.route(number) is None
    assert before is not None
    assert after is not None
    assert (before.revision, after.revision) == (1, 2)
    assert before.account != after.account


async def test_many_hooks_about_one_number_are_few_questions(
    asking: Asking, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = "+15550001005"
    await assigned(asking, number)
    async with a_worker(bus) as worker:
        asked = 0
        commands = worker.numbers._commands
        call = commands.call

        async def counted(*args: object, **about: object) -> object:
            nonlocal asked
            asked += 1
            return await call(*args, **about)  # type: ignore[call-overload]

        monkeypatch.setattr(commands, "call", counted)
        async with asyncio.TaskGroup() as tasks:
            hooks = [tasks.create_task(worker.numbers.route(number), name=f"hook.{n}") for n in range(200)]
        known = worker.numbers.known(number)
    assert asked <= 3
    assert all(hook.result() is not None for hook in hooks)
    assert known is not None
    assert known.route == hooks[0].result()


async def test_who_does_not_ask_for_assistants_that_are_switched_off_gets_none(asking: Asking) -> None:
    """A worker of before looks at nothing more than whether there is an answer."""
    made, number = await asking.create(is_active=False), "+15550001003"
    await asking.ask(Command.PHONE_NUMBERS_ASSIGN, {"number": number, "spec": {"assistant_id": made.id}})
    with pytest.raises(CommandError) as caught:
        await asking.ask(Command.PHONE_NUMBERS_RESOLVE, {"number": number})
    assert caught.value.code is ErrorCode.CONFLICT
    found = await asking.ask(Command.PHONE_NUMBERS_RESOLVE, {"number": number, "also_inactive": True})
    assert found["assistant"]["organization_id"] == asking.organization
