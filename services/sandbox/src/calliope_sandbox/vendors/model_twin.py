"""What the twins of language models share: scripted answers, streamed word by word at a set pace, under faults."""

import asyncio
import gzip
import json
import random as chance
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Protocol

import orjson
from aiohttp import web

from calliope_sandbox.answers import Answer, Fail
from calliope_sandbox.conversations import Conversation
from calliope_sandbox.json_http import as_json
from calliope_sandbox.knobs import LlmKnobs
from calliope_sandbox.sloppiness import Request as Misbehaving
from calliope_sandbox.sloppiness import is_owed, misbehaviours
from calliope_sandbox.vendors.host import DroppedError, Host, Trouble, TroubledStream, refused, reset
from calliope_sandbox.vendors.replies import Limits, Refusal, Reply, reply_to
from calliope_sandbox.vendors.rest import answered

_Json = dict[str, Any]
_MAX_KEPT = 65_536  # bytes of a request body kept in its record; of a longer one the beginning
_STALL_S = 3_600.0  # a stalled stream stays open until its client gives up


class Wire(Protocol):
    """One reply as its vendor streams it."""

    def opening(self) -> bytes:
        """Everything before the first token."""

    def token(self, piece: str) -> bytes:
        """One piece of the text."""

    def calls(self) -> Iterator[bytes]:
        """The tool calls, in one write or more."""

    def closing(self) -> bytes:
        """Everything behind the last token and call."""

    def failed(self, fail: Fail) -> bytes:
        """An error inside the open stream."""


class Dialect(Protocol):
    """How one vendor is asked, and how it answers."""

    @property
    def vendor(self) -> str:
        """Its name in knobs, faults and records."""

    @property
    def variants(self) -> tuple[str, ...]:
        """The ways in which servers that speak it write a stream."""

    @property
    def options(self) -> tuple[str, ...]:
        """Parameters that servers which speak it are known to refuse by name."""

    def key(self, request: web.Request) -> str:
        """The API key, or nothing."""

    def refuse(self, request: web.Request, body: Any, knobs: LlmKnobs) -> Refusal | None:
        """What the vendor does not take."""

    def conversation(self, request: web.Request, body: _Json) -> Conversation:
        """What is asked."""

    def limits(self, body: _Json) -> Limits:
        """Where the answer has to end."""

    def fit(self, body: _Json, answer: Answer) -> Answer:
        """The answer in the form that the request demands."""

    def streams(self, request: web.Request, body: _Json) -> bool:
        """Whether the answer is streamed."""

    def wire(self, body: _Json, reply: Reply, variants: frozenset[str]) -> Wire:
        """The reply as a stream."""

    def whole(self, request: web.Request, reply: Reply) -> bytes:
        """The reply in one piece."""

    def failure(self, fail: Fail) -> Refusal:
        """A scripted failure as the vendor's HTTP error."""

    def headers(self, knobs: LlmKnobs) -> dict[str, str]:
        """What stands on every answer."""


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
    jitter_ms = chance.uniform(0, knobs.first_token_jitter_ms)  # noqa: S311 - a pace, not a secret
    per_token_ms = knobs.per_token_ms if answer.per_token_ms is None else answer.per_token_ms
    return Pace(received_at_s + (first_ms + jitter_ms + answer.wait_ms) / 1_000, per_token_ms / 1_000)


