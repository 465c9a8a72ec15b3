"""The door of Deepgram's sockets: key, query and armed trouble before the upgrade, then a session with its record."""

import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np
from aiohttp import web
from multidict import MultiMapping

from calliope_sandbox.tone_speech import RATE_HZ, Listener, encode
from calliope_sandbox.vendors.deepgram_auth import key_of, refusal
from calliope_sandbox.vendors.deepgram_query import BadQuery
from calliope_sandbox.vendors.host import DroppedError, Host, TroubledSocket, refused


class Query(Protocol):
    """What every query tells."""

    @property
    def call(self) -> str: ...
    @property
    def encoding(self) -> str: ...
    @property
    def sample_rate(self) -> int: ...


class Session(Protocol):
    """One open stream of either recogniser."""

    @property
    def listener(self) -> Listener:
        """Its ear."""

    async def run(self) -> None:
        """Serve the stream until one side ends it. Raises: DroppedError, ConnectionResetError, in a group."""


QueryT = TypeVar("QueryT", bound=Query)
_Json = dict[str, Any]
_MAX_INTERIMS: Final = 500


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


async def serve(
    request: web.Request,
    host: Host,
    parse: Callable[[MultiMapping[str]], QueryT],
    error: _Json,
    begin: Callable[[TroubledSocket, Admitted[QueryT], _Json], Session],
) -> web.StreamResponse:
    """One stream from the knock to its end. `error` is the vendor's message for a fault, `begin` makes the session."""
    admitted = await admit(request, host, parse)
    if isinstance(admitted, web.Response):
        return admitted
    ws = web.WebSocketResponse(max_msg_size=1024 * 1024, compress=False)
    ws.headers["dg-request-id"] = admitted.request_id
    await ws.prepare(request)
    record: _Json = {
        "request_id": admitted.request_id,
        "call": admitted.query.call,
        "query": dict(request.query),
        "finals": [],
        "interims": deque(maxlen=_MAX_INTERIMS),
    }
    host.record("deepgram", record)
    socket = TroubledSocket(ws, request, host, "deepgram", admitted.key, error, call=admitted.query.call)
    session = begin(socket, admitted, record)
    try:
        await session.run()
    except* (ConnectionResetError, DroppedError):
        record["dropped"] = True
    record["audio_ms"] = session.listener.position_ms
    return ws


def as_mulaw(audio: bytes, query: Query) -> bytes:
    """The client's audio as the twin's ear takes it."""
    if query.encoding == "mulaw":
        return audio
    samples = np.frombuffer(audio[: len(audio) // 2 * 2], "<i2")[:: query.sample_rate // RATE_HZ]
    return encode(samples.astype(np.float64))
