"""Organizations and their API keys: made once, given within what one has, refused for ever once revoked."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calliope import api_keys
from calliope.contracts.errors import ErrorCode
from calliope.contracts.identity import (
    Authenticate,
    CreateOrganization,
    KeyState,
    ListApiKeys,
    ListOrganizations,
    Principal,
    RevokeApiKey,
    Scope,
    StoredApiKey,
)
from calliope.errors import CommandError
from calliope_assistants.identity.authentication import authenticate
from calliope_assistants.identity.bootstrap import add_first_key, say_if_nobody_can_ask
from calliope_assistants.identity.keys import KeyService
from calliope_assistants.identity.organizations import OrganizationService
from calliope_assistants.identity.ports import KeyRow
from support.identity import MemoryKeys, MemoryOrganizations, a_key

EVERYTHING = tuple(scope.value for scope in Scope)


class House:
    """Both services over one memory, with two organizations."""

    def __init__(self) -> None:
        self.organizations = MemoryOrganizations()
        self.keys = MemoryKeys()
        self.written = 0

    def _count(self) -> None:
        self.written += 1

    def tenants(self, command: str | None = None) -> OrganizationService:
        return OrganizationService(self.organizations, self._count, command=command)

    async def of(self, name: str, command: str | None = None) -> KeyService:
        """The keys of the organization with this name, which is made when there is none."""
        found = [row.id for row in self.organizations.rows.values() if row.name == name]
        organization_id = found[0] if found else (await self.tenants().create(CreateOrganization(name=name))).id
        return KeyService(organization_id, self.keys, self.organizations, self._count, command=command)

    async def make(self, *scopes: str, by_key: str | None = None, **spec: Any) -> tuple[str, StoredApiKey]:
        """A key of Acme."""
        key, payload = a_key(*scopes, by_key=by_key, **spec)
        return key, await (await self.of("Acme")).create(payload)

    async def whose(self, key: str) -> Principal:
        return await authenticate(self.keys, Authenticate(key_sha256=api_keys.digest(key)))


@pytest.fixture
def house() -> House:
    return House()


def refusal(caught: pytest.ExceptionInfo[CommandError]) -> tuple[ErrorCode | str, str]:
    return caught.value.code, str(caught.value)


async def test_an_organization_is_made_once_per_command(house: House) -> None:
    first = await house.tenants("command").create(CreateOrganization(name=" Acme "))
    assert await house.tenants("command").create(CreateOrganization(name=" Acme ")) == first
    assert first.name == "Acme"
    assert [event.type for event in house.organizations.events] == ["calliope.organization.created.v1"]


async def test_no_two_organizations_have_one_name(house: House) -> None:
    await house.tenants().create(CreateOrganization(name="Acme"))
    with pytest.raises(CommandError) as caught:
        await house.tenants().create(CreateOrganization(name="ACME"))
    assert caught.value.code is ErrorCode.CONFLICT


async def test_organizations_are_listed_newest_first_page_by_page(house: House) -> None:
    for name in ("a", "b", "c"):
        await house.tenants().create(CreateOrganization(name=name))
    first = await house.tenants().page(ListOrganizations(limit=2))
    rest = await house.tenants().page(ListOrganizations(limit=2, cursor=first.next_cursor))
    names = [organization.name for page in (first, rest) for organization in page.items]
    assert sorted(names) == ["a", "b", "c"]
    assert rest.next_cursor is None


async def test_a_key_speaks_for_its_organization_with_its_scopes(house: House) -> None:
    key, stored = await house.make("calls:read", "read")
    principal = await house.whose(key)
    assert (principal.organization_id, principal.key_id, principal.name) == (stored.organization_id, stored.id, "CI")
    assert principal.scopes == ("read", "calls:read")


@pytest.mark.promise("P8")
async def test_neither_rows_nor_events_nor_answers_hold_the_key(house: House) -> None:
    key, stored = await house.make("read")
    told = [*house.keys.rows.values(), *house.keys.events, stored, await (await house.of("Acme")).page(ListApiKeys())]
    assert key[:-4] not in str(told)
    assert stored.last4 == key[-4:]


async def test_a_repeated_command_makes_no_second_key(house: House) -> None:
    """Whoever repeats it made another key; the answer's hash says that it is not that one."""
    (first_key, first), (second_key, second) = a_key(), a_key()
    stored = await (await house.of("Acme", "command")).create(first)
    again = await (await house.of("Acme", "command")).create(second)
    assert again == stored
    assert again.key_sha256 == api_keys.digest(first_key) != api_keys.digest(second_key)
    assert len(house.keys.rows) == len(house.keys.events) == 1


