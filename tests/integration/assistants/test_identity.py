"""Organizations and API keys over the real bus and store, as the gateway and an operator ask for them."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from calliope import api_keys
from calliope.contracts.errors import ErrorCode
from calliope.contracts.identity import Authenticate, KeyState, Organization, Principal, Scope, StoredApiKey
from calliope.contracts.subjects import Command, Entity
from calliope.errors import CommandError
from calliope.ids import new_id
from calliope.messaging.command_client import CommandClient
from calliope.settings import HealthSettings, HttpSettings, NatsSettings
from calliope_gateway.app import running
from calliope_gateway.settings import GatewaySettings
from support.assistants import API_KEY, Asking, AssistantsProcess, a_bus
from support.identity import a_key
from support.mongo import MongoServer
from support.nats import NatsServer, provisioned
from support.sealing import PUBLIC_KEYS

EVERYTHING = [scope.value for scope in Scope]


async def refused(asked: Any) -> ErrorCode | str:
    with pytest.raises(CommandError) as caught:
        await asked
    return caught.value.code


async def tenant(asking: Asking, name: str | None = None) -> Asking:
    """A new organization, as an operator makes it."""
    made = await asking.commands.call(
        Command.ORGANIZATIONS_CREATE, {"name": name or new_id("name")}, reply_type=Organization
    )
    return Asking(asking.bus, made.id)


async def made(ours: Asking, *scopes: str, command_id: str | None = None, **spec: Any) -> tuple[str, StoredApiKey]:
    """A new key of an organization."""
    key, payload = a_key(*scopes, **spec)
    answer = await ours.ask(Command.API_KEYS_CREATE, payload, command_id=command_id)
    return key, StoredApiKey.model_validate(answer)


async def whose(commands: CommandClient, key: str) -> Principal:
    payload = Authenticate(key_sha256=api_keys.digest(key))
    return await commands.call(Command.IDENTITY_AUTHENTICATE, payload, reply_type=Principal)


async def test_an_operator_makes_the_first_organization_and_key(asking: Asking) -> None:
    ours = await tenant(asking)
    key, stored = await made(ours, *EVERYTHING)
    principal = await whose(asking.commands, key)
    assert (principal.organization_id, principal.key_id) == (ours.organization, stored.id)
    assert list(principal.scopes) == EVERYTHING
    events = await ours.events(2)
    assert {(event.entity, event.name) for event in events} == {("organization", "created"), ("api_key", "created")}
    assert key not in str(events)


async def test_an_organization_is_made_once_per_command_and_name(asking: Asking) -> None:
    name = new_id("name")

    async def ask(command_id: str) -> Any:
        return await asking.commands.call(Command.ORGANIZATIONS_CREATE, {"name": name}, command_id=command_id)

    async with asyncio.TaskGroup() as tasks:
        same = [tasks.create_task(ask(name)) for _ in range(5)]
    assert len({task.result()["id"] for task in same}) == 1
    assert await refused(ask("another command")) is ErrorCode.CONFLICT


async def test_organizations_are_listed_page_by_page(asking: Asking) -> None:
    wanted = {(await tenant(asking)).organization for _ in range(3)}
    found: list[str] = []
    cursor = None
    while not wanted <= set(found):
        page = await asking.commands.call(Command.ORGANIZATIONS_LIST, {"limit": 2, "cursor": cursor})
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert len(found) == len(set(found))


@pytest.mark.promise("P3")
async def test_of_repeated_commands_one_makes_a_key(asking: Asking) -> None:
    ours = await tenant(asking)
    async with asyncio.TaskGroup() as tasks:
        repeated = [tasks.create_task(made(ours, "read", command_id="k")) for _ in range(5)]
    answers = [task.result() for task in repeated]
    assert len({stored.id for _, stored in answers}) == 1
    assert sum(api_keys.digest(key) == stored.key_sha256 for key, stored in answers) == 1
    assert len((await ours.ask(Command.API_KEYS_LIST, {}))["items"]) == 1
    _, other = a_key("write")
    assert await refused(ours.ask(Command.API_KEYS_CREATE, other, command_id="k")) is ErrorCode.IDEMPOTENCY_MISMATCH


@pytest.mark.promise("P8")
async def test_one_organization_neither_lists_nor_revokes_nor_gives_with_anothers_keys(asking: Asking) -> None:
    ours, theirs = await tenant(asking), await tenant(asking)
    key, stored = await made(ours, *EVERYTHING)
    assert (await theirs.ask(Command.API_KEYS_LIST, {}))["items"] == []
    assert await refused(theirs.ask(Command.API_KEYS_REVOKE, {"key_id": stored.id})) is ErrorCode.NOT_FOUND
    _, payload = a_key("read", by_key=stored.id)
    assert await refused(theirs.ask(Command.API_KEYS_CREATE, payload)) is ErrorCode.UNAUTHORIZED
    assert (await whose(asking.commands, key)).key_id == stored.id


async def test_a_revoked_key_speaks_for_nobody_and_its_facts_are_without_holes(asking: Asking) -> None:
    ours = await tenant(asking)
    key, stored = await made(ours, "read")
    async with asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(ours.ask(Command.API_KEYS_REVOKE, {"key_id": stored.id}))
    assert await refused(whose(asking.commands, key)) is ErrorCode.UNAUTHORIZED
    facts = [(event.sequence, event.name) for event in await ours.events(2, Entity.API_KEY)]
    assert facts == [(1, "created"), (2, "revoked")]
    (shown,) = (await ours.ask(Command.API_KEYS_LIST, {}))["items"]
    assert shown["state"] == KeyState.REVOKED


async def test_a_key_of_an_organization_that_is_none_is_not_made(asking: Asking) -> None:
    assert await refused(asking.ask(Command.API_KEYS_CREATE, a_key()[1])) is ErrorCode.NOT_FOUND


async def test_the_first_key_of_the_local_stack_may_do_everything(asking: Asking) -> None:
    principal = await whose(asking.commands, API_KEY)
    assert (principal.organization_id, list(principal.scopes)) == ("org_local", EVERYTHING)


@pytest.mark.promise("P8")
async def test_a_gateway_hears_of_a_revoked_key_and_believes_it_no_more(
    asking: Asking, assistants: AssistantsProcess, nats_server: NatsServer
) -> None:
    """It would believe it for an hour: what ends that is the event, also for the gateway that did not revoke it."""
    settings = GatewaySettings(
        sealing=PUBLIC_KEYS,
        nats=NatsSettings(url=nats_server.url),
        http=HttpSettings(port=0),
        health=HealthSettings(port=0),
        key_cache_s=3_600.0,
        lame_duck_s=0,
    )
    ours = await tenant(asking)
    (admin, _), (leaked, stored) = await made(ours, *EVERYTHING), await made(ours, "read")
    async with running(settings) as one, running(settings) as another, aiohttp.ClientSession() as http:
        for port in (one, another):
            async with http.get(f"http://127.0.0.1:{port}/api/v1/me", headers=bearer(leaked)) as answer:
                assert (await answer.json())["organization"]["id"] == ours.organization
        revoke = f"http://127.0.0.1:{one}/api/v1/api-keys/{stored.id}"
        async with http.delete(revoke, headers=bearer(admin)) as answer:
            assert answer.status == 204
        async with asyncio.timeout(10):
            for port in (one, another):
                while await status_of(http, port, leaked) != 401:
                    assert await status_of(http, port, admin) == 200


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def status_of(http: aiohttp.ClientSession, port: int, key: str) -> int:
    async with http.get(f"http://127.0.0.1:{port}/api/v1/me", headers=bearer(key)) as answer:
        return answer.status


async def test_an_installation_without_a_key_says_at_its_start_how_to_make_one(
    own_nats_server: NatsServer, own_mongo_server: MongoServer, tmp_path: Path
) -> None:
    await provisioned(own_nats_server.url)
    urls = own_nats_server.url, own_mongo_server.url
    (tmp_path / "service").mkdir()
    service = AssistantsProcess(tmp_path / "service", *urls, CALLIOPE_BOOTSTRAP_API_KEY=None)
    try:
        await asyncio.to_thread(service.start)
        async with a_bus(own_nats_server.url) as bus:
            await made(await tenant(Asking(bus, "")), *EVERYTHING)
        await asyncio.to_thread(service.stop)
        await asyncio.to_thread(service.start)
        assert service.log().count("calliope-admin organizations create NAME --key") == 1
    finally:
        await asyncio.to_thread(service.stop)
