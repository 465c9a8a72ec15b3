"""`calliope-admin keys …`: API keys. A key is made here and shown here, once; only its SHA-256 goes over the bus."""

from argparse import Namespace
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from calliope import api_keys
from calliope.contracts.identity import (
    ApiKey,
    ApiKeyPage,
    CreateApiKey,
    KeyState,
    ListApiKeys,
    Scope,
    StoredApiKey,
)
from calliope.contracts.subjects import Command
from calliope_admin.bus import AdminBus, open_bus, organization_of
from calliope_admin.errors import MISUSED, AdminError
from calliope_admin.moments import from_now
from calliope_admin.output import Output, moment, table, visible
from calliope_admin.parsing import Nouns, add_organization

EVERYTHING: Final = tuple(scope.value for scope in Scope)
ONCE: Final = "shown this once and kept nowhere"
_PAGE: Final = 200


def add(nouns: Nouns) -> None:
    """Add the noun and its commands."""
    keys = nouns.add("keys", "API keys of an organization")
    create = keys.add("create", created, "make an API key; it is shown once")
    create.add_argument("name", metavar="NAME", help="a label to recognise it by, such as where it is used")
    create.add_argument(
        "--scope",
        action="append",
        default=[],
        metavar="SCOPE",
        help=f"what it may do; several times, or separated by commas: {', '.join(EVERYTHING)}",
    )
    create.add_argument("--all-scopes", action="store_true", help="it may do everything, also make keys")
    create.add_argument(
        "--expires",
        type=from_now,
        metavar="WHEN",
        help="12h, 90d, 4w from now, or 2030-01-31T12:00:00Z; default: never",
    )
    add_organization(create)
    listing = keys.add("list", listed, "list the API keys that work")
    listing.add_argument("--all", action="store_true", help="also expired and revoked ones")
    add_organization(listing)
    revoke = keys.add("revoke", revoked, "refuse an API key for ever, within a second")
    revoke.add_argument("key_id", metavar="ID", help="its id, such as key_01jd…; `keys list` shows it")
    add_organization(revoke)


async def make(
    bus: AdminBus, organization: str, name: str, scopes: Iterable[str], expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """A new key, and the key itself. Raises: CommandError, AdminError."""
    key = api_keys.generate()
    spec = {"name": name, "scopes": list(scopes), "expires_at": None if expires_at is None else expires_at.isoformat()}
    payload = CreateApiKey(spec=spec, key_sha256=api_keys.digest(key), last4=key[-4:])
    stored = await bus.ask(Command.API_KEYS_CREATE, payload, StoredApiKey, organization=organization)
    return ApiKey.model_validate(stored.model_dump(exclude={"key_sha256"})), key


async def created(arguments: Namespace) -> Output:
    """A new key of an organization."""
    scopes = [scope.strip() for each in arguments.scope for scope in each.split(",") if scope.strip()]
    if arguments.all_scopes == bool(scopes):
        raise AdminError("Say what it may do: --scope calls:read, or --all-scopes.", status=MISUSED)
    async with open_bus(arguments) as bus:
        organization = organization_of(arguments, bus)
        shown, key = await make(bus, organization, arguments.name, scopes or EVERYTHING, arguments.expires)
    return Output({**shown.model_dump(mode="json"), "key": key}, in_text(shown, key))


async def listed(arguments: Namespace) -> Output:
    """Keys of an organization, newest first."""
    async with open_bus(arguments) as bus:
        organization = organization_of(arguments, bus)
        found: list[ApiKey] = []
        cursor: str | None = None
        while True:
            wanted = ListApiKeys(limit=_PAGE, cursor=cursor)
            page = await bus.ask(Command.API_KEYS_LIST, wanted, ApiKeyPage, organization=organization)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
    shown = [key for key in found if arguments.all or key.state is KeyState.ACTIVE]
    rows = [
        (key.id, key.name, f"…{key.last4}", str(key.state), _scopes(key), moment(key.created_at), _ends(key))
        for key in shown
    ]
    head = ("ID", "NAME", "KEY", "STATE", "SCOPES", "CREATED (UTC)", "EXPIRES (UTC)")
    none = f"{organization} has no API key{'' if arguments.all else ' that works'}; `keys create` makes one."
    return Output({"items": shown}, table(head, rows, none=none))


async def revoked(arguments: Namespace) -> Output:
    """One key of an organization, for ever."""
    async with open_bus(arguments) as bus:
        organization = organization_of(arguments, bus)
        key = await bus.ask(Command.API_KEYS_REVOKE, {"key_id": arguments.key_id}, ApiKey, organization=organization)
    return Output(key, f"{key.id} ({visible(key.name)}) is revoked.")


def in_text(shown: ApiKey, key: str) -> str:
    """What a person reads of a new key."""
    return "\n".join(
        [
            f"API key, {ONCE}:",
            "",
            f"    {key}",
            "",
            f"id       {shown.id}",
            f"name     {visible(shown.name)}",
            f"scopes   {_scopes(shown)}",
            f"expires  {_ends(shown)}",
        ]
    )


def _scopes(key: ApiKey) -> str:
    return "all" if set(EVERYTHING) <= set(key.scopes) else ", ".join(key.scopes)


def _ends(key: ApiKey) -> str:
    return "never" if key.expires_at is None else moment(key.expires_at)
