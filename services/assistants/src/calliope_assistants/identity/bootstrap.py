"""The first organization and key: of the local stack by itself, of a production by its operator, who is told so."""

from datetime import UTC, datetime
from typing import Final

import structlog

from calliope import api_keys
from calliope.contracts.identity import Scope
from calliope.ids import derived_id
from calliope_assistants.identity import keys as use_cases
from calliope_assistants.identity import organizations as tenants
from calliope_assistants.identity.ports import KeyRow, Keys, OrganizationNameTakenError, Organizations

NAME: Final = "Local"

log = structlog.get_logger(__name__)


async def add_first_key(organizations: Organizations, keys: Keys, organization_id: str, key: str) -> None:
    """The local stack's own key, which may do everything; running twice adds it once.

    Raises: TransientError, TimeoutError.
    """
    now, digest = datetime.now(UTC), api_keys.digest(key)
    tenant = tenants.new_row(organization_id, NAME, now)
    try:
        await organizations.insert(tenant, tenants.created(tenant))
    except OrganizationNameTakenError:
        tenant = tenants.new_row(organization_id, f"{NAME} {organization_id}", now)
        await organizations.insert(tenant, tenants.created(tenant))
    row = KeyRow(
        id=derived_id("key", digest),
        organization_id=organization_id,
        key_sha256=digest,
        name="first key of the local stack",
        scopes=tuple(scope.value for scope in Scope),
        last4=key[-4:],
        created_at=now,
    )
    if await keys.insert(row, use_cases.created(row)):
        log.info("identity.bootstrapped", organization=organization_id)


async def say_if_nobody_can_ask(keys: Keys) -> None:
    """A hint for who starts an installation. Raises: TransientError."""
    if not await keys.any():
        hint = "there is no API key yet, so the API refuses everybody: calliope-admin organizations create NAME --key"
        log.warning("identity.no_api_key", hint=hint)
