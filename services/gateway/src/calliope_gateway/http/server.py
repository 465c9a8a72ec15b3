"""The HTTP application: routes, authentication, limits, errors; knows no bus."""

import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from calliope import asyncapi
from calliope.contracts.errors import ErrorCode
from calliope.errors import CommandError
from calliope.rate import RateLimit
from calliope.sealed_documents import DocumentSealer
from calliope.settings import Environment
from calliope_gateway.http import api_keys, assistants, calls, docs, openapi
from calliope_gateway.http.admission import admission, client_of
from calliope_gateway.http.errors import Handler, problems
from calliope_gateway.http.reading import read_bearer
from calliope_gateway.http.routes import Asked, Route
from calliope_gateway.http.telephony import CarrierHooks
from calliope_gateway.identity import Keys, check_scope
from calliope_gateway.ports import Commands
from calliope_gateway.settings import GatewaySettings

VERSION: Final = "0.1.0"
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
ROUTES: Final[Sequence[Route]] = (*assistants.ROUTES, *calls.ROUTES, *api_keys.ROUTES)


def build_keys(settings: GatewaySettings, commands: Commands) -> Keys:
    """Who is asking, with the limits of the settings."""
    limits = settings.limits
    strangers = RateLimit(rate_per_s=limits.unknown_keys_per_s, burst=limits.unknown_keys_burst)
    return Keys(commands, believe_s=settings.key_cache_s, timeout_s=settings.command_timeout_s, strangers=strangers)


def build_http(
    settings: GatewaySettings,
    commands: Commands,
    *,
    keys: Keys | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> web.Application:
    """The public HTTP surface. `keys` is who hears of revocations; while `stopping`, answers end their connections."""
    app = web.Application(
        client_max_size=settings.limits.body_bytes,
        middlewares=[_leaving(stopping), problems, admission(settings.limits)],
    )
    keys = keys or build_keys(settings, commands)
    limits = settings.limits
    rate = RateLimit(rate_per_s=limits.requests_per_s, burst=limits.burst)
    sealer = DocumentSealer.of(settings.sealing)
    for route in ROUTES:
        handle = _authenticated(route, commands, settings, keys, rate, sealer)
        app.router.add_route(route.method, route.path, handle)
    hooks = CarrierHooks(commands, settings)
    app.router.add_routes(hooks.routes())
    app.cleanup_ctx.append(hooks.keeping)
    app.router.add_routes(docs.routes(*_documents(_local_bus(settings))))
    app.on_response_prepare.append(_guard)
    return app


@cache
def _documents(local_bus: str | None) -> tuple[bytes, bytes]:
    """OpenAPI and AsyncAPI, as they are served."""
    bus = asyncapi.build(version=VERSION, local_bus=local_bus)
    return orjson.dumps(openapi.build(ROUTES, version=VERSION)), orjson.dumps(bus)


def _local_bus(settings: GatewaySettings) -> str | None:
    """Host and port of the local stack's bus, to be named to developers; an installation keeps its own to itself."""
    if settings.environment is not Environment.LOCAL:
        return None
    first = urlsplit(settings.nats.url.partition(",")[0].strip())
    return first.netloc.rpartition("@")[2] or None


async def _guard(_request: web.Request, response: web.StreamResponse) -> None:
    """What every answer carries, unless its handler said otherwise: browsers must neither guess, frame nor keep it."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "calliope"  # else the library names itself and its version


def _authenticated(
    route: Route, commands: Commands, settings: GatewaySettings, keys: Keys, rate: RateLimit, sealer: DocumentSealer
) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        now = time.monotonic()
        principal = await keys.principal(read_bearer(request), client=client_of(request), now=now)
        if route.scope is not None and not (route.own_key and request.match_info.get("key_id") == principal.key_id):
            check_scope(principal, route.scope)
        if wait_s := rate.wait_s(principal.key_id, now):
            raise CommandError(ErrorCode.RATE_LIMITED, "too many requests for this key", retry_after_s=max(wait_s, 1.0))
        return await route.handler(Asked(request, principal, commands, settings, sealer))

    return handle


def _leaving(stopping: Callable[[], bool]) -> "web.Middleware":  # type: ignore[name-defined]
    """Asks clients not to keep a connection to a process that ends soon."""

    @web.middleware
    async def leaving(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if stopping() and not response.prepared:
            response.force_close()
        return response

    return leaving
