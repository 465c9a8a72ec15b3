"""Use cases about organizations and their API keys: who a key speaks for, and the first of both."""

from datetime import UTC, datetime

from calliope.contracts.errors import ErrorCode
from calliope.contracts.identity import Authenticate, Principal
from calliope.contracts.subjects import Entity
from calliope.errors import CommandError
from calliope_assistants import events
from calliope_assistants.ports import KeyRow, Keys, Organizations


async def authenticate(keys: Keys, payload: Authenticate) -> Principal:
    """Raises: CommandError `unauthorized`; unknown and revoked look the same."""
    row = await keys.find(payload.key_sha256)
    if row is None or row.revoked:
        raise CommandError(ErrorCode.UNAUTHORIZED, "this API key is unknown or revoked")
    return Principal(organization_id=row.organization_id, key_id=row.id, scopes=row.scopes)


async def add_organization(organizations: Organizations, organization_id: str) -> bool:
    """False, when it is there already. Raises: TransientError, TimeoutError."""
    event = events.build(
        Entity.ORGANIZATION,
        organization_id,
        "created",
        organization=organization_id,
        sequence=1,
        now=datetime.now(UTC),
        data={"organization_id": organization_id},
    )
    return await organizations.add(organization_id, event)


async def add_key(keys: Keys, row: KeyRow) -> bool:
    """Store a key that was made elsewhere; False, when it is there already. Raises: TransientError, TimeoutError."""
    event = events.build(
        Entity.API_KEY,
        row.id,
        "created",
        organization=row.organization_id,
        sequence=1,
        now=datetime.now(UTC),
        data={"key_id": row.id, "scopes": list(row.scopes)},
    )
    return await keys.add(row, event)
