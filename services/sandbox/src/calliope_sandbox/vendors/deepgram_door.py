"""The door of Deepgram's sockets: key, query and armed trouble are looked at before the upgrade."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from aiohttp import web
from multidict import MultiMapping

from calliope_sandbox.tone_speech import RATE_HZ, encode
from calliope_sandbox.vendors.deepgram_auth import key_of, refusal
from calliope_sandbox.vendors.deepgram_query import BadQuery
from calliope_sandbox.vendors.host import DroppedError, Host, refused


class Query(Protocol):
    """What every query tells."""

    @property
    def call(self) -> str: ...
    @property
    def encoding(self) -> str: ...
    @property
    def sample_rate(self) -> int: ...


QueryT = TypeVar("QueryT", bound=Query)


@dataclass(frozen=True, slots=True)
class Admitted(Generic[QueryT]):
    """A client who may come in."""

    request_id: str
    key: str
    query: QueryT


async def admit(
    request: web.Request, host: Host, parse: Callable[[MultiMapping[str]], QueryT]
) -> Admitted[QueryT] | web.Response:
    """Who knocks, or the vendor's refusal."""
    request_id = str(uuid.uuid4())
    key = key_of(request)
    if not key or key.startswith(host.knobs.deepgram.rejected_keys):
        return refusal(401, "INVALID_AUTH", "Invalid credentials.", request_id)
    try:
        query = parse(request.query)
    except BadQuery as exc:
        return refusal(400, "Bad Request", str(exc), request_id)
    try:
        trouble = await refused(host, "deepgram", request, call=query.call, key=key)
    except DroppedError:
        return web.Response(status=500)
    if trouble is not None and trouble.action == "refuse":
        code = "TOO_MANY_REQUESTS" if trouble.status == 429 else trouble.code or "INTERNAL"
        return refusal(trouble.status, code, trouble.reason, request_id)
    return Admitted(request_id, key, query)


async def upgraded(request: web.Request, request_id: str) -> web.WebSocketResponse:
    """The open socket."""
    ws = web.WebSocketResponse(max_msg_size=1024 * 1024, compress=False)
    ws.headers["dg-request-id"] = request_id
    await ws.prepare(request)
    return ws


def as_mulaw(audio: bytes, query: Query) -> bytes:
    """The client's audio as the twin's ear takes it."""
    if query.encoding == "mulaw":
        return audio
    samples = np.frombuffer(audio[: len(audio) // 2 * 2], "<i2")[:: query.sample_rate // RATE_HZ]
    return encode(samples.astype(np.float64))
