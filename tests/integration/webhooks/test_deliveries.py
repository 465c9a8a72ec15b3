"""Events reach the receivers they are for: signed, as they are, again when refused, never where they must not go."""

import base64
from collections import Counter

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Entity, events_of
from calliope.contracts.webhooks import DeliveryState
from calliope.errors import CommandError
from calliope.messaging.publish import encode
from support.waiting import until

from .conftest import House, Receiver


async def test_an_event_arrives_signed_and_byte_for_byte(house: House, receiver: Receiver) -> None:
    assistant = house.assistant("a", receiver.url("hook"))
    event = house.started(assistant)
    async with house.open():
        await house.tell(event)
        await until(lambda: receiver.got)
        delivery = await house.delivery(lambda one: one.state is DeliveryState.DELIVERED)

    (got,) = receiver.got
    assert got.verify()["id"] == got.id == event.id
    assert got.body == encode(event)
    assert got.headers["content-type"] == "application/json"
    assert got.headers["user-agent"].startswith("Calliope/")
    assert (delivery.attempts, delivery.log[0].status, delivery.log[0].response) == (1, 200, "thanks")


async def test_a_receiver_with_any_of_three_signing_secrets_can_verify(house: House, receiver: Receiver) -> None:
    """While secrets rotate, some receivers have the newest and some the oldest."""
    secrets = ["whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in range(3)]
    event = house.started(house.assistant("a", receiver.url("hook"), secrets=secrets))
    async with house.open():
        await house.tell(event)
        await until(lambda: receiver.got)

    assert [receiver.got[0].verify(secret)["id"] for secret in secrets] == [event.id] * 3
    with pytest.raises(WebhookVerificationError):
        receiver.got[0].verify()


async def test_all_events_of_a_call_follow_its_start(house: House, receiver: Receiver) -> None:
    start = house.started(house.assistant("a", receiver.url("hook")), "call_1")
    rest = [house.event(f"calliope.call.{name}.v1", "call_1") for name in ("answered", "turn_started", "ended")]
    async with house.open():
        await house.tell(start, *rest)
        await until(lambda: len(receiver.got) == 4)
    assert {got.id for got in receiver.got} == {start.id, *(event.id for event in rest)}


async def test_an_event_that_overtook_the_start_of_its_call_waits_for_it(house: House, receiver: Receiver) -> None:
    assistant = house.assistant("a", receiver.url("hook"))
    ended = house.event("calliope.call.ended.v1", "call_1")
    async with house.open():
        await house.tell(ended, house.started(assistant, "call_1"))
        await until(lambda: len(receiver.got) == 2)
    assert ended.id in {got.id for got in receiver.got}


async def test_messages_go_to_the_sms_hook_only(house: House, receiver: Receiver) -> None:
    assistant = house.assistant("a", receiver.url("hook"), sms_url=receiver.url("sms"))
    async with house.open():
        await house.tell(
            house.event("calliope.sms.received.v1", "sms_1", assistant_id=assistant), house.started(assistant)
        )
        await until(lambda: len(receiver.got) == 2)
    assert [got.verify()["type"] for got in receiver.of("sms")] == ["calliope.sms.received.v1"]
    assert len(receiver.of("hook")) == 1


@pytest.mark.promise("P3")
async def test_a_refused_event_is_sent_again_under_the_same_id(house: House, receiver: Receiver) -> None:
    receiver.scripts["hook"] = [500, 302, 200]
    event = house.started(house.assistant("a", receiver.url("hook")))
    async with house.open():
        await house.tell(event)
        delivery = await house.delivery(lambda one: one.state is DeliveryState.DELIVERED)
    assert [got.id for got in receiver.got] == [event.id] * 3
    assert {got.body for got in receiver.got} == {encode(event)}
    assert all(got.verify() for got in receiver.got)
    assert [attempt.status for attempt in delivery.log] == [500, 302, 200]


async def test_a_redirect_is_never_followed(house: House, receiver: Receiver) -> None:
    receiver.scripts["hook"] = [307, 200]
    receiver.headers["hook"] = {"Location": receiver.url("elsewhere")}
    async with house.open():
        await house.tell(house.started(house.assistant("a", receiver.url("hook"))))
        await house.delivery(lambda one: one.state is DeliveryState.DELIVERED)
    assert receiver.of("elsewhere") == []
    assert len(receiver.of("hook")) == 2


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "http://169.254.169.254/latest/", "http://[::1]:9/", "ftp://127.0.0.1/"]
)
async def test_a_private_address_is_refused_and_dead_at_once(house: House, url: str) -> None:
    async with house.open():
        await house.tell(house.started(house.assistant("a", url)))
        delivery = await house.delivery(lambda one: one.state is DeliveryState.DEAD)
    assert [attempt.error for attempt in delivery.log] == ["blocked_address"]


