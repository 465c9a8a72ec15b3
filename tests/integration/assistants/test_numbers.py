"""Telephone numbers, keys and what carriers ask, through the bus."""

import asyncio
import secrets
from typing import Any

import pytest

from calliope import api_keys
from calliope.contracts.assistants import ResolvedNumber
from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command, Entity
from calliope.errors import CommandError
from support.assistants import API_KEY, Asking


@pytest.fixture
def number() -> str:
    return f"+1555{secrets.randbelow(10**7):07d}"


async def refused(work: Any) -> ErrorCode | str:
    with pytest.raises(CommandError) as caught:
        await work
    return caught.value.code


async def assign(asking: Asking, number: str, assistant_id: str, **more: Any) -> Any:
    payload = {"number": number, "spec": {"assistant_id": assistant_id, **more}}
    return await asking.ask(Command.PHONE_NUMBERS_ASSIGN, payload)


async def resolve(asking: Asking, number: str) -> ResolvedNumber:
    answer = await asking.commands.call(Command.PHONE_NUMBERS_RESOLVE, {"number": number})
    return ResolvedNumber.model_validate(answer)


async def test_a_carrier_finds_who_answers_a_number(asking: Asking, number: str) -> None:
    created = await asking.create()
    await assign(asking, number, created.id)
    found = await resolve(asking, number)
    assert (found.number, found.carrier, found.assistant.id) == (number, "twilio", created.id)
    assert found.assistant.organization_id == asking.organization
    assert found.assistant.revision == 1


TWILIO = {"account_sid": "AC" + "0" * 32, "auth_token": "t"}


async def warned(asking: Asking, number: str, **document: Any) -> list[tuple[str, str]]:
    """What the answer to an assignment warns of; twice the same says the same."""
    made = await asking.create(**document)
    answers = [(await assign(asking, number, made.id))["warnings"] for _ in range(2)]
    assert answers[0] == answers[1]
    return [(each["path"], each["message"]) for each in answers[0]]


async def test_who_assigns_a_number_that_nobody_could_answer_is_warned(asking: Asking, number: str) -> None:
    ((path, words),) = await warned(asking, number, name="A")
    assert path == "twilio_config"
    assert words.endswith("calls to this number are refused, unless the installation has an account of its own")
    paths = [path for path, _ in await warned(asking, number, name="B", twilio_config=TWILIO, is_active=False)]
    assert paths == ["is_active"]
    assert await warned(asking, number, name="C", twilio_config=TWILIO) == []
    (listed,) = (await asking.ask(Command.PHONE_NUMBERS_LIST, {}))["items"]
    assert listed["warnings"] is None


@pytest.mark.promise("P8")
async def test_a_number_held_by_another_organization_cannot_be_taken(
    asking: Asking, stranger: Asking, number: str
) -> None:
    await assign(asking, number, (await asking.create()).id)
    theirs = await stranger.create()
    assert await refused(assign(stranger, number, theirs.id)) is ErrorCode.CONFLICT
    release = stranger.ask(Command.PHONE_NUMBERS_RELEASE, {"number": number})
    assert await refused(release) is ErrorCode.NOT_FOUND
    assert (await stranger.ask(Command.PHONE_NUMBERS_LIST, {}))["items"] == []


async def test_a_released_number_is_answered_by_nobody_and_free_for_all(
    asking: Asking, stranger: Asking, number: str
) -> None:
    await assign(asking, number, (await asking.create()).id)
    await asking.ask(Command.PHONE_NUMBERS_RELEASE, {"number": number})
    assert await refused(resolve(asking, number)) is ErrorCode.NOT_FOUND
    theirs = await stranger.create()
    await assign(stranger, number, theirs.id)
    assert (await resolve(asking, number)).assistant.id == theirs.id


async def test_the_events_of_a_number_count_on_over_release_and_return(asking: Asking, number: str) -> None:
    one, two = await asking.create(name="A"), await asking.create(name="B")
    await assign(asking, number, one.id)
    await assign(asking, number, two.id)
    await asking.ask(Command.PHONE_NUMBERS_RELEASE, {"number": number})
    await assign(asking, number, one.id)
    events = await asking.events(4, Entity.PHONE_NUMBER)
    assert [(event.sequence, event.name) for event in events] == [
        (1, "assigned"),
        (2, "assigned"),
        (3, "released"),
        (4, "assigned"),
    ]


async def test_a_new_holder_counts_a_numbers_events_from_one(asking: Asking, stranger: Asking, number: str) -> None:
    """It sees no event of the holder before; a count from three would look like a loss."""
    await assign(asking, number, (await asking.create()).id)
    await asking.ask(Command.PHONE_NUMBERS_RELEASE, {"number": number})
    await assign(stranger, number, (await stranger.create()).id)
    (event,) = await stranger.events(1, Entity.PHONE_NUMBER)
    assert event.sequence == 1