class ModelTwin:
    """One mount of a model API."""

    def __init__(self, dialect: Dialect, host: Host) -> None:
        self._dialect = dialect
        self._host = host

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request. A connection that a fault reset needs no answer any more."""
        try:
            return await self._answer(request)
        except DroppedError:
            return web.Response(status=500)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        received_at_s, dialect = time.monotonic(), self._dialect
        knobs: LlmKnobs = getattr(self._host.knobs, dialect.vendor)
        headers, body = dialect.headers(knobs), _parsed(await request.read())
        if (refusal := dialect.refuse(request, body, knobs)) is not None:
            return error(refusal, headers)
        talk = dialect.conversation(request, body)
        random = self._host.sloppiness.draw(dialect.vendor, talk.key)
        entry = self._entry(talk, body, dialect.streams(request, body), received_at_s)
        trouble = await refused(self._host, dialect.vendor, request, call=talk.call, key=talk.key)
        if trouble is not None and trouble.action in ("refuse", "error"):
            entry["status"] = trouble.status
            fail = Fail(trouble.status, trouble.code or None, trouble.reason)
            return error(dialect.failure(fail), headers | dict(trouble.headers))
        answer = dialect.fit(body, self._answer_to(talk))
        if random is not None:
            chosen = self._misbehave(request, body, talk, answer, random, entry)
            if isinstance(chosen, Refusal):
                return error(chosen, headers)
            answer = chosen
        reply = reply_to(talk, answer, dialect.limits(body))
        entry |= {"said": "".join(reply.pieces), "tools": [call.name for call in reply.answer.tool_calls]}
        when = pace(answer, knobs, received_at_s)
        if answer.fail is not None and answer.fail.after_tokens is None:
            await _until(when.first_at_s)
            entry["status"] = answer.fail.status
            refusal = dialect.failure(answer.fail)
            refusal = refusal if answer.fail.shape is None else replace(refusal, body=answer.fail.body())
            return error(refusal, headers, packed=answer.fail.packed)
        if dialect.streams(request, body):
            return await self._stream(request, body, reply, when, knobs, entry)
        await _until(when.of(len(reply.pieces)))
        if answer.drop_after is not None:
            reset(request)
            raise DroppedError
        entry |= {"first_token_at_s": time.monotonic(), "last_token_at_s": time.monotonic(), "status": 200}
        return web.Response(body=dialect.whole(request, reply), content_type="application/json", headers=headers)

    def _answer_to(self, talk: Conversation) -> Answer:
        """What a script says, unless the model was told that its last call could not be run, and owes it again."""
        if owed := self._host.sloppiness.owed(talk):
            return Answer(tool_calls=owed)
        return self._host.scripts.answer(talk)

    def _misbehave(
        self, request: web.Request, body: _Json, talk: Conversation, answer: Answer, random: Random, entry: _Json
    ) -> Answer | Refusal:
        """The answer as a sloppy vendor gives it."""
        dialect, sloppiness = self._dialect, self._host.sloppiness
        knobs: LlmKnobs = getattr(self._host.knobs, dialect.vendor)
        variants = dialect.variants if dialect.streams(request, body) else ()
        asked = Misbehaving(dialect.vendor, talk, answer, variants)
        ways = misbehaviours(asked)
        refusals = (dialect.refuse(request, body, replace(knobs, refused_options=(name,))) for name in dialect.options)
        options = [refusal for refusal in refusals if refusal is not None]
        kind = sloppiness.wanted([*ways, *(["refused_option"] if options else [])], random)
        if kind is None:
            return answer
        entry["sloppy"] = kind
        if kind == "refused_option":
            entry["status"] = options[0].status
            return random.choice(options)
        if is_owed(kind):
            sloppiness.owe(talk, answer.tool_calls)
        return ways[kind](asked, random)

    async def _stream(
        self, request: web.Request, body: _Json, reply: Reply, when: Pace, knobs: LlmKnobs, entry: _Json
    ) -> web.StreamResponse:
        dialect, variants = self._dialect, frozenset(knobs.variants) | reply.answer.variants
        wire = dialect.wire(body, reply, variants)
        headers = dialect.headers(knobs) | {"Content-Type": "text/event-stream; charset=utf-8"}
        response = web.StreamResponse(headers=headers)
        trouble = wire.failed(Fail(message="The server had an error while processing your request."))
        out = TroubledStream(response, request, self._host, dialect.vendor, entry["key"], trouble, call=entry["call"])
        await response.prepare(request)
        entry["status"] = 200
        try:
            async for data in _written(wire, reply, when, entry):
                if "half_characters" in variants:
                    data = _halved(data)
                for piece in _pieces(data, split="split_utf8" in variants):
                    await out.write(piece)
            if reply.answer.drop_after is not None:
                reset(request)
                raise DroppedError
            await response.write_eof()
        except ConnectionResetError:
            entry["aborted"] = True  # the client left, as it does after a barge-in, or a fault did it
        except asyncio.CancelledError:
            entry["aborted"] = True  # the same, where the server cancels handlers whose client left
            raise
        return response

    def _entry(self, talk: Conversation, body: _Json, streams: bool, received_at_s: float) -> _Json:
        raw = orjson.dumps(body)
        entry: _Json = {
            "vendor": self._dialect.vendor,
            "call": talk.call,
            "key": talk.key,
            "model": talk.model,
            "user_text": talk.last_user_text,
            "stream": streams,
            "received_at_s": received_at_s,
            "request": body if len(raw) <= _MAX_KEPT else raw[:_MAX_KEPT].decode(errors="replace"),
        }
        self._host.record("llm", entry)
        return entry


def described(
    host: Host,
    dialect: Dialect,
    refuse: Callable[[web.Request], Refusal | None],
    tell: Callable[[web.Request], web.Response],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler of what is told of models, to those whom `refuse` lets in."""

    async def describe(request: web.Request) -> web.Response:
        if (refusal := refuse(request)) is not None:
            return error(refusal, {})

        def failed(trouble: Trouble) -> web.Response:
            return error(dialect.failure(Fail(trouble.status, trouble.code or None, trouble.reason)), {})

        key = dialect.key(request)
        return await answered(request, host, dialect.vendor, key=key, failed=failed, answer=lambda: tell(request))

    return describe


