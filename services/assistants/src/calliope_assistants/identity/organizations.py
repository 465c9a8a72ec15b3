"""Use cases about organizations: made and listed by operators; each can show itself."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from calliope.contracts.base import Event
from calliope.contracts.errors import ErrorCode
from calliope.contracts.identity import CreateOrganization, ListOrganizations, Organization, OrganizationPage
from calliope.contracts.subjects import Entity
from calliope.errors import CommandError
from calliope.idempotency import id_made_by
from calliope_assistants import events, pages
from calliope_assistants.identity.ports import OrganizationNameTakenError, OrganizationRow, Organizations
from calliope_assistants.model import name_key
from calliope_assistants.repeats import made_before

_OPERATOR: Final = ""
"""Who makes organizations: nobody's key."""


class OrganizationService:
    """All organizations. `command` is the idempotency key, hashed; `written` is told after every write."""

    def __init__(
        self, organizations: Organizations, written: Callable[[], None], *, command: str | None = None
    ) -> None:
        self._organizations = organizations
        self._written = written
        self._command = command

    async def create(self, payload: CreateOrganization) -> Organization:
        """Raises: CommandError `conflict`, when the name is taken."""
        now = datetime.now(UTC)
        made = await made_before(self._organizations.get, "org", _OPERATOR, self._command, now)
        if made is not None:
            return shown(made)
        row = new_row(id_made_by("org", _OPERATOR, self._command, now), payload.name, now)
        try:
            inserted = await self._organizations.insert(row, created(row))
        except OrganizationNameTakenError:
            words = f"there is an organization {payload.name!r} already: choose another name"
            raise CommandError(ErrorCode.CONFLICT, words) from None
        if not inserted:  # the same command, a moment ago
            return shown(await existing(self._organizations, row.id))
        self._written()
        return shown(row)

    async def get(self, organization_id: str) -> Organization:
        """Raises: CommandError `not_found`."""
        return shown(await existing(self._organizations, organization_id))

    async def page(self, payload: ListOrganizations) -> OrganizationPage:
        """Newest first. Raises: CommandError `invalid`."""
        rows = await self._organizations.page(payload.limit + 1, pages.position_of(payload.cursor))
        items, _ = pages.fitting(map(shown, rows[: payload.limit]), pages.MAX_PAGE_BYTES)
        more = len(rows) > len(items)
        last = rows[len(items) - 1] if more else None
        cursor = None if last is None else pages.cursor_of(pages.position(last.created_at, last.id))
        return OrganizationPage(items=tuple(items), next_cursor=cursor)


def new_row(organization_id: str, name: str, now: datetime) -> OrganizationRow:
    """A new organization."""
    return OrganizationRow(organization_id, name, name_key(name), now)


def created(row: OrganizationRow) -> Event:
    """That there is one more."""
    return events.build(
        Entity.ORGANIZATION,
        row.id,
        "created",
        organization=row.id,
        sequence=1,
        now=row.created_at,
        data={"organization_id": row.id, "name": row.name},
    )


async def existing(organizations: Organizations, organization_id: str) -> OrganizationRow:
    """Raises: CommandError `not_found`; TransientError."""
    row = await organizations.get(organization_id)
    if row is None:
        raise CommandError(ErrorCode.NOT_FOUND, f"there is no organization {organization_id!r}")
    return row


def shown(row: OrganizationRow) -> Organization:
    """As the API shows it."""
    return Organization(id=row.id, name=row.name, created_at=row.created_at)
