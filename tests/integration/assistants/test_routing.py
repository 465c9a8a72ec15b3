"""Who answers a number, as a call-worker sees it: what it remembers helps while the store is away, and no further."""

import time

import pytest

from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope.ids import new_id
from calliope.messaging.command_client import CommandClient
from calliope_call_worker.adapters.directory import ASK_S, BusDirectory
from support.assistants import Asking, AssistantsProcess, a_bus
from support.mongo import MongoServer
from support.nats import NatsServer

ON, OFF, UNKNOWN = "+15550001001", "+15550001002", "+15550001009"


async def test_a_known_number_is_known_while_the_store_is_away_and_whether_its_assistant_is_switched_off(
    own: AssistantsProcess, own_nats_server: NatsServer, own_mongo_server: MongoServer
) -> None:
    async with a_bus(own_nats_server.url) as bus:
        asking, directory = Asking(bus, new_id("org")), BusDirectory(CommandClient(bus))
        made = {number: (await asking.create(name=number)).id for number in (ON, OFF)}
        for number, assistant_id in made.items():
            spec = {"assistant_id": assistant_id}
            await asking.ask(Command.PHONE_NUMBERS_ASSIGN, {"number": number, "spec": spec})
            found = await directory.resolve(number)
            assert found is not None
            assert found.assistant.id == assistant_id
        off = {"assistant_id": made[OFF], "patch": {"is_active": False}}
        await asking.ask(Command.ASSISTANTS_UPDATE, off)
        asleep = await directory.resolve(OFF)
        own_mongo_server.kill()
        began = time.monotonic()
        remembered = await directory.resolve(ON)
        assert time.monotonic() - began < ASK_S + 0.5
        still_asleep = await directory.resolve(OFF)
        with pytest.raises(CommandError) as caught:
            await directory.resolve(UNKNOWN)
    assert remembered is not None
    assert (remembered.assistant.id, remembered.assistant.document["is_active"]) == (made[ON], True)
    assert asleep == still_asleep
    assert asleep is not None
    assert (asleep.assistant.id, asleep.assistant.document["is_active"]) == (made[OFF], False)
    assert caught.value.code in {ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT}


async def test_who_does_not_ask_for_assistants_that_are_switched_off_gets_none(asking: Asking) -> None:
    """A worker of before looks at nothing more than whether there is an answer."""
    made, number = await asking.create(is_active=False), "+15550001003"
    await asking.ask(Command.PHONE_NUMBERS_ASSIGN, {"number": number, "spec": {"assistant_id": made.id}})
    with pytest.raises(CommandError) as caught:
        await asking.ask(Command.PHONE_NUMBERS_RESOLVE, {"number": number})
    assert caught.value.code is ErrorCode.CONFLICT
    found = await asking.ask(Command.PHONE_NUMBERS_RESOLVE, {"number": number, "also_inactive": True})
    assert found["assistant"]["organization_id"] == asking.organization
