"""`/api/v1/api-keys` and `/api/v1/me`: a key is made here, shown here, and only its hash goes further."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from calliope import api_keys
from calliope.contracts.assistants import Nothing
from calliope.contracts.errors import ErrorCode
from calliope.contracts.identity import ApiKeyPage, KeyState, Organization, Scope, StoredApiKey
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from support.http_surface import AUTH, KEY, NOW, READER, Client, FakeBus, gateway, key_id

KEYS = "/api/v1/api-keys"
WANTED = {"name": "CI", "scopes": ["read"], "expires_at": "2099-01-01T00:00:00Z"}
STORED = StoredApiKey(
    id="key_1",
    organization_id="org_1",
    name="CI",
    state=KeyState.ACTIVE,
    scopes=("read", "a:scope:of:tomorrow"),
    last4="abcd",
    created_at=NOW,
    key_sha256="0" * 64,
)


class StoringBus(FakeBus):
    """Stores keys, as their owner does."""

    async def call(self, subject: str, payload: object, **options: object) -> object:
        if subject == Command.API_KEYS_CREATE and subject not in self.answers:
            self.answers[subject] = STORED.model_copy(
                update={"key_sha256": payload.key_sha256, "last4": payload.last4}  # type: ignore[attr-defined]
            )
        return await super().call(subject, payload, **options)  # type: ignore[arg-type]


@pytest.fixture
def bus() -> StoringBus:
    return StoringBus()


@pytest.fixture
async def client(bus: StoringBus) -> AsyncIterator[Client]:
    async with gateway(bus) as client:
        yield client


@pytest.mark.promise("P8")
async def test_a_new_key_is_shown_once_and_only_its_hash_goes_further(client: Client, bus: StoringBus) -> None:
    answer = await client.post(KEYS, json=WANTED, headers={**AUTH, "Idempotency-Key": "k1"})
    shown = await answer.json()
    key = shown["key"]
    assert answer.status == 201
    assert api_keys.is_well_formed(key)
    assert "key_sha256" not in shown
    assert shown["last4"] == key[-4:]
    _, payload, organization, command_id = bus.last(Command.API_KEYS_CREATE)
    assert (organization, command_id) == ("org_1", "k1")
    assert (payload.spec, payload.key_sha256) == (WANTED, api_keys.digest(key))
    assert payload.by_key == key_id(api_keys.digest(KEY))
    assert key[len(api_keys.PREFIX) : -4] not in str(bus.asked)


async def test_a_repeated_request_is_answered_without_the_key(client: Client, bus: StoringBus) -> None:
    """Its owner answers with what it stored for the first one: the key that was made just now opens nothing."""
    headers = {**AUTH, "Idempotency-Key": "k1"}
    first = await (await client.post(KEYS, json=WANTED, headers=headers)).json()
    answer = await client.post(KEYS, json=WANTED, headers=headers)
    assert answer.status == 201
    assert await answer.json() == first | {"key": None}


async def test_every_new_key_is_another(client: Client, bus: StoringBus) -> None:
    hashes = set()
    for _ in range(3):
        await client.post(KEYS, json=WANTED, headers=AUTH)
        hashes.add(bus.last(Command.API_KEYS_CREATE)[1].key_sha256)
    assert len(hashes) == 3


async def test_a_list_shows_no_key_and_no_hash(client: Client, bus: StoringBus) -> None:
    bus.answers[Command.API_KEYS_LIST] = ApiKeyPage(items=(STORED,), next_cursor="next")
    answer = await client.get(f"{KEYS}?limit=1", headers=AUTH)
    page = await answer.json()
    assert (page["next_cursor"], page["items"][0]["state"]) == ("next", "active")
    assert not {"key", "key_sha256"} & page["items"][0].keys()
    assert bus.last(Command.API_KEYS_LIST)[2] == "org_1"


async def test_revoking_says_who_asks(client: Client, bus: StoringBus) -> None:
    bus.answers[Command.API_KEYS_REVOKE] = STORED
    answer = await client.delete(f"{KEYS}/key_1", headers=AUTH)
    assert answer.status == 204
    _, payload, organization, _ = bus.last(Command.API_KEYS_REVOKE)
    assert (payload.key_id, payload.by_key, organization) == ("key_1", key_id(api_keys.digest(KEY)), "org_1")


async def test_a_key_may_revoke_itself_whatever_its_scopes_and_no_other(client: Client, bus: StoringBus) -> None:
    bus.answers[Command.API_KEYS_REVOKE] = STORED
    headers, own = {"Authorization": f"Bearer {READER}"}, key_id(api_keys.digest(READER))
    assert (await client.delete(f"{KEYS}/{own}", headers=headers)).status == 204
    assert (await client.delete(f"{KEYS}/{key_id(api_keys.digest(KEY))}", headers=headers)).status == 403


@pytest.mark.parametrize(
    ("code", "status"), [(ErrorCode.FORBIDDEN, 403), (ErrorCode.UNAUTHORIZED, 401), (ErrorCode.INVALID, 422)]
)
async def test_what_its_owner_refuses_shows_no_key(
    client: Client, bus: StoringBus, code: ErrorCode, status: int
) -> None:
    bus.answers[Command.API_KEYS_CREATE] = CommandError(code, "this key may not give `write`")
    answer = await client.post(KEYS, json=WANTED, headers=AUTH)
    assert answer.status == status
    assert api_keys.PREFIX not in await answer.text()


async def test_me_shows_whose_key_it_is(client: Client, bus: StoringBus) -> None:
    bus.expires_at = datetime(2099, 1, 1, tzinfo=UTC)
    bus.answers[Command.ORGANIZATIONS_GET] = Organization(id="org_1", name="Acme", created_at=NOW)
    answer = await client.get("/api/v1/me", headers={"Authorization": f"Bearer {READER}"})
    assert await answer.json() == {
        "organization": {"id": "org_1", "name": "Acme", "created_at": "2026-01-01T00:00:00.000Z"},
        "key": {
            "id": key_id(api_keys.digest(READER)),
            "name": "CI",
            "scopes": [Scope.READ],
            "expires_at": "2099-01-01T00:00:00.000Z",
        },
    }
    assert bus.last(Command.ORGANIZATIONS_GET)[1:3] == (Nothing(), "org_1")