@pytest.mark.promise("P8")
async def test_a_name_that_leads_to_a_private_address_is_refused_when_connecting(
    house: House, receiver: Receiver
) -> None:
    egress = house.settings.egress.model_copy(update={"allow": ()})
    house.settings = house.settings.model_copy(update={"egress": egress})
    async with house.open():
        await house.tell(house.started(house.assistant("a", f"http://localhost:{receiver.port}/hook")))
        delivery = await house.delivery(lambda one: one.state is DeliveryState.DEAD)
    assert delivery.log[0].error == "blocked_address"
    assert receiver.got == []


async def test_after_410_nothing_more_is_sent_until_a_replay_is_accepted(house: House, receiver: Receiver) -> None:
    receiver.scripts["hook"] = [410, 200, 200]
    assistant = house.assistant("a", receiver.url("hook"))
    first, second, third = (house.started(assistant) for _ in range(3))
    async with house.open():
        await house.tell(first)
        dead = await house.delivery(lambda one: one.state is DeliveryState.DEAD)
        await house.tell(second)
        spared = await house.delivery(lambda one: one.event_id == second.id and one.state is DeliveryState.DEAD)
        await house.replay(dead.id)
        await house.delivery(lambda one: one.id == dead.id and one.state is DeliveryState.DELIVERED)
        await house.tell(third)
        await house.delivery(lambda one: one.event_id == third.id and one.state is DeliveryState.DELIVERED)
    assert spared.log[0].error == "endpoint_gone"
    assert [got.id for got in receiver.got] == [first.id, first.id, third.id]


async def test_what_was_refused_to_the_end_is_dead_and_told_once(house: House, receiver: Receiver) -> None:
    receiver.scripts["hook"] = [500, 500, 500, 500, 200]
    event = house.started(house.assistant("a", receiver.url("hook")))
    told = await house.bus.jetstream.subscribe(events_of(Entity.DELIVERY), ordered_consumer=True)
    async with house.open():
        await house.tell(event)
        dead = await house.delivery(lambda one: one.state is DeliveryState.DEAD)
        message = await told.next_msg(timeout=5)
        await house.replay(dead.id, command_id="again-1")
        alive = await house.delivery(lambda one: one.state is DeliveryState.DELIVERED)
        repeated = await house.replay(dead.id, command_id="again-1")

    assert dead.attempts == 4
    assert event.id.encode() in message.data
    assert b'"reason":"attempts_exhausted"' in message.data
    assert (alive.attempts, len(alive.log)) == (5, 5)
    assert repeated.state is DeliveryState.DELIVERED
    assert [got.id for got in receiver.got] == [event.id] * 5
    assert len({got.id for got in receiver.got}) == 1  # the event of the death went to nobody
    await told.unsubscribe()


async def test_a_repaired_url_is_used_by_the_next_attempt(house: House, receiver: Receiver) -> None:
    house.with_delivery(schedule_s=(0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2))
    receiver.scripts["wrong"] = [404] * 20
    assistant = house.assistant("a", receiver.url("wrong"))
    async with house.open():
        event = house.started(assistant)
        await house.tell(event)
        await until(lambda: receiver.of("wrong"))
        house.assistant("a", receiver.url("right"))
        await house.tell(house.event("calliope.assistant.updated.v1", assistant))
        await until(lambda: event.id in {got.id for got in receiver.of("right")})


