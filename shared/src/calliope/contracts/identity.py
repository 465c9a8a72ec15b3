"""Organizations and API keys: who a key speaks for, what it may do, and the commands around both."""

import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, StringConstraints

from calliope.contracts.base import Instant, Message, Moment, Request, Token
from calliope.contracts.open_enum import OpenEnum

_UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of characters that are not seen, or change what is seen beside them."""


def _one_line(label: str) -> str:
    if any(unicodedata.category(character) in _UNPRINTABLE for character in label):
        raise ValueError(
            "must be one line of visible characters, such as billing: without line breaks, control characters, "
            "zero-width characters and marks of writing direction"
        )
    return label


Label = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_one_line)
]
"""What people call an organization or a key."""
KeyHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of an API key as 64 hex digits: all of a key that travels on the bus or is stored."""


class Scope(StrEnum):
    """What a key may do. `read` and `write` hold for every noun but `api_keys`; neither implies the other."""

    READ = "read"
    WRITE = "write"
    ASSISTANTS_READ = "assistants:read"
    ASSISTANTS_WRITE = "assistants:write"
    PHONE_NUMBERS_READ = "phone_numbers:read"
    PHONE_NUMBERS_WRITE = "phone_numbers:write"
    CALLS_READ = "calls:read"
    CALLS_WRITE = "calls:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    API_KEYS_READ = "api_keys:read"
    API_KEYS_WRITE = "api_keys:write"

    @property
    def broader(self) -> "Scope | None":
        """`read` of `calls:read`: the scope that grants this one too, if there is one."""
        noun, _, verb = self.partition(":")
        return Scope(verb) if verb and noun != "api_keys" else None


def is_granted(held: Iterable[str], wanted: Scope) -> bool:
    """Whether a key with the scopes `held` may do what `wanted` names. A scope that is not known grants nothing."""
    known = set(held)
    return wanted in known or (wanted.broader is not None and wanted.broader in known)


def _not_empty(scopes: tuple[Scope, ...]) -> tuple[Scope, ...]:
    if not scopes:
        raise ValueError("name at least one scope, such as `calls:read`")
    return scopes


class Authenticate(Message):
    """Whose key is this? Only its SHA-256 travels, as 64 hex digits."""

    key_sha256: KeyHash


class Principal(Message):
    """Who a key speaks for."""

    organization_id: Token = Field(description="Whose data it may see.")
    key_id: Token = Field(description="The key.")
    name: str = Field(default="", description="The key's label.")
    scopes: tuple[str, ...] = Field(description="What it may do; those that a reader does not know grant nothing.")
    expires_at: Moment | None = Field(default=None, description="The key is refused from then on; null: never.")


class Organization(Message):
    """A tenant: whose assistants, numbers, calls and keys these are."""

    id: Token = Field(description="Id of the organization.", examples=["org_01jd0000000000000000000000"])
    name: str = Field(description="What people call it; no other organization has this name.")
    created_at: Moment = Field(description="When it was made.")


class CreateOrganization(Message):
    """Store a new organization; no other may have its name."""

    name: Label


class ListOrganizations(Message):
    """A page of all organizations, newest first; for operators."""

    limit: int = Field(default=50, ge=1, le=200, description="How many to show at most.")
    cursor: str | None = Field(default=None, max_length=200, description="`next_cursor` of the page before.")


class OrganizationPage(Message):
    """`next_cursor` is absent on the last page."""

    items: tuple[Organization, ...] = Field(description="The organizations, newest first.")
    next_cursor: str | None = Field(default=None, description="What to send as `cursor` for the next page.")


class KeyState(StrEnum):
    """Whether a key opens anything. Neither an expired nor a revoked key ever does again."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ApiKeySpec(Request):
    """An API key that is wanted."""

    name: Label = Field(description="A label to recognise it by, such as where it is used.", examples=["billing"])
    scopes: Annotated[tuple[Scope, ...], AfterValidator(_not_empty)] = Field(
        description="What it may do; only what the key that asks may do itself.",
        examples=[["calls:read", "assistants:write"]],
        json_schema_extra={"minItems": 1},
    )
    expires_at: Instant | None = Field(
        default=None,
        description="It is refused from this moment on (RFC 3339); null: when the key that asks ends, or never if "
        "that has no end. Not later than that key.",
        examples=["2030-01-31T12:00:00Z"],
    )


class ApiKey(Message):
    """An API key as lists show it: everything but the key."""

    id: Token = Field(description="Names the key; opens nothing.")
    organization_id: Token = Field(description="For whom it speaks.")
    name: str = Field(description="Its label.")
    state: OpenEnum[KeyState] = Field(description="Whether it opens anything.")
    scopes: tuple[str, ...] = Field(description="What it may do.")
    last4: str = Field(description="Its last characters, to tell keys apart.")
    created_at: Moment = Field(description="When it was made.")
    created_by: Token | None = Field(default=None, description="The key that asked for it; null: an operator.")
    expires_at: Moment | None = Field(default=None, description="It is refused from then on; null: never.")
    revoked_at: Moment | None = Field(default=None, description="It is refused since then; null: it is not revoked.")
    revoked_by: Token | None = Field(default=None, description="The key that revoked it; null: an operator.")


class CreateApiKey(Message):
    """Store a key that its sender has made and will show. The key itself stays with the sender."""

    spec: dict[str, Any] = Field(description="As `ApiKeySpec`; validated by its owner.")
    key_sha256: KeyHash
    last4: str = Field(pattern=r"^[0-9A-Za-z]{4}$", description="The key's last characters.")
    by_key: Token | None = Field(default=None, description="The key that asks: must work, and have what it gives.")


class StoredApiKey(ApiKey):
    """The key that stands stored. With another hash than was sent, it is that of the same command, sent before."""

    key_sha256: KeyHash


class ListApiKeys(Message):
    """A page of an organization's keys, newest first; also expired and revoked ones."""

    limit: int = Field(default=50, ge=1, le=200, description="How many to show at most.")
    cursor: str | None = Field(default=None, max_length=200, description="`next_cursor` of the page before.")


class ApiKeyPage(Message):
    """`next_cursor` is absent on the last page."""

    items: tuple[ApiKey, ...] = Field(description="The keys, newest first.")
    next_cursor: str | None = Field(default=None, description="What to send as `cursor` for the next page.")


class RevokeApiKey(Message):
    """Refuse a key for ever, from now on. One that is revoked already stays as it is."""

    key_id: str = Field(max_length=128)
    by_key: Token | None = Field(default=None, description="The key that asks: must work, unless it is the same.")
