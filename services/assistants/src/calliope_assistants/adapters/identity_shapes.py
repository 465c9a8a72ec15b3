"""How organizations and API keys look as documents of the store. Pure; knows no driver."""

from datetime import datetime

from calliope_assistants.adapters.shapes import Doc, text
from calliope_assistants.identity.ports import KeyRow, OrganizationRow
from calliope_assistants.pages import position


def organization_fields(row: OrganizationRow) -> Doc:
    """What a write sets."""
    return {
        "name": row.name,
        "name_key": row.name_key,
        "order": position(row.created_at, row.id),
        "created_at": text(row.created_at),
        "updated_at": text(row.created_at),
    }


def organization(row: Doc) -> OrganizationRow:
    """What a read gives."""
    return OrganizationRow(row["_id"], row["name"], row["name_key"], datetime.fromisoformat(row["created_at"]))


def key_fields(row: KeyRow) -> Doc:
    """What a write sets."""
    return {
        "org_id": row.organization_id,
        "key_sha256": row.key_sha256,
        "name": row.name,
        "scopes": list(row.scopes),
        "last4": row.last4,
        "order": position(row.created_at, row.id),
        "created_at": text(row.created_at),
        "created_by": row.created_by,
        "expires_at": None if row.expires_at is None else text(row.expires_at),
        "revoked_at": None if row.revoked_at is None else text(row.revoked_at),
        "revoked_by": row.revoked_by,
        "updated_at": text(row.revoked_at or row.created_at),
    }


def key(row: Doc) -> KeyRow:
    """What a read gives."""
    expires_at, revoked_at = row["expires_at"], row["revoked_at"]
    return KeyRow(
        id=row["_id"],
        organization_id=row["org_id"],
        key_sha256=row["key_sha256"],
        name=row["name"],
        scopes=tuple(row["scopes"]),
        last4=row["last4"],
        created_at=datetime.fromisoformat(row["created_at"]),
        created_by=row["created_by"],
        expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
        revoked_at=None if revoked_at is None else datetime.fromisoformat(revoked_at),
        revoked_by=row["revoked_by"],
    )
