"""`/openapi.json`, `/asyncapi.json`, and `/docs`: a page that needs no network, drawn from OpenAPI by its script."""

from importlib.resources import files
from typing import Final

from aiohttp import web

from calliope_gateway.http.errors import Handler

_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def routes(openapi: bytes, asyncapi: bytes) -> list[web.RouteDef]:
    """The documents of the HTTP API and of the bus, and the page."""
    page = files(__package__).joinpath("docs.html").read_text(encoding="utf-8")

    async def docs(_: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": _POLICY})

    return [
        web.get("/openapi.json", _shown(openapi)),
        web.get("/asyncapi.json", _shown(asyncapi)),
        web.get("/docs", docs),
    ]


def _shown(body: bytes) -> Handler:
    async def show(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    return show