async def test_an_inactive_assistant_answers_no_number(asking: Asking, number: str) -> None:
    created = await asking.create(is_active=False)
    await assign(asking, number, created.id)
    assert await refused(resolve(asking, number)) is ErrorCode.CONFLICT


async def test_an_assistant_that_is_switched_off_stops_answering_and_one_switched_on_answers(
    asking: Asking, number: str
) -> None:
    created = await asking.create()
    await assign(asking, number, created.id)
    await switch(asking, created.id, on=False)
    assert await refused(resolve(asking, number)) is ErrorCode.CONFLICT
    await switch(asking, created.id, on=True)
    assert (await resolve(asking, number)).assistant.revision == 3


async def switch(asking: Asking, assistant_id: str, *, on: bool) -> None:
    await asking.ask(Command.ASSISTANTS_UPDATE, {"assistant_id": assistant_id, "patch": {"is_active": on}})


async def test_a_holder_that_gets_a_number_back_counts_on_where_it_stopped(
    asking: Asking, stranger: Asking, number: str
) -> None:
    ours, theirs = (await asking.create()).id, (await stranger.create()).id
    for holder, assistant_id in ((asking, ours), (stranger, theirs), (asking, ours)):
        await assign(holder, number, assistant_id)
        await holder.ask(Command.PHONE_NUMBERS_RELEASE, {"number": number})
    events = await asking.events(4, Entity.PHONE_NUMBER)
    assert [(event.sequence, event.name) for event in events] == [
        (1, "assigned"),
        (2, "released"),
        (3, "assigned"),
        (4, "released"),
    ]
    assert [event.sequence for event in await stranger.events(2, Entity.PHONE_NUMBER)] == [1, 2]


async def test_a_release_repeated_with_its_key_answers_the_same(asking: Asking, number: str) -> None:
    await assign(asking, number, (await asking.create()).id)
    first = await asking.ask(Command.PHONE_NUMBERS_RELEASE, {"number": number}, command_id="k")
    assert await asking.ask(Command.PHONE_NUMBERS_RELEASE, {"number": number}, command_id="k") == first


async def test_of_two_organizations_that_take_a_free_number_at_once_one_gets_it(
    asking: Asking, stranger: Asking, number: str
) -> None:
    wanted = [(holder, (await holder.create()).id) for holder in (asking, stranger)]

    async def take(holder: Asking, assistant_id: str) -> bool:
        try:
            await assign(holder, number, assistant_id)
        except CommandError as exc:
            if exc.code is not ErrorCode.CONFLICT:
                raise
            return False
        return True

    async with asyncio.TaskGroup() as tasks:
        takers = [tasks.create_task(take(*each)) for each in wanted * 5]
    ours, theirs = (sum(taker.result() for taker in takers[at::2]) for at in (0, 1))
    assert sorted((ours, theirs)) == [0, 5]


async def test_an_assistant_with_numbers_is_not_deleted(asking: Asking, number: str) -> None:
    created = await asking.create()
    await assign(asking, number, created.id)
    delete = {"assistant_id": created.id}
    assert await refused(asking.ask(Command.ASSISTANTS_DELETE, delete)) is ErrorCode.CONFLICT
    await asking.ask(Command.PHONE_NUMBERS_RELEASE, {"number": number})
    await asking.ask(Command.ASSISTANTS_DELETE, delete)


async def test_a_misspelt_field_and_a_bad_number_are_refused(asking: Asking, number: str) -> None:
    created = await asking.create()
    assert await refused(assign(asking, number, created.id, carier="telnyx")) is ErrorCode.INVALID
    assert await refused(assign(asking, "0555", created.id)) is ErrorCode.INVALID


async def test_an_unknown_key_is_unauthorized(asking: Asking) -> None:
    payload = {"key_sha256": api_keys.digest(api_keys.generate())}
    ask = asking.commands.call(Command.IDENTITY_AUTHENTICATE, payload)
    assert await refused(ask) is ErrorCode.UNAUTHORIZED


async def test_the_first_organization_and_key_are_told_of_without_the_key(asking: Asking) -> None:
    local = Asking(asking.bus, "org_local")
    events = await local.events(2)
    assert {(event.entity, event.name) for event in events} == {("organization", "created"), ("api_key", "created")}
    told = str([event.model_dump_json() for event in events])
    assert API_KEY not in told
    assert api_keys.digest(API_KEY) not in told


async def test_a_command_without_an_organization_is_forbidden(asking: Asking) -> None:
    ask = asking.commands.call(Command.ASSISTANTS_LIST, {})
    assert await refused(ask) is ErrorCode.FORBIDDEN
