"""`/api/v1/api-keys` and `/api/v1/me`. Keys are made here, where they are shown: only their SHA-256 goes further."""

from aiohttp import web
from pydantic import Field

from calliope import api_keys
from calliope.contracts.assistants import Nothing
from calliope.contracts.base import Message, Moment, Token
from calliope.contracts.identity import (
    ApiKey,
    ApiKeyPage,
    ApiKeySpec,
    CreateApiKey,
    ListApiKeys,
    Organization,
    RevokeApiKey,
    Scope,
    StoredApiKey,
)
from calliope.contracts.subjects import Command
from calliope_gateway.http.reading import build, read_query
from calliope_gateway.http.routes import Asked, Route, model_response

_KEYS = "/api/v1/api-keys"


class CreatedApiKey(ApiKey):
    """A new API key, and the key itself."""

    key: str | None = Field(
        default=None,
        description="`cal_live_…`, shown this once and kept nowhere. Null when the request repeats an earlier one with "
        "its Idempotency-Key: if that answer was lost, revoke this key and make another.",
        json_schema_extra={"format": "password"},
    )


class OwnKey(Message):
    """The key of this request."""

    id: Token = Field(description="Names the key; opens nothing.")
    name: str = Field(description="Its label.")
    scopes: tuple[str, ...] = Field(description="What it may do.")
    expires_at: Moment | None = Field(default=None, description="It is refused from then on; null: never.")


class Me(Message):
    """Who is asking."""

    organization: Organization = Field(description="For whom the key speaks.")
    key: OwnKey = Field(description="The key that this request was made with.")


async def _create(asked: Asked) -> web.StreamResponse:
    key = api_keys.generate()
    payload = CreateApiKey(
        spec=await asked.body(),
        key_sha256=api_keys.digest(key),
        last4=key[-4:],
        by_key=asked.principal.key_id,
    )
    stored = await asked.commands.call(
        Command.API_KEYS_CREATE,
        payload,
        reply_type=StoredApiKey,
        organization=asked.organization,
        command_id=asked.command_id,
    )
    is_ours = stored.key_sha256 == payload.key_sha256
    shown = CreatedApiKey(**stored.model_dump(exclude={"key_sha256"}), key=key if is_ours else None)
    return model_response(shown, status=201)


async def _list(asked: Asked) -> web.StreamResponse:
    page = await asked.commands.call(
        Command.API_KEYS_LIST,
        read_query(asked.request, ListApiKeys),
        reply_type=ApiKeyPage,
        organization=asked.organization,
    )
    return model_response(page)


async def _revoke(asked: Asked) -> web.StreamResponse:
    await asked.commands.call(
        Command.API_KEYS_REVOKE,
        build(RevokeApiKey, key_id=asked.part("key_id"), by_key=asked.principal.key_id),
        reply_type=ApiKey,
        organization=asked.organization,
        command_id=asked.command_id,
    )
    return web.Response(status=204)


async def _me(asked: Asked) -> web.StreamResponse:
    organization = await asked.commands.call(
        Command.ORGANIZATIONS_GET, Nothing(), reply_type=Organization, organization=asked.organization
    )
    ours = asked.principal
    key = OwnKey(id=ours.key_id, name=ours.name, scopes=ours.scopes, expires_at=ours.expires_at)
    return model_response(Me(organization=organization, key=key))


ROUTES = (
    Route("GET", "/api/v1/me", _me, "getMe", "Show whose key this is and what it may do", None, Me),
    Route("POST", _KEYS, _create, "createApiKey", "Make an API key; it is shown once", Scope.API_KEYS_WRITE,
          CreatedApiKey, 201, body=ApiKeySpec),
    Route("GET", _KEYS, _list, "listApiKeys", "List API keys, newest first; also expired and revoked ones",
          Scope.API_KEYS_READ, ApiKeyPage, query=ListApiKeys),
    Route("DELETE", _KEYS + "/{key_id}", _revoke, "revokeApiKey",
          "Revoke an API key: within a second it is refused everywhere, for ever. A key may always revoke itself",
          Scope.API_KEYS_WRITE, None, 204, own_key=True),
)  # fmt: skip