async def test_the_last_event_of_an_assistant_goes_where_its_events_went(house: House, receiver: Receiver) -> None:
    assistant = house.assistant("a", receiver.url("hook"))
    async with house.open():
        await house.tell(house.started(assistant))
        await until(lambda: len(receiver.got) == 1)
        del house.known[assistant]
        await house.tell(house.event("calliope.assistant.deleted.v1", assistant))
        await until(lambda: len(receiver.got) == 2)
    assert receiver.got[-1].verify()["type"] == "calliope.assistant.deleted.v1"


async def test_without_assistants_events_wait(house: House, receiver: Receiver) -> None:
    house.away = True
    async with house.open():
        await house.tell(house.started(house.assistant("a", receiver.url("hook"))))
        await until(lambda: house.asked)
        house.away = False
        await until(lambda: receiver.got)
    assert len(receiver.got) == 1


@pytest.mark.promise("P8")
async def test_deliveries_of_others_are_not_there(house: House, receiver: Receiver) -> None:
    async with house.open():
        await house.tell(house.started(house.assistant("a", receiver.url("hook"))))
        delivery = await house.delivery(lambda one: one.state is DeliveryState.DELIVERED)
        assert await house.deliveries("org_2") == ()
        with pytest.raises(CommandError) as refused:
            await house.replay(delivery.id, organization="org_2")
    assert refused.value.code is ErrorCode.NOT_FOUND


async def test_pages_show_every_delivery_once_newest_first(house: House, receiver: Receiver) -> None:
    call = house.started(house.assistant("a", receiver.url("hook")), "call_1")
    rest = [house.event("calliope.call.turn_started.v1", "call_1") for _ in range(6)]
    async with house.open():
        await house.tell(call, *rest)
        await until(lambda: len(receiver.got) == 7)
        seen, cursor = [], None
        for _ in range(3):
            page = await house.commands.call(
                "calliope.cmd.deliveries.list.v1", {"limit": 3, "cursor": cursor}, organization="org_1"
            )
            seen += page["items"]
            cursor = page["next_cursor"]
        assert len(await house.deliveries(subject="call/call_1")) == 7
        assert await house.deliveries(subject="call/call_2") == ()
        with pytest.raises(CommandError):
            await house.deliveries(cursor="nonsense")
    assert cursor is None
    assert len({one["id"] for one in seen}) == 7
    assert [one["created_at"] for one in seen] == sorted((one["created_at"] for one in seen), reverse=True)


async def test_one_hanging_receiver_delays_nobody(house: House, receiver: Receiver) -> None:
    receiver.scripts["hanging"] = ["hang"]
    deaf = house.assistant("deaf", receiver.url("hanging"))
    healthy = [house.assistant(f"h{n}", receiver.url(f"healthy{n}")) for n in range(20)]
    house.with_delivery(timeout_s=30)
    async with house.open():
        await house.tell(*(house.started(deaf) for _ in range(30)))
        await until(lambda: len(receiver.of("hanging")) == 4)
        await house.tell(*(house.started(assistant) for assistant in healthy for _ in range(3)))
        await until(lambda: len(receiver.got) == 64)
        assert len(receiver.of("hanging")) == 4
        receiver.scripts["hanging"] = [200]
        receiver.released.set()
        await until(lambda: len({got.id for got in receiver.of("hanging")}) == 30)


async def test_an_endpoint_whose_breaker_opened_gets_everything_when_it_is_back(
    house: House, receiver: Receiver
) -> None:
    receiver.scripts["hook"] = [503] * 4
    breaker = house.settings.breaker.model_copy(update={"least_answers": 3, "pause_s": 0.2, "longest_pause_s": 0.3})
    house.settings = house.settings.model_copy(update={"breaker": breaker})
    house.with_delivery(per_endpoint=1, schedule_s=(0, *[0.01] * 9))
    assistant = house.assistant("a", receiver.url("hook"))
    async with house.open():
        await house.tell(*(house.started(assistant) for _ in range(10)))
        await until(lambda: len({got.id for got in receiver.got}) == 10)
        await until(lambda: len(receiver.got) == 14)
    assert sorted(Counter(got.id for got in receiver.got).values())[:6] == [1] * 6
