"""What stands behind a proxy in its tests: a gateway and a call-worker that tell what arrived."""

import asyncio

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer


async def gateway(request: web.Request) -> web.StreamResponse:
    """Tells what arrived."""
    if request.path == "/redirect":
        raise web.HTTPFound("/elsewhere")
    if request.path == "/feed":
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b"data: 1\n\n")
        await asyncio.Event().wait()
    return web.json_response(
        {
            "method": request.method,
            "path": request.raw_path,
            "host": request.headers["Host"],
            "signature": request.headers.getall("X-Twilio-Signature", []),
            "for": request.headers.getall("X-Forwarded-For", []),
            "body": await request.text(),
        }
    )


async def worker(request: web.Request) -> web.StreamResponse:
    """Echoes; tells first what arrived."""
    if request.path == "/media/twilio/refused":
        raise web.HTTPForbidden
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_json([request.raw_path, request.headers["Host"], request.headers["X-Twilio-Signature"]])
    async for message in socket:
        if message.data == "bye":
            await socket.close(code=1008)
        elif message.type is aiohttp.WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.send_bytes(message.data)
    closed.append(socket.close_code)
    return socket


closed: list[int | None] = []


def serving(handler: object) -> TestServer:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)  # type: ignore[arg-type]
    return TestServer(app)
