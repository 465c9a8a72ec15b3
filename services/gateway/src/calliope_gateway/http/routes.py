"""What a route is: one line of data from which both the served path and its OpenAPI entry are made."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel

from calliope.contracts.identity import Principal, Scope
from calliope.sealed_documents import DigestKey, DocumentSealer
from calliope_gateway.http.reading import read_bearer, read_idempotency_key, read_object
from calliope_gateway.ports import Commands
from calliope_gateway.settings import GatewaySettings


@dataclass(frozen=True, slots=True)
class Asked:
    """An authenticated request and what its handler may use."""

    request: web.Request
    principal: Principal
    commands: Commands
    settings: GatewaySettings
    sealer: DocumentSealer

    async def body(self) -> dict[str, Any]:
        """The JSON object that was sent."""
        limits = self.settings.limits
        return await read_object(self.request, limit=limits.body_bytes, timeout_s=limits.body_timeout_s)

    def part(self, name: str) -> str:
        """A part of the path."""
        return self.request.match_info[name]

    @property
    def organization(self) -> str:
        """Whose data this request may see."""
        return self.principal.organization_id

    @property
    def digest_key(self) -> DigestKey:
        """Under what digests of secrets are made: the request's API key, of which only a hash leaves the gateway."""
        return DigestKey(self.principal.key_id, read_bearer(self.request).encode())

    @property
    def command_id(self) -> str | None:
        """The client's idempotency key."""
        return read_idempotency_key(self.request)


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the public API."""

    method: str
    path: str
    handler: Callable[[Asked], Awaitable[web.StreamResponse]]
    operation_id: str
    summary: str
    scope: Scope | None  # None: any key that is valid
    response: type[BaseModel] | None
    status: int = 200
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    merge_patch: bool = False
    guarded: bool = False  # takes If-Match
    own_key: bool = False  # whatever its scopes, a key may do this to itself: it is the path's `key_id`


def json_response(document: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """JSON that no cache keeps."""
    return web.Response(
        body=orjson.dumps(document),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def model_response(model: BaseModel, *, status: int = 200) -> web.Response:
    """A contract as JSON."""
    return json_response(model.model_dump(mode="json"), status=status)