async def test_one_key_is_not_stored_twice(house: House) -> None:
    _, payload = a_key()
    await (await house.of("Acme")).create(payload)
    for name in ("Acme", "Other"):
        with pytest.raises(CommandError) as caught:
            await (await house.of(name)).create(payload)
        assert caught.value.code is ErrorCode.CONFLICT


async def test_a_key_needs_an_organization(house: House) -> None:
    service = KeyService("org_nowhere", house.keys, house.organizations, lambda: None)
    for asked in (service.create(a_key()[1]), service.page(ListApiKeys())):
        with pytest.raises(CommandError) as caught:
            await asked
        assert refusal(caught) == (ErrorCode.NOT_FOUND, "there is no organization 'org_nowhere'")


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"scopes": ["call:read"]}, "scopes.0"),
        ({"scopes": ["read", 5]}, "scopes.1"),
        ({"scopes": [["read"]]}, "scopes.0"),
        ({"scopes": []}, "scopes"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\x1b[2Jb"}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"name": "a\u200bb"}, "name"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2099-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-23:59"}, "expires_at"),
        ({"expires_at": 4_000_000_000}, "expires_at"),
        ({"expires_at": "4000000000"}, "expires_at"),
        ({"expires_at": "2099-01-01"}, "expires_at"),
        ({"expires": "2099-01-01T00:00:00Z"}, "expires"),
    ],
)
async def test_a_wrong_wish_names_its_field(house: House, spec: dict[str, Any], path: str) -> None:
    _, payload = a_key("read")
    with pytest.raises(CommandError) as caught:
        await (await house.of("Acme")).create(payload.model_copy(update={"spec": payload.spec | spec}))
    assert caught.value.code is ErrorCode.INVALID
    assert [problem.path for problem in caught.value.problem.fields] == [path]


async def test_a_misspelt_scope_is_told_the_nearest_one(house: House) -> None:
    with pytest.raises(CommandError) as caught:
        await house.make("call:read")
    (problem,) = caught.value.problem.fields
    assert problem.hint == "did you mean 'calls:read'?"


async def test_a_moment_without_its_zone_is_told_what_lacks(house: House) -> None:
    with pytest.raises(CommandError) as caught:
        await house.make("read", expires_at="2099-01-01T00:00:00")
    (problem,) = caught.value.problem.fields
    assert problem.message == 'must be a date and time with its zone, such as "2030-01-31T12:00:00Z"'


@pytest.mark.parametrize(
    ("held", "given"),
    [
        (EVERYTHING, EVERYTHING),
        (["read", "api_keys:write"], ["read", "calls:read"]),
        (["calls:write", "api_keys:write"], ["calls:write"]),
    ],
)
async def test_a_key_gives_what_it_has(house: House, held: list[str], given: list[str]) -> None:
    _, giver = await house.make(*held)
    _, made = await house.make(*given, by_key=giver.id)
    assert (set(made.scopes), made.created_by) == (set(given), giver.id)


