"""Ids that follow from the idempotency key of a command: a repeated one makes one thing, whoever runs it. Pure."""

import hashlib
from datetime import datetime

from calliope.ids import derived_id, new_id


def command_key(organization_id: str, subject: str, command_id: str) -> str:
    """One key per organization, command and client key; of fixed length, so any client key is safe."""
    return hashlib.sha256("\x1f".join((organization_id, subject, command_id)).encode()).hexdigest()


def id_made_by(prefix: str, owner: str, command: str | None, now: datetime) -> str:
    """The same for the same command on one day (UTC), so that it makes one thing, whatever crashes."""
    if command is None:
        return new_id(prefix)
    return derived_id(prefix, owner, command, now.date().isoformat())
