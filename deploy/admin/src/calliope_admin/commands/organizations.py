"""`calliope-admin organizations …`: the tenants of an installation, and the first key of each."""

from argparse import Namespace
from typing import Any, Final

from calliope.contracts.identity import ApiKey, ListOrganizations, Organization, OrganizationPage
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope_admin.bus import AdminBus, open_bus
from calliope_admin.commands import keys
from calliope_admin.errors import AdminError
from calliope_admin.output import Output, moment, table
from calliope_admin.parsing import Nouns

FIRST_KEY: Final = "first key"
_PAGE: Final = 200


def add(nouns: Nouns) -> None:
    """Add the noun and its commands."""
    organizations = nouns.add("organizations", "the tenants of this installation")
    create = organizations.add("create", created, "make an organization")
    create.add_argument("name", metavar="NAME", help='what people call it, such as "Acme"')
    create.add_argument("--key", action="store_true", help="also make its first API key, which may do everything")
    organizations.add("list", listed, "list all organizations")


async def created(arguments: Namespace) -> Output:
    """A new organization, and its first key."""
    async with open_bus(arguments) as bus:
        made = await bus.ask(Command.ORGANIZATIONS_CREATE, {"name": arguments.name}, Organization)
        data: dict[str, Any] = {"organization": made}
        text = f"Organization {made.name}: {made.id}"
        if not arguments.key:
            more = f'calliope-admin keys create "{FIRST_KEY}" --all-scopes --organization {made.id}'
            return Output(data, f"{text}\nIt has no API key yet: {more}")
        shown, key = await _first_key(bus, made)
    return Output(
        {**data, "key": {**shown.model_dump(mode="json"), "key": key}}, f"{text}\n\n{keys.in_text(shown, key)}"
    )


async def listed(arguments: Namespace) -> Output:
    """All organizations, newest first."""
    found: list[Organization] = []
    cursor: str | None = None
    async with open_bus(arguments) as bus:
        while True:
            wanted = ListOrganizations(limit=_PAGE, cursor=cursor)
            page = await bus.ask(Command.ORGANIZATIONS_LIST, wanted, OrganizationPage)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
    rows = [(each.id, each.name, moment(each.created_at)) for each in found]
    none = 'There is no organization yet: calliope-admin organizations create "Acme" --key'
    return Output({"items": found}, table(("ID", "NAME", "CREATED (UTC)"), rows, none=none))


async def _first_key(bus: AdminBus, made: Organization) -> tuple[ApiKey, str]:
    try:
        return await keys.make(bus, made.id, FIRST_KEY, keys.EVERYTHING)
    except (CommandError, AdminError) as exc:
        again = f'calliope-admin keys create "{FIRST_KEY}" --all-scopes --organization {made.id}'
        raise AdminError(f"{made.name} is made, its key is not ({exc}). Again: {again}") from exc
