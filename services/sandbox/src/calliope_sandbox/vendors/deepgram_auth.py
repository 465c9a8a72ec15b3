"""How Deepgram knows its clients and how it refuses: the same for what it hears and what it speaks."""

from aiohttp import web

from calliope_sandbox.json_http import as_json


def key_of(request: web.Request) -> str:
    """The key of a request; empty when there is none."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key if scheme.lower() in {"token", "bearer"} else ""


def refusal(status: int, code: str, words: str, request_id: str) -> web.Response:
    """The answer instead of an upgrade; its header repeats the reason, since websocket clients see no body."""
    body = {"err_code": code, "err_msg": words, "request_id": request_id}
    headers = {"dg-error": words, "dg-request-id": request_id}
    return as_json(body, status, headers)