def error(refusal: Refusal, headers: dict[str, str], *, packed: bool = False) -> web.Response:
    """An HTTP error, packed with gzip if it is to be."""
    response = as_json(refusal.body, refusal.status, headers | refusal.headers)
    if packed and isinstance(response.body, bytes):
        response.body = gzip.compress(response.body)
        response.headers["Content-Encoding"] = "gzip"
    return response


async def _written(wire: Wire, reply: Reply, when: Pace, entry: _Json) -> AsyncIterator[bytes]:
    """The bytes of an answer, each when it is due; those due together come together."""
    answer = reply.answer
    await _until(when.first_at_s)
    entry["first_token_at_s"] = time.monotonic()
    pending = wire.opening()
    for number, piece in enumerate(reply.pieces):
        due_at_s = when.of(number)
        if due_at_s > time.monotonic():
            if pending:
                yield pending
            pending = b""
            await _until(due_at_s)
        if answer.stall_after is not None and number >= answer.stall_after:
            break
        if answer.drop_after is not None and number >= answer.drop_after:
            break
        if answer.fail is not None and number >= (answer.fail.after_tokens or 0):
            break
        pending += wire.token(piece)
        entry["last_token_at_s"] = time.monotonic()
    if pending:
        yield pending
    if answer.stall_after is not None:
        await asyncio.sleep(_STALL_S)
    if answer.drop_after is not None:
        return
    if answer.fail is not None:
        yield wire.failed(answer.fail)
        return
    for data in wire.calls():
        yield data
        entry["last_token_at_s"] = time.monotonic()
    yield wire.closing()
    entry["finished_at_s"] = time.monotonic()


def _pieces(data: bytes, *, split: bool) -> list[bytes]:
    """One write, or several that cut lines and characters."""
    return [data[at : at + 7] for at in range(0, len(data), 7)] if split else [data]


def _halved(data: bytes) -> bytes:
    """The events of a write, those with a picture in two, half of it in each."""
    lines = []
    for line in data.split(b"\n"):
        text = line.decode()
        at = next((number for number, char in enumerate(text) if ord(char) > 0xFFFF), None)
        if at is None:
            lines.append(line)
            continue
        high, low = json.dumps(text[at]).strip('"')[:6], json.dumps(text[at]).strip('"')[6:]
        before, behind = text[:at], text[at + 1 :]
        quote = before.rindex('"')
        halves = (before + high + behind[behind.index('"') :], before[: quote + 1] + low + behind)
        lines.append("\n\n".join(halves).encode())
    return b"\n".join(lines)


async def _until(at_s: float) -> None:
    wait_s = at_s - time.monotonic()
    if wait_s > 0:
        await asyncio.sleep(wait_s)


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
