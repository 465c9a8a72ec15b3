"""Twin of chat completions at OpenAI, Groq and xAI: scripted answers, streamed word by word at a set pace."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson
from aiohttp import web

from calliope_sandbox.answers import Answer, Fail
from calliope_sandbox.conversations import Conversation, from_chat_body
from calliope_sandbox.knobs import LlmKnobs
from calliope_sandbox.vendors.host import DroppedError, Host, TroubledStream, refused
from calliope_sandbox.vendors.openai_checks import Refusal, refuse_body, refuse_key
from calliope_sandbox.vendors.openai_wire import Reply, Stream, Usage, error_body, tokens, whole

_Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MOUNTS = {"openai": "/openai/v1", "groq": "/groq/openai/v1", "xai": "/xai/v1"}
_MODELS = {
    "openai": ("gpt-4.1", "gpt-4.1-mini", "gpt-4o", "gpt-4o-mini", "gpt-6-luna", "gpt-6.1-sol"),
    "groq": ("openai/gpt-oss-120b", "openai/gpt-oss-20b"),
    "xai": ("grok-4.20-non-reasoning", "grok-4.3"),
}
_MAX_KEPT = 65_536  # bytes of a request body kept in its record; of a longer one the beginning
_STALL_S = 3_600.0  # a stalled stream stays open until its client gives up
_KINDS = {401: "invalid_request_error", 429: "requests", 404: "invalid_request_error", 400: "invalid_request_error"}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded", 404: "model_not_found"}


@dataclass(frozen=True, slots=True)
class Pace:
    """When the tokens of one answer leave, in seconds of the monotonic clock."""

    first_at_s: float
    per_token_s: float

    def of(self, number: int) -> float:
        """When token `number` (from 0) leaves."""
        return self.first_at_s + number * self.per_token_s


def pace(answer: Answer, knobs: LlmKnobs, received_at_s: float) -> Pace:
    """The pace the answer asks for, else that of the knobs."""
    first_ms = knobs.first_token_ms if answer.first_token_ms is None else answer.first_token_ms
    jitter_ms = random.uniform(0, knobs.first_token_jitter_ms)  # noqa: S311 - a pace, not a secret
    per_token_ms = knobs.per_token_ms if answer.per_token_ms is None else answer.per_token_ms
    return Pace(received_at_s + (first_ms + jitter_ms + answer.wait_ms) / 1_000, per_token_ms / 1_000)


def reply_to(body: _Json, talk: Conversation, answer: Answer) -> Reply:
    """The answer, cut by `stop` and by the token limit."""
    text = answer.say
    stops = body.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.partition(stop)[0]
    pieces = tokens(text)
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    cut = limit is not None and len(pieces) > limit
    prompt = len(talk.system) + sum(len(turn.text) for turn in talk.said)
    return Reply(
        id=f"chatcmpl-{uuid.uuid4().hex[:24]}",
        created=int(time.time()),
        model=talk.model,
        pieces=tuple(pieces[:limit] if cut else pieces),
        answer=replace(answer, tool_calls=()) if cut else answer,
        usage=Usage(prompt // 4 + 1, min(len(pieces), limit or len(pieces)) + 8 * len(answer.tool_calls)),
        cut=cut,
    )


def failure(answer: Answer, more: dict[str, str] | None = None) -> Refusal | None:
    """The HTTP error a scripted failure asks for."""
    fail = answer.fail
    if fail is None:
        return None
    code = fail.code or _CODES.get(fail.status)
    kind = fail.type or ("insufficient_quota" if code == "insufficient_quota" else None)
    body = error_body(fail.message, kind or _KINDS.get(fail.status, "server_error"), code=code)
    headers = {} if fail.retry_after_s is None else {"retry-after": f"{fail.retry_after_s:g}"}
    return Refusal(fail.status, body, headers | (more or {}))


class ChatCompletions:
    """One mount of the API."""

    def __init__(self, vendor: str, host: Host) -> None:
        self._vendor = vendor
        self._host = host

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """POST …/chat/completions."""
        received_at_s = time.monotonic()
        knobs: LlmKnobs = getattr(self._host.knobs, self._vendor)
        body = _parsed(await request.read())
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        refusal = refuse_key(request.headers.get("Authorization"), knobs.rejected_keys)
        refusal = refusal or refuse_body(body, vendor=self._vendor)
        if refusal is not None:
            return self._refuse(refusal, knobs)
        talk = from_chat_body(body, key=key, call=_call_of(request, body))
        entry = self._entry(talk, body, received_at_s)
        trouble = await refused(self._host, self._vendor, request, call=talk.call, key=key)
        if trouble is not None and trouble.action in ("refuse", "error"):
            fail = Fail(trouble.status, trouble.code or None, trouble.reason)
            entry["status"] = trouble.status
            return self._refuse(failure(Answer(fail=fail), dict(trouble.headers)), knobs)
        answer = self._host.scripts.answer(talk)
        reply = reply_to(body, talk, answer)
        entry |= {"said": "".join(reply.pieces), "tools": [call.name for call in reply.answer.tool_calls]}
        when = pace(answer, knobs, received_at_s)
        if answer.fail is not None and answer.fail.after_tokens is None:
            await _until(when.first_at_s)
            entry["status"] = answer.fail.status
            return self._refuse(failure(answer), knobs)
        if body.get("stream"):
            return await self._stream(request, body, reply, when, knobs, entry)
        await _until(when.of(len(reply.pieces)))
        entry |= {"first_token_at_s": time.monotonic(), "last_token_at_s": time.monotonic(), "status": 200}
        return web.Response(body=whole(reply), content_type="application/json", headers=_headers(knobs))

    async def models(self, request: web.Request) -> web.Response:
        """GET …/models."""
        refusal = refuse_key(
            request.headers.get("Authorization"), getattr(self._host.knobs, self._vendor).rejected_keys
        )
        if refusal is not None:
            return _error(refusal, {})
        data = [{"id": name, "object": "model", "created": 1, "owned_by": "sandbox"} for name in _MODELS[self._vendor]]
        return web.Response(body=orjson.dumps({"object": "list", "data": data}), content_type="application/json")

    async def _stream(
        self, request: web.Request, body: _Json, reply: Reply, when: Pace, knobs: LlmKnobs, entry: _Json
    ) -> web.StreamResponse:
        variants = frozenset(knobs.variants) | reply.answer.variants
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        stream = Stream(reply, include_usage=usage, variants=variants)
        response = web.StreamResponse(headers=_headers(knobs) | {"Content-Type": "text/event-stream; charset=utf-8"})
        error = stream.error(error_body("The server had an error while processing your request.", "server_error"))
        out = TroubledStream(response, request, self._host, self._vendor, entry["key"], error, call=entry["call"])
        await response.prepare(request)
        entry["status"] = 200
        try:
            async for data in _written(stream, when, entry):
                for piece in _pieces(data, split="split_utf8" in variants):
                    await out.write(piece)
            await response.write_eof()
        except ConnectionResetError:
            entry["aborted"] = True  # the client left, as it does after a barge-in, or a fault did it
        return response

    def _entry(self, talk: Conversation, body: _Json, received_at_s: float) -> _Json:
        raw = orjson.dumps(body)
        entry: _Json = {
            "vendor": self._vendor,
            "call": talk.call,
            "key": talk.key,
            "model": talk.model,
            "user_text": talk.last_user_text,
            "stream": bool(body.get("stream")),
            "received_at_s": received_at_s,
            "request": body if len(raw) <= _MAX_KEPT else raw[:_MAX_KEPT].decode(errors="replace"),
        }
        self._host.record("llm", entry)
        return entry

    def _refuse(self, refusal: Refusal | None, knobs: LlmKnobs) -> web.Response:
        if refusal is None:
            raise AssertionError("a failure without a status")
        return _error(refusal, _headers(knobs))


async def _written(stream: Stream, when: Pace, entry: _Json) -> AsyncIterator[bytes]:
    """The bytes of an answer, each when it is due; those due together come together."""
    answer, pieces = stream.reply.answer, stream.reply.pieces
    await _until(when.first_at_s)
    entry["first_token_at_s"] = time.monotonic()
    pending = stream.opening()
    for number, piece in enumerate(pieces):
        due_at_s = when.of(number)
        if due_at_s > time.monotonic():
            if pending:
                yield pending
            pending = b""
            await _until(due_at_s)
        if answer.stall_after is not None and number >= answer.stall_after:
            break
        if answer.fail is not None and number >= (answer.fail.after_tokens or 0):
            break
        pending += stream.token(piece)
        entry["last_token_at_s"] = time.monotonic()
    yield pending
    if answer.stall_after is not None:
        await asyncio.sleep(_STALL_S)
    refusal = failure(answer)
    if refusal is not None:
        yield stream.error(refusal.body)
        return
    for data in stream.calls():
        yield data
        entry["last_token_at_s"] = time.monotonic()
    yield stream.closing()
    entry["finished_at_s"] = time.monotonic()


def _pieces(data: bytes, *, split: bool) -> list[bytes]:
    """One write, or several that cut lines and characters."""
    return [data[at : at + 7] for at in range(0, len(data), 7)] if split else [data]


async def _until(at_s: float) -> None:
    wait_s = at_s - time.monotonic()
    if wait_s > 0:
        await asyncio.sleep(wait_s)


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def _call_of(request: web.Request, body: _Json) -> str:
    told = (body.get("metadata") or {}).get("call_id") or request.headers.get("X-Call-Id")
    return str(told or body.get("user") or body.get("safety_identifier") or "")


def _headers(knobs: LlmKnobs) -> dict[str, str]:
    headers = {"x-request-id": f"req_{uuid.uuid4().hex}", "openai-processing-ms": "10"}
    if knobs.rate_limit_headers:
        for what, limit in (("requests", 10_000), ("tokens", 2_000_000)):
            headers |= {
                f"x-ratelimit-limit-{what}": str(limit),
                f"x-ratelimit-remaining-{what}": str(limit - 1),
                f"x-ratelimit-reset-{what}": "6ms",
            }
    return headers


def _error(refusal: Refusal, headers: dict[str, str]) -> web.Response:
    return web.Response(
        body=orjson.dumps(refusal.body),
        status=refusal.status,
        headers=headers | refusal.headers,
        content_type="application/json",
    )


def mount(app: web.Application, host: Host) -> None:
    """Serve every vendor that speaks this API, each under its own path."""
    for vendor, prefix in MOUNTS.items():
        api = ChatCompletions(vendor, host)
        app.router.add_post(f"{prefix}/chat/completions", _surviving(api.complete))
        app.router.add_get(f"{prefix}/models", api.models)


def _surviving(handler: Handler) -> Handler:
    """A connection that a fault reset needs no answer any more."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except DroppedError:
            return web.Response(status=500)

    return handle
