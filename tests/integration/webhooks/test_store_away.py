"""The store stopped, frozen or slow under events: afterwards every event was delivered, once, and nothing was given up.

The schedule is shortened so that two seconds are more than it bears: what counted as a failure would be a dead letter.
"""

import asyncio
import dataclasses
from collections import Counter

import pytest
from pydantic import SecretStr

from calliope.contracts.base import Event
from calliope.contracts.errors import ErrorCode
from calliope.contracts.webhooks import Delivery
from calliope.errors import CommandError
from calliope.messaging import streams
from calliope.messaging.dead_letters import DeadLetters
from calliope.messaging.streams import EVENTS, WEBHOOKS_FANOUT
from calliope.observability import metrics
from support.mongo import MongoServer
from support.slow_link import SlowLink
from support.waiting import until

from .conftest import House, Receiver

CALLS = 5
TIMEOUT_S = 0.8
"""Of a store: above what a busy machine needs for an answer; two of them are below the times of absence here."""


@pytest.fixture(autouse=True)
async def hasty_fanout(monkeypatch: pytest.MonkeyPatch, house: House) -> None:
    hasty = dataclasses.replace(WEBHOOKS_FANOUT, ack_wait_s=1.0, max_deliver=2, retry_delays_s=(0.02,))
    monkeypatch.setitem(streams._BY_NAME, hasty.name, hasty)
    await house.bus.jetstream.add_consumer(EVENTS.name, hasty.config())


def with_store(house: House, port: int, timeout_s: float) -> None:
    url = SecretStr(f"mongodb://127.0.0.1:{port}")
    mongo = house.settings.mongo.model_copy(update={"url": url, "timeout_s": timeout_s})
    house.settings = house.settings.model_copy(update={"mongo": mongo})


def calls_of(house: House, receiver: Receiver, name: str) -> list[list[Event]]:
    """Some calls, each with its start and what followed; only the start names the assistant."""
    assistant = house.assistant(name, receiver.url(name))
    calls = []
    for n in range(CALLS):
        call_id = f"call_{name}{n}"
        followed = [house.event(f"calliope.call.{what}.v1", call_id) for what in ("answered", "turn_started", "ended")]
        calls.append([house.started(assistant, call_id), *followed])
    return calls


async def whole(house: House, receiver: Receiver, events: list[Event]) -> None:
    """Each event arrived once, and nothing is a dead letter."""
    ids = {event.id for event in events}
    await until(lambda: ids <= {got.id for got in receiver.got}, within_s=40)
    assert await DeadLetters(house.bus).counts() == {}
    assert Counter(got.id for got in receiver.got) == dict.fromkeys(ids, 1)


def is_away() -> bool:
    return metrics.REGISTRY.get_sample_value("calliope_dependency_away", {"dependency": "store"}) == 1


@pytest.mark.promise("P3")
@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_store_that_is_away_for_longer_than_the_schedule(
    house: House, receiver: Receiver, own_mongo_server: MongoServer, how: str
) -> None:
    with_store(house, own_mongo_server.port, TIMEOUT_S)
    before, during = calls_of(house, receiver, "before"), calls_of(house, receiver, "during")
    async with house.open():
        for call in before:
            await house.tell(*call[:2])
        await until(lambda: len(receiver.got) == 2 * CALLS)
        await until(lambda: not house.bus.dependencies.away)
        own_mongo_server.kill() if how == "killed" else own_mongo_server.freeze()
        for call in before:
            await house.tell(*call[2:])
        for call in during:
            await house.tell(*call)
        await until(is_away)
        held_until = asyncio.get_running_loop().time() + 2.5
        await until(lambda: asyncio.get_running_loop().time() > held_until)
        own_mongo_server.start() if how == "killed" else own_mongo_server.thaw()
        await whole(house, receiver, [event for call in (*before, *during) for event in call])
        await until(lambda: not is_away())


@pytest.mark.promise("P3")
@pytest.mark.parametrize(
    ("late_s", "timeout_s"), [(0.15, 1.0), (1.0, TIMEOUT_S)], ids=["slow", "slower-than-its-deadline"]
)
async def test_a_store_that_is_merely_slow(
    house: House, receiver: Receiver, own_mongo_server: MongoServer, late_s: float, timeout_s: float
) -> None:
    with SlowLink(own_mongo_server.port) as link:
        with_store(house, link.port, timeout_s)
        calls = calls_of(house, receiver, "slow")
        async with house.open():
            link.delay_s = late_s
            for call in calls:
                await house.tell(*call)
            held_until = asyncio.get_running_loop().time() + 2.0
            await until(lambda: asyncio.get_running_loop().time() > held_until)
            link.delay_s = 0.0
            await whole(house, receiver, [event for call in calls for event in call])


@pytest.mark.promise("P3")
async def test_an_owner_of_assistants_that_is_away_is_waited_for(house: House, receiver: Receiver) -> None:
    house.away = True
    calls = calls_of(house, receiver, "hook")
    async with house.open():
        for call in calls:
            await house.tell(*call)
        await until(lambda: house.asked >= 6)  # each check asks once: by then the schedule was over
        house.away = False
        await whole(house, receiver, [event for call in calls for event in call])


@pytest.mark.promise("P3")
@pytest.mark.parametrize("sweep_s", [30, 0.05], ids=["woken", "swept"])
async def test_an_answer_that_came_while_the_store_was_away_is_recorded_and_not_asked_for_again(
    house: House, receiver: Receiver, own_mongo_server: MongoServer, sweep_s: float
) -> None:
    with_store(house, own_mongo_server.port, TIMEOUT_S)
    house.with_delivery(timeout_s=1.5, lease_margin_s=0.1, sweep_s=sweep_s)
    receiver.scripts["hook"] = ["hang"]
    event = house.started(house.assistant("a", receiver.url("hook")))
    async with house.open():
        await house.tell(event)
        await until(lambda: receiver.got)
        own_mongo_server.kill()
        receiver.scripts["hook"] = [200]
        receiver.released.set()
        lease_ended = asyncio.get_running_loop().time() + 3.2
        await until(lambda: asyncio.get_running_loop().time() > lease_ended)
        own_mongo_server.start()
        delivery = await recorded(house)
    assert (delivery.attempts, len(receiver.got)) == (1, 1)


async def recorded(house: House) -> Delivery:
    """The one delivery, as soon as the store answers and knows what came of it."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await house.delivery(lambda one: len(one.log) == 1)
            except CommandError as exc:
                assert exc.code is ErrorCode.UNAVAILABLE  # noqa: PT017 - it is on its way back