@pytest.mark.parametrize(
    ("held", "given", "named"),
    [
        (["read", "write"], ["api_keys:read"], "`api_keys:read`"),
        (["calls:read", "api_keys:write"], ["read"], "`read`"),
        (["calls:read"], ["calls:read", "calls:write"], "`calls:write`"),
        (["read"], ["assistants:write", "write"], "`write`, `assistants:write`"),
    ],
)
async def test_a_key_gives_nothing_that_it_has_not(house: House, held: list[str], given: list[str], named: str) -> None:
    _, giver = await house.make(*held)
    with pytest.raises(CommandError) as caught:
        await house.make(*given, by_key=giver.id)
    assert caught.value.code is ErrorCode.FORBIDDEN
    assert all(each in str(caught.value) for each in named.split(", "))
    assert len(house.keys.rows) == 1


SOON, LATER = datetime(2098, 1, 31, 12, tzinfo=UTC), datetime(2098, 1, 31, 12, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("giver_ends", "wanted", "ends"),
    [
        (SOON, None, SOON),
        (SOON, SOON, SOON),
        (LATER, SOON, SOON),
        (None, None, None),
        (None, LATER, LATER),
    ],
)
async def test_a_key_made_by_a_key_ends_no_later(
    house: House, giver_ends: datetime | None, wanted: datetime | None, ends: datetime | None
) -> None:
    _, giver = await house.make(*EVERYTHING, expires_at=giver_ends)
    _, made = await house.make("read", by_key=giver.id, expires_at=wanted)
    assert made.expires_at == ends


async def test_a_key_that_would_outlive_its_giver_is_refused_with_the_latest_end(house: House) -> None:
    _, giver = await house.make(*EVERYTHING, expires_at=SOON)
    with pytest.raises(CommandError) as caught:
        await house.make("read", by_key=giver.id, expires_at=LATER)
    assert caught.value.code is ErrorCode.FORBIDDEN
    assert "`expires_at` must not be later than 2098-01-31T12:00:00Z" in str(caught.value)
    assert len(house.keys.rows) == 1


async def test_a_name_that_is_not_one_visible_line_is_told_so(house: House) -> None:
    with pytest.raises(CommandError) as caught:
        await house.make("read", name="billing\u202e")
    (problem,) = caught.value.problem.fields
    assert problem.message.startswith("must be one line of visible characters, such as billing")
    assert (await house.make("read", name="Büro 東京 ☎"))[1].name == "Büro 東京 ☎"


async def test_a_revoked_key_makes_no_successor_and_revokes_no_other(house: House) -> None:
    """Also in the moment in which a gateway still believes it."""
    service = await house.of("Acme")
    (_, giver), (_, other) = await house.make(*EVERYTHING), await house.make(*EVERYTHING)
    await service.revoke(RevokeApiKey(key_id=giver.id))
    with pytest.raises(CommandError) as made:
        await house.make("read", by_key=giver.id)
    with pytest.raises(CommandError) as revoked:
        await service.revoke(RevokeApiKey(key_id=other.id, by_key=giver.id))
    assert made.value.code is revoked.value.code is ErrorCode.UNAUTHORIZED
    assert [row.id for row in house.keys.rows.values() if row.revoked_at is None] == [other.id]


async def test_a_key_of_another_organization_gives_nothing(house: House) -> None:
    _, payload = a_key(*EVERYTHING)
    stranger = await (await house.of("Other")).create(payload)
    with pytest.raises(CommandError) as caught:
        await house.make("read", by_key=stranger.id)
    assert caught.value.code is ErrorCode.UNAUTHORIZED


@pytest.mark.promise("P8")
async def test_unknown_expired_and_revoked_keys_look_the_same(house: House) -> None:
    (revoked, stored), (expired, ending) = await house.make("read"), await house.make("read")
    await (await house.of("Acme")).revoke(RevokeApiKey(key_id=stored.id))
    end(house, ending.id, datetime.now(UTC))
    refusals = []
    for key in (revoked, expired, api_keys.generate()):
        with pytest.raises(CommandError) as caught:
            await house.whose(key)
        refusals.append(refusal(caught))
    assert len(set(refusals)) == 1
    assert refusals[0][0] is ErrorCode.UNAUTHORIZED


