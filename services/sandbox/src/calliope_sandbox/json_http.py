"""JSON over HTTP, as every twin and switch of the sandbox reads and writes it."""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web


async def json_object(request: web.Request) -> dict[str, Any]:
    """The object in the body. Raises: HTTPBadRequest."""
    try:
        document = orjson.loads(await request.read())
    except orjson.JSONDecodeError as exc:
        raise web.HTTPBadRequest(text=f"the body is not JSON: {exc}") from exc
    if not isinstance(document, dict):
        raise web.HTTPBadRequest(text="the body must be a JSON object")
    return document


def as_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """The answer; numbers of numpy and collections of any kind may be inside."""
    body = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY, default=list)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")
