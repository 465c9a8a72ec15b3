"""`/openapi.json`, `/asyncapi.json`, and `/docs`: a page that needs no network, drawn from OpenAPI by its script."""

from importlib.resources import files
from typing import Any, Final

import orjson
from aiohttp import web

from calliope_gateway.http.errors import Handler

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"


def routes(openapi: dict[str, Any], asyncapi: dict[str, Any]) -> list[web.RouteDef]:
    """The documents of the HTTP API and of the bus, and the page."""
    page = files(__package__).joinpath("docs.html").read_text(encoding="utf-8")

    async def docs(_: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": _POLICY})

    return [
        web.get("/openapi.json", _shown(openapi)),
        web.get("/asyncapi.json", _shown(asyncapi)),
        web.get("/docs", docs),
    ]


def _shown(document: dict[str, Any]) -> Handler:
    body = orjson.dumps(document)

    async def show(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    return show
