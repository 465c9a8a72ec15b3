"""`/openapi.json` and `/docs`: a page that needs no network, drawn from the OpenAPI document by its own script."""

from importlib.resources import files
from typing import Any, Final

import orjson
from aiohttp import web

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"


def routes(document: dict[str, Any]) -> list[web.RouteDef]:
    """The document and the page."""
    body = orjson.dumps(document)
    page = files(__package__).joinpath("docs.html").read_text(encoding="utf-8")

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    async def docs(_: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": _POLICY})

    return [web.get("/openapi.json", openapi), web.get("/docs", docs)]
