"""Whose key is this: believed for a moment, refused for a while, no way to load its owner. The clock is a number."""

from datetime import UTC, datetime, timedelta

import pytest

from calliope import api_keys
from calliope.contracts.errors import ErrorCode
from calliope.contracts.identity import Principal, Scope
from calliope.contracts.subjects import Command
from calliope.errors import CommandError, unavailable
from calliope.rate import RateLimit
from calliope_gateway.identity import REFUSED_S, Keys, check_scope
from support.http_surface import KEY, FakeBus, key_id

BURST = 5


@pytest.fixture
def bus() -> FakeBus:
    return FakeBus()


@pytest.fixture
def keys(bus: FakeBus) -> Keys:
    return Keys(bus, believe_s=1.0, timeout_s=1.0, strangers=RateLimit(rate_per_s=1.0, burst=BURST))


async def whose(keys: Keys, now: float, key: str = KEY, client: str = "192.0.2.1") -> Principal:
    return await keys.principal(key, client=client, now=now)


async def refused(keys: Keys, now: float, key: str = KEY, client: str = "192.0.2.1") -> ErrorCode | str:
    with pytest.raises(CommandError) as caught:
        await whose(keys, now, key, client)
    return caught.value.code


@pytest.mark.promise("P8")
async def test_a_key_is_believed_for_a_second_and_then_asked_about_again(keys: Keys, bus: FakeBus) -> None:
    """Revoked everywhere within a second, also if nobody hears of it."""
    await whose(keys, 10.0)
    bus.revoked.add(api_keys.digest(KEY))
    await whose(keys, 10.99)
    assert await refused(keys, 11.0) is ErrorCode.UNAUTHORIZED


async def test_a_key_that_is_heard_to_be_revoked_is_refused_at_once(keys: Keys, bus: FakeBus) -> None:
    principal = await whose(keys, 10.0)
    keys.revoked(principal.key_id)
    assert await refused(keys, 10.0) is ErrorCode.UNAUTHORIZED


async def test_an_answer_that_was_overtaken_by_the_revocation_is_not_believed(keys: Keys, bus: FakeBus) -> None:
    """Read before, told after: the bus still answers for a key that is heard to be revoked."""
    keys.revoked(key_id(api_keys.digest(KEY)))
    assert await refused(keys, 10.0) is ErrorCode.UNAUTHORIZED


async def test_a_key_is_not_believed_beyond_its_end(bus: FakeBus) -> None:
    keys = Keys(bus, believe_s=3_600.0, timeout_s=1.0, strangers=RateLimit(rate_per_s=1.0, burst=BURST))
    bus.expires_at = datetime.now(UTC) + timedelta(seconds=60)
    await whose(keys, 10.0)
    await whose(keys, 60.0)
    assert bus.asked_whose() == 1
    await whose(keys, 71.0)
    assert bus.asked_whose() == 2


async def test_a_key_that_is_none_is_asked_about_once_in_a_while(keys: Keys, bus: FakeBus) -> None:
    unknown = api_keys.generate()
    for at in (10.0, 10.1, 10.0 + REFUSED_S - 0.1):
        assert await refused(keys, at, unknown) is ErrorCode.UNAUTHORIZED
    assert bus.asked_whose() == 1
    await refused(keys, 10.0 + REFUSED_S, unknown)
    assert bus.asked_whose() == 2


async def test_an_owner_that_is_away_does_not_make_a_key_a_wrong_one(keys: Keys, bus: FakeBus) -> None:
    bus.answers[Command.IDENTITY_AUTHENTICATE] = unavailable("away")
    assert await refused(keys, 10.0) is ErrorCode.UNAVAILABLE
    del bus.answers[Command.IDENTITY_AUTHENTICATE]
    await whose(keys, 10.1)


async def test_an_address_that_invents_keys_is_slowed_and_nobody_else(keys: Keys, bus: FakeBus) -> None:
    codes = [await refused(keys, 10.0, api_keys.generate()) for _ in range(BURST + 3)]
    assert codes == [ErrorCode.UNAUTHORIZED] * BURST + [ErrorCode.RATE_LIMITED] * 3
    assert bus.asked_whose() == BURST
    await whose(keys, 10.0, client="192.0.2.2")
    assert await refused(keys, 11.0, api_keys.generate()) is ErrorCode.UNAUTHORIZED


async def test_a_key_that_was_good_before_passes_whoever_else_has_its_address(keys: Keys, bus: FakeBus) -> None:
    await whose(keys, 10.0)
    for _ in range(BURST + 1):
        await refused(keys, 12.0, api_keys.generate())
    await whose(keys, 12.0)


async def test_good_keys_are_not_counted_however_many_have_one_address(keys: Keys, bus: FakeBus) -> None:
    for _ in range(3 * BURST):
        authorization = bus.holds(Scope.READ)["Authorization"]
        await whose(keys, 10.0, authorization.removeprefix("Bearer "))


async def test_what_is_remembered_has_a_bound(keys: Keys, bus: FakeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calliope_gateway.identity.MAX_KNOWN", 10)
    for number in range(15):
        keys.revoked(f"key_{number}")
        await refused(keys, 10.0 + 2.0 * number, api_keys.generate())
    assert len(keys._revoked) == len(keys._refused) == 10


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        (["read"], Scope.CALLS_READ),
        (["write"], Scope.CALLS_WRITE),
        (["calls:read"], Scope.CALLS_READ),
        (["api_keys:write"], Scope.API_KEYS_WRITE),
        (["unknown:read", "calls:write"], Scope.CALLS_WRITE),
    ],
)
def test_a_scope_grants_what_it_names(held: list[str], wanted: Scope) -> None:
    check_scope(Principal(organization_id="org_1", key_id="key_1", scopes=tuple(held)), wanted)


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ([], Scope.CALLS_READ),
        (["write"], Scope.CALLS_READ),
        (["calls:write"], Scope.CALLS_READ),
        (["calls:read"], Scope.ASSISTANTS_READ),
        (["calls:read"], Scope.READ),
        (["read", "write"], Scope.API_KEYS_READ),
        (["read", "write"], Scope.API_KEYS_WRITE),
        (["everything", "calls:*", "CALLS:READ", ""], Scope.CALLS_READ),
    ],
)
def test_a_scope_grants_nothing_else(held: list[str], wanted: Scope) -> None:
    principal = Principal(organization_id="org_1", key_id="key_1", scopes=tuple(held))
    with pytest.raises(CommandError, match=f"`{wanted}`"):
        check_scope(principal, wanted)
