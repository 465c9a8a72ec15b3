"""Use case: whose key is this?"""

from datetime import UTC, datetime

from calliope.contracts.errors import ErrorCode
from calliope.contracts.identity import Authenticate, KeyState, Principal
from calliope.errors import CommandError
from calliope_assistants.identity.ports import KeyRow, Keys


async def authenticate(keys: Keys, payload: Authenticate) -> Principal:
    """Raises: CommandError `unauthorized`; unknown, expired and revoked look the same."""
    row = working(await keys.find(payload.key_sha256), datetime.now(UTC))
    return Principal(
        organization_id=row.organization_id,
        key_id=row.id,
        name=row.name,
        scopes=row.scopes,
        expires_at=row.expires_at,
    )


def working(row: KeyRow | None, now: datetime) -> KeyRow:
    """The key, if it opens anything. Raises: CommandError `unauthorized`."""
    if row is None or row.state(now) is not KeyState.ACTIVE:
        raise CommandError(ErrorCode.UNAUTHORIZED, "this API key is unknown, expired or revoked")
    return row
