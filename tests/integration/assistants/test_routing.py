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

ON, OFF = "+15550001001", "+15550001002"


async def test_a_known_number_is_answered_while_the_store_is_away_but_not_by_an_assistant_switched_off(
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
        assert await directory.resolve(OFF) is None
        own_mongo_server.kill()
        began = time.monotonic()
        remembered = await directory.resolve(ON)
        assert time.monotonic() - began < ASK_S + 0.5
        with pytest.raises(CommandError) as caught:
            await directory.resolve(OFF)
    assert remembered is not None
    assert remembered.assistant.id == made[ON]
    assert caught.value.code in {ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT}