def end(house: House, key_id: str, at: datetime) -> None:
    row = house.keys.rows[key_id]
    house.keys.rows[key_id] = KeyRow(**{name: getattr(row, name) for name in row.__slots__} | {"expires_at": at})


def test_a_key_ends_at_its_end() -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    row = KeyRow("key_1", "org_1", "0" * 64, "CI", ("read",), "abcd", at - timedelta(days=1), expires_at=at)
    assert row.state(at - timedelta(microseconds=1)) is KeyState.ACTIVE
    assert row.state(at) is KeyState.EXPIRED


async def test_a_key_is_revoked_once_and_says_by_whom(house: House) -> None:
    service = await house.of("Acme")
    (_, admin), (_, leaked) = await house.make(*EVERYTHING), await house.make("read")
    first = await service.revoke(RevokeApiKey(key_id=leaked.id, by_key=admin.id))
    assert (first.state, first.revoked_by) == (KeyState.REVOKED, admin.id)
    assert await service.revoke(RevokeApiKey(key_id=leaked.id)) == first
    facts = [(event.sequence, event.name) for event in house.keys.events if event.entity_id == leaked.id]
    assert facts == [(1, "created"), (2, "revoked")]


async def test_the_last_key_may_revoke_itself_and_an_operator_makes_the_next(house: House) -> None:
    key, only = await house.make(*EVERYTHING)
    await (await house.of("Acme")).revoke(RevokeApiKey(key_id=only.id, by_key=only.id))
    with pytest.raises(CommandError):
        await house.whose(key)
    assert (await house.make(*EVERYTHING))[1].created_by is None


@pytest.mark.promise("P8")
async def test_one_organization_neither_lists_nor_revokes_anothers_keys(house: House) -> None:
    key, stored = await house.make("read")
    stranger = await house.of("Other")
    assert (await stranger.page(ListApiKeys())).items == ()
    with pytest.raises(CommandError) as caught:
        await stranger.revoke(RevokeApiKey(key_id=stored.id))
    with pytest.raises(CommandError) as unknown:
        await stranger.revoke(RevokeApiKey(key_id="key_unknown"))
    assert refusal(caught)[1].replace(stored.id, "x") == refusal(unknown)[1].replace("key_unknown", "x")
    assert (await house.whose(key)).key_id == stored.id


async def test_keys_are_listed_newest_first_with_their_state(house: House) -> None:
    service = await house.of("Acme")
    ids = [(await house.make("read", name=f"key {number}"))[1].id for number in range(3)]
    await service.revoke(RevokeApiKey(key_id=ids[1]))
    first = await service.page(ListApiKeys(limit=2))
    rest = await service.page(ListApiKeys(limit=2, cursor=first.next_cursor))
    found = {key.id: key.state for key in (*first.items, *rest.items)}
    assert found == {ids[0]: KeyState.ACTIVE, ids[1]: KeyState.REVOKED, ids[2]: KeyState.ACTIVE}
    assert (len(first.items), rest.next_cursor) == (2, None)


async def test_the_local_stacks_first_key_may_do_everything(house: House) -> None:
    key = api_keys.generate()
    for _ in range(2):
        await add_first_key(house.organizations, house.keys, "org_local", key)
    assert (await house.whose(key)).scopes == EVERYTHING
    assert (len(house.organizations.rows), len(house.keys.rows)) == (1, 1)


async def test_an_installation_without_a_key_says_how_to_make_one(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    await say_if_nobody_can_ask(house.keys)
    assert "calliope-admin organizations create" in capsys.readouterr().out
    await house.make("read")
    await say_if_nobody_can_ask(house.keys)
    assert "calliope-admin" not in capsys.readouterr().out
