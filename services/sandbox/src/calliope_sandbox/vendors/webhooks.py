"""A webhook receiver: verifies Standard Webhooks signatures, records every attempt, answers as it is told to."""

import asyncio
import binascii
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook, WebhookVerificationError

from calliope_sandbox.endpoints import Endpoint, serve
from calliope_sandbox.json_http import as_json
from calliope_sandbox.vendors.host import Host

MAX_ATTEMPTS = 20_000
"""Attempts kept per hook; the oldest go first."""
MAX_HOOKS = 1_000
EXAMPLE_SECRET = "whsec_" + binascii.b2a_base64(b"an example, 24 bytes long", newline=False).decode()
LONGEST_WAIT_S = 60.0
_DRIP_BYTES = 64


class HookError(ValueError):
    """A programme for a hook that cannot be understood."""


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """How one attempt is answered. `drop` resets the connection; `drip_ms` sends a byte of the body at a time."""

    status: int = 200
    delay_ms: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = ""
    drop: bool = False
    drip_ms: float = 0.0
    redirect_to: str | None = None
    big_body: int = 0

    def bytes_of_body(self) -> bytes:
        """The body as sent."""
        if self.big_body:
            return b"x" * self.big_body
        return self.body.encode() if isinstance(self.body, str) else orjson.dumps(self.body)

    def headers_of_answer(self) -> dict[str, str]:
        """The headers as sent."""
        location = {"Location": self.redirect_to} if self.redirect_to else {}
        return {"Content-Type": "text/plain; charset=utf-8", **self.headers, **location}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery as it came in. `at` is Unix time, `at_monotonic_s` this machine's monotonic clock."""

    number: int
    at: float
    at_monotonic_s: float
    webhook_id: str | None
    attempt: int
    verified: bool
    why: str
    status: int
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class Hook:
    """One receiver. The first `fail_times` attempts, and the first `fail_times_each` of each id, get `failure`."""

    name: str
    secrets: tuple[str, ...] = ()
    answer: HookAnswer = field(default_factory=HookAnswer)
    failure: HookAnswer = field(default_factory=lambda: HookAnswer(status=500))
    fail_times: int = 0
    fail_times_each: int = 0
    attempts: deque[Attempt] = field(default_factory=lambda: deque(maxlen=MAX_ATTEMPTS))
    seen: Counter[str | None] = field(default_factory=Counter)
    total: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def programme(self, document: Mapping[str, Any]) -> None:
        """Take secrets and answers; what is not named stays. Raises: HookError."""
        known = {"secret", "secrets", "answer", "failure", "fail_times", "fail_times_each"}
        if unknown := sorted(set(document) - known):
            raise HookError(f"unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        if "secret" in document or "secrets" in document:
            secrets = tuple(document.get("secrets") or ()) + ((document["secret"],) if document.get("secret") else ())
            for secret in secrets:
                _signer(secret)
            self.secrets = secrets
        if "answer" in document:
            self.answer = _answer(document["answer"], "answer", 200)
        if "failure" in document:
            self.failure = _answer(document["failure"], "failure", 500)
        self.fail_times = self.total + int(document["fail_times"]) if "fail_times" in document else self.fail_times
        self.fail_times_each = int(document.get("fail_times_each", self.fail_times_each))

    def receive(self, headers: Mapping[str, str], raw: bytes) -> HookAnswer:
        """Record one attempt and decide its answer."""
        webhook_id = headers.get("webhook-id")
        failing = self.total < self.fail_times or self.seen[webhook_id] < self.fail_times_each
        answer = self.failure if failing else self.answer
        self.total += 1
        self.seen[webhook_id] += 1
        verified, why = verify(self.secrets, headers, raw)
        self.attempts.append(
            Attempt(
                number=self.total,
                at=time.time(),
                at_monotonic_s=time.monotonic(),
                webhook_id=webhook_id,
                attempt=self.seen[webhook_id],
                verified=verified,
                why=why,
                status=0 if answer.drop else answer.status,
                headers=dict(headers),
                body=_parsed(raw),
            )
        )
        return answer

    def listing(self, *, since: int = 0, limit: int = 1_000) -> dict[str, Any]:
        """What arrived after attempt number `since`."""
        return {
            "name": self.name,
            "count": self.total,
            "distinct_ids": len(self.seen),
            "unverified": sum(not attempt.verified for attempt in self.attempts),
            "attempts": [attempt for attempt in self.attempts if attempt.number > since][:limit],
        }


def verify(secrets: Sequence[str], headers: Mapping[str, str], raw: bytes) -> tuple[bool, str]:
    """Whether one of the secrets signed this body, and why not."""
    if not secrets:
        return False, "no secret registered"
    why = ""
    for secret in secrets:
        try:
            _signer(secret).verify(raw, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError) as exc:
            why = str(exc) or type(exc).__name__
        else:
            return True, ""
    return False, why


def _signer(secret: Any) -> Webhook:
    try:
        return Webhook(str(secret))
    except (EmptyWebhookSecretError, binascii.Error) as exc:
        raise HookError(f"not a secret: {exc}") from exc


def _answer(raw: Any, where: str, status: int) -> HookAnswer:
    try:
        return HookAnswer(**{"status": 302 if raw.get("redirect_to") else status, **raw})
    except (TypeError, AttributeError) as exc:
        raise HookError(f"{where}: {exc}") from exc


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw.decode(errors="replace")


class Hooks:
    """All receivers of one sandbox by name; an unknown name is a receiver without a secret that says 200."""

    def __init__(self) -> None:
        self._hooks: dict[str, Hook] = {}

    def named(self, name: str) -> Hook:
        """The receiver of this name, made when it is new."""
        if name not in self._hooks and len(self._hooks) >= MAX_HOOKS:
            self._hooks.pop(next(iter(self._hooks)))
        return self._hooks.setdefault(name, Hook(name))

    def forget(self, name: str | None = None) -> None:
        """Forget one receiver, or all of them."""
        if name is None:
            self._hooks.clear()
        else:
            self._hooks.pop(name, None)

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """POST /hooks/{name}: one delivery."""
        hook = self.named(request.match_info["name"])
        raw = await request.read()
        async with hook.changed:
            answer = hook.receive({key.lower(): value for key, value in request.headers.items()}, raw)
            hook.changed.notify_all()
        await asyncio.sleep(answer.delay_ms / 1_000)
        if answer.drop:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        body, headers = answer.bytes_of_body(), answer.headers_of_answer()
        if not answer.drip_ms:
            return web.Response(status=answer.status, headers=headers, body=body)
        return await _drip(request, web.StreamResponse(status=answer.status, headers=headers), body, answer.drip_ms)

    async def put(self, request: web.Request) -> web.Response:
        """PUT /sandbox/hooks/{name}: secrets and answers."""
        hook = self.named(request.match_info["name"])
        try:
            document = orjson.loads(await request.read() or b"{}")
            if not isinstance(document, dict):
                raise HookError("an object is needed")
            hook.programme(document)
        except ValueError as exc:
            return as_json({"error": str(exc)}, 400)
        return as_json({"name": hook.name, "url": f"{request.url.origin()}/hooks/{hook.name}"})

    async def get(self, request: web.Request) -> web.Response:
        """GET /sandbox/hooks/{name}?since=&limit=&wait_for=&timeout_s=: what arrived, once enough did."""
        hook = self.named(request.match_info["name"])
        wanted = int(request.query.get("wait_for", 0))
        patience_s = min(float(request.query.get("timeout_s", 10)), LONGEST_WAIT_S)
        try:
            async with asyncio.timeout(patience_s), hook.changed:
                await hook.changed.wait_for(lambda: hook.total >= wanted)
        except TimeoutError:
            pass  # the listing says how many came
        query = request.query
        return as_json(hook.listing(since=int(query.get("since", 0)), limit=int(query.get("limit", 1_000))))

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /sandbox/hooks/{name}: forget the receiver and what it got."""
        self.forget(request.match_info["name"])
        return as_json({})


async def _drip(request: web.Request, response: web.StreamResponse, body: bytes, every_ms: float) -> web.StreamResponse:
    await response.prepare(request)
    try:
        for at in range(0, len(body or b"." * _DRIP_BYTES), 1):
            await response.write(body[at : at + 1] or b".")
            await asyncio.sleep(every_ms / 1_000)
        await response.write_eof()
    except ConnectionResetError:
        pass  # the sender lost patience, as it should
    return response


def mount(app: web.Application, host: Host) -> None:
    """Serve receivers under /hooks, their switches under /sandbox/hooks."""
    hooks = Hooks()
    group, mine = "Webhook receivers", {"name": "mine"}
    serve(
        app,
        Endpoint(group, "PUT", "/sandbox/hooks/{name}",
                 "The secret to verify with, and how to answer; `fail_times` with `failure` lets the first ones fail.",
                 hooks.put, at=mine, body={"secrets": [EXAMPLE_SECRET], "answer": {"status": 200, "delay_ms": 50}}),
        Endpoint(group, "POST", "/hooks/{name}", "The receiver itself: the webhook_url of an assistant.",
                 hooks.receive, at=mine, body={"type": "a test"}),
        Endpoint(group, "GET", "/sandbox/hooks/{name}", "What arrived, and whether it was signed.", hooks.get,
                 at=mine, query="?wait_for=1&timeout_s=5"),
        Endpoint(group, "DELETE", "/sandbox/hooks/{name}", "Forget the receiver and what it got.", hooks.delete,
                 at=mine),
    )  # fmt: skip
