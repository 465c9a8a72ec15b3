"""The store's adapter of organizations and keys alone: what is unique, whose it is, and what older rows lack."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from calliope.contracts.identity import KeyState, Scope
from calliope.settings import MongoSettings
from calliope_assistants.adapters.mongo import MongoStore
from calliope_assistants.adapters.mongo_identity import MongoKeys, MongoOrganizations, complete_older_rows
from calliope_assistants.adapters.mongo_rows import MongoOutbox
from calliope_assistants.identity import keys, organizations
from calliope_assistants.identity.ports import KeyRow, OrganizationNameTakenError
from support.mongo import mongo_settings

__all__ = ["mongo_settings"]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = KeyRow("key_1", "org_1", "0" * 64, "CI", ("read", "of:tomorrow"), "abcd", NOW, expires_at=NOW + timedelta(days=1))


@pytest.fixture
async def store(mongo_settings: MongoSettings) -> AsyncIterator[MongoStore]:
    opened = MongoStore(mongo_settings)
    yield opened
    opened.close()


async def test_rows_of_older_installations_get_what_they_lack(store: MongoStore) -> None:
    """Organizations had no name, and keys neither name nor end, and only two scopes."""
    old = {"updated_at": "2026-01-01T00:00:00.000000+00:00", "outbox": {}, "outbox_n": 0}
    key = {"_id": "key_1", "org_id": "org_1", "key_sha256": "0" * 64, "scopes": ["read", "write"], "revoked": False}
    await store.database.organizations.insert_many([{"_id": id_, **old} for id_ in ("org_1", "org_2")])
    await store.database.api_keys.insert_one({**key, **old})

    for _ in range(2):
        await complete_older_rows(store)
        await store.prepare()
    assert [row.name for row in await MongoOrganizations(store).page(5, None)] == ["org_2", "org_1"]
    (found,) = await MongoKeys(store).page("org_1", 5, None)
    assert found == await MongoKeys(store).find("0" * 64)
    assert (set(found.scopes), found.state(NOW)) == (set(Scope), KeyState.ACTIVE)


async def test_a_name_of_an_organization_is_taken_once(store: MongoStore) -> None:
    await store.prepare()
    rows = MongoOrganizations(store)
    for id_, name, expected in (("org_1", "Acme", True), ("org_1", "Other", False), ("org_2", "ACME", None)):
        row = organizations.new_row(id_, name, NOW)
        try:
            inserted: bool | None = await rows.insert(row, organizations.created(row))
        except OrganizationNameTakenError:
            inserted = None
        assert inserted is expected


@pytest.mark.promise("P8")
async def test_a_key_is_found_by_its_hash_and_else_only_by_its_organization(store: MongoStore) -> None:
    await store.prepare()
    rows = MongoKeys(store)
    assert await rows.insert(KEY, keys.created(KEY))
    assert not await rows.insert(replace(KEY, id="key_2"), keys.created(KEY))
    assert await rows.find(KEY.key_sha256) == await rows.get("org_1", KEY.id) == KEY
    assert await rows.get("org_2", KEY.id) is None
    assert (await rows.page("org_1", 5, None), await rows.page("org_2", 5, None)) == ([KEY], [])


async def test_a_key_is_revoked_once_with_one_event(store: MongoStore) -> None:
    await store.prepare()
    rows = MongoKeys(store)
    await rows.insert(KEY, keys.created(KEY))
    gone = replace(KEY, revoked_at=NOW, revoked_by="key_9")
    assert not await rows.revoke(replace(gone, organization_id="org_2"), keys.revoked(gone, NOW))
    assert [await rows.revoke(gone, keys.revoked(gone, NOW)) for _ in range(2)] == [True, False]
    assert await rows.find(KEY.key_sha256) == gone
    (waiting,) = await MongoOutbox(store).waiting(5, NOW)
    assert [event.name for event in waiting.events] == ["created", "revoked"]
