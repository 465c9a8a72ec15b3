"""Use cases about API keys. A key is made where it is shown: here arrive its hash and its last characters."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from pydantic import ValidationError

from calliope.contracts.base import Event, Message
from calliope.contracts.errors import ErrorCode, FieldProblem
from calliope.contracts.facts import ApiKeyCreated, ApiKeyRevoked
from calliope.contracts.identity import (
    ApiKey,
    ApiKeyPage,
    ApiKeySpec,
    CreateApiKey,
    ListApiKeys,
    RevokeApiKey,
    Scope,
    StoredApiKey,
    is_granted,
)
from calliope.contracts.subjects import Entity
from calliope.errors import CommandError, invalid, not_found
from calliope.idempotency import id_made_by
from calliope.validation.problems import field_problems
from calliope_assistants import events, pages
from calliope_assistants.identity.authentication import working
from calliope_assistants.identity.organizations import existing
from calliope_assistants.identity.ports import KeyRow, Keys, Organizations
from calliope_assistants.repeats import made_before


class KeyService:
    """The keys of one organization. `command` is the idempotency key, hashed; `written` is told after every write."""

    def __init__(
        self,
        organization_id: str,
        keys: Keys,
        organizations: Organizations,
        written: Callable[[], None],
        *,
        command: str | None = None,
    ) -> None:
        self._organization_id = organization_id
        self._keys = keys
        self._organizations = organizations
        self._written = written
        self._command = command

    async def create(self, payload: CreateApiKey) -> StoredApiKey:
        """A repeated command makes no second key: it answers the first one, whose hash is another than it sends.

        Raises: CommandError `invalid`; `not_found`: no such organization; `unauthorized`: the key that asks works no
        more; `forbidden`: it has not what it would give, or ends earlier than the new one; `conflict`:
        the hash is stored already.
        """
        now = datetime.now(UTC)
        spec = _checked(payload, now)
        await existing(self._organizations, self._organization_id)
        made = await made_before(self._get, "key", self._organization_id, self._command, now)
        if made is not None:
            return _stored(made, now)
        giver = await self._check_giver(payload.by_key, spec.scopes, now)
        row = KeyRow(
            id=id_made_by("key", self._organization_id, self._command, now),
            organization_id=self._organization_id,
            key_sha256=payload.key_sha256,
            name=spec.name,
            scopes=tuple(scope.value for scope in Scope if scope in spec.scopes),
            last4=payload.last4,
            created_at=now,
            created_by=payload.by_key,
            expires_at=_end(giver, spec.expires_at),
        )
        if await self._keys.insert(row, created(row)):
            self._written()
            return _stored(row, now)
        stored = await self._get(row.id)  # the same command, a moment ago
        if stored is None:
            raise CommandError(ErrorCode.CONFLICT, "this key is stored already: make another")
        return _stored(stored, now)

    async def page(self, payload: ListApiKeys) -> ApiKeyPage:
        """Newest first. Raises: CommandError `invalid`; `not_found`: no such organization."""
        await existing(self._organizations, self._organization_id)
        rows = await self._keys.page(self._organization_id, payload.limit + 1, pages.position_of(payload.cursor))
        now = datetime.now(UTC)
        items, _ = pages.fitting((_shown(row, now) for row in rows[: payload.limit]), pages.MAX_PAGE_BYTES)
        more = len(rows) > len(items)
        last = rows[len(items) - 1] if more else None
        cursor = None if last is None else pages.cursor_of(pages.position(last.created_at, last.id))
        return ApiKeyPage(items=tuple(items), next_cursor=cursor)

    async def revoke(self, payload: RevokeApiKey) -> ApiKey:
        """For ever. A key may revoke itself, also the last one: then an operator has to make the next.

        Raises: CommandError `not_found`; `unauthorized`: the key that asks works no more.
        """
        now = datetime.now(UTC)
        row = await self._found(payload.key_id)
        if payload.by_key not in {None, row.id}:
            await self._check_giver(payload.by_key, (), now)
        if row.revoked_at is not None:
            return _shown(row, now)
        changed = replace(row, revoked_at=now, revoked_by=payload.by_key)
        if not await self._keys.revoke(changed, revoked(changed, now)):
            return _shown(await self._found(row.id), now)  # somebody else, a moment ago
        self._written()
        return _shown(changed, now)

    async def _get(self, key_id: str) -> KeyRow | None:
        return await self._keys.get(self._organization_id, key_id)

    async def _found(self, key_id: str) -> KeyRow:
        row = await self._get(key_id)
        if row is None:
            raise not_found("API key", key_id)
        return row

    async def _check_giver(self, key_id: str | None, scopes: Iterable[Scope], now: datetime) -> KeyRow | None:
        """What a gateway believes for a moment is not enough: a revoked key must not make its successor."""
        if key_id is None:
            return None
        giver = working(await self._get(key_id), now)
        lacking = [f"`{scope}`" for scope in scopes if not is_granted(giver.scopes, scope)]
        if lacking:
            words = f"this key may not give {', '.join(lacking)}: it can only give scopes that it has itself"
            raise CommandError(ErrorCode.FORBIDDEN, words)
        return giver


def created(row: KeyRow) -> Event:
    """That there is a new key."""
    fact = ApiKeyCreated(
        key_id=row.id, name=row.name, scopes=row.scopes, expires_at=row.expires_at, created_by=row.created_by
    )
    return _event(row, "created", 1, row.created_at, fact)


def revoked(row: KeyRow, now: datetime) -> Event:
    """That a key is no more."""
    return _event(row, "revoked", 2, now, ApiKeyRevoked(key_id=row.id, name=row.name, revoked_by=row.revoked_by))


def _event(row: KeyRow, name: str, sequence: int, now: datetime, fact: Message) -> Event:
    return events.build(
        Entity.API_KEY,
        row.id,
        name,
        organization=row.organization_id,
        sequence=sequence,
        now=now,
        data=fact.model_dump(mode="json"),
    )


def _checked(payload: CreateApiKey, now: datetime) -> ApiKeySpec:
    try:
        spec = ApiKeySpec.model_validate(payload.spec)
    except ValidationError as exc:
        raise invalid("the API key was refused", *field_problems(exc, ApiKeySpec)) from exc
    if spec.expires_at is not None and spec.expires_at <= now:
        problem = FieldProblem(path="expires_at", message="must lie in the future")
        raise invalid("the API key was refused", problem)
    return spec


def _end(giver: KeyRow | None, wanted: datetime | None) -> datetime | None:
    """When a new key ends: not later than the key that makes it, else a key with an end could outlive itself.

    Raises: CommandError `forbidden`.
    """
    latest = giver.expires_at if giver is not None else None
    if latest is None or (wanted is not None and wanted <= latest):
        return wanted
    if wanted is None:
        return latest
    until = f"{latest.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    words = f"`expires_at` must not be later than {until}, when the key that asks ends: leave it out to end then, too"
    raise CommandError(ErrorCode.FORBIDDEN, words)


def _shown(row: KeyRow, now: datetime) -> ApiKey:
    return ApiKey(
        id=row.id,
        organization_id=row.organization_id,
        name=row.name,
        state=row.state(now),
        scopes=row.scopes,
        last4=row.last4,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
    )


def _stored(row: KeyRow, now: datetime) -> StoredApiKey:
    return StoredApiKey(**_shown(row, now).model_dump(), key_sha256=row.key_sha256)
