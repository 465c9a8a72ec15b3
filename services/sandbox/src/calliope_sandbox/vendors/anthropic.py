"""Twin of Anthropic's messages API."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from calliope_sandbox.answers import Answer, CallTool, Fail
from calliope_sandbox.conversations import Conversation, from_messages_body
from calliope_sandbox.endpoints import ASK, QUESTION, Endpoint, serve
from calliope_sandbox.json_http import as_json
from calliope_sandbox.knobs import LlmKnobs
from calliope_sandbox.vendors.anthropic_checks import (
    RETIRED,
    key_of,
    no_such_model,
    refuse_body,
    refuse_key,
    refuse_options,
    refuse_version,
)
from calliope_sandbox.vendors.anthropic_wire import VARIANTS, Stream, failed_body, whole
from calliope_sandbox.vendors.host import Host
from calliope_sandbox.vendors.model_twin import ModelTwin, Wire, described, error
from calliope_sandbox.vendors.replies import Limits, Refusal, Reply
from calliope_sandbox.vendors.rest import MISSING

_Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.Response]]
_DEPRECATED = "claude-3"
_MODELS = ("claude-haiku-5-5", "claude-sonnet-5-5", "claude-haiku-4-5")


@dataclass(frozen=True, slots=True)
class Messages:
    """See `Dialect`."""

    vendor: str = "anthropic"

    @property
    def variants(self) -> tuple[str, ...]:
        """See `Dialect`."""
        return tuple(VARIANTS)

    @property
    def options(self) -> tuple[str, ...]:
        """See `Dialect`."""
        return ("temperature", "top_p", "stop_sequences", "thinking")

    def key(self, request: web.Request) -> str:
        """See `Dialect`."""
        return key_of(request.headers)

    def refuse(self, request: web.Request, body: Any, knobs: LlmKnobs) -> Refusal | None:
        """See `Dialect`."""
        refusal = refuse_key(request.headers, knobs.rejected_keys)
        refusal = refusal or refuse_options(body, knobs.refused_options)
        return refusal or refuse_body(body, request.headers.get("anthropic-version"))

    def conversation(self, request: web.Request, body: _Json) -> Conversation:
        """See `Dialect`."""
        call = request.headers.get("X-Call-Id") or (body.get("metadata") or {}).get("user_id") or ""
        return from_messages_body(body, key=self.key(request), call=call)

    def limits(self, body: _Json) -> Limits:
        """See `Dialect`."""
        return Limits(tuple(body.get("stop_sequences") or ()), body["max_tokens"])

    def fit(self, body: _Json, answer: Answer) -> Answer:
        """See `Dialect`. A forced tool is called with what the script says."""
        choice = body.get("tool_choice") or {}
        if choice.get("type") != "tool" or answer.tool_calls or answer.fail is not None or not answer.say:
            return answer
        return replace(answer, say="", tool_calls=(CallTool(choice["name"], answer.say),))

    def streams(self, request: web.Request, body: _Json) -> bool:
        """See `Dialect`."""
        return bool(body.get("stream"))

    def wire(self, body: _Json, reply: Reply, variants: frozenset[str]) -> Wire:
        """See `Dialect`."""
        return Stream(reply, variants)

    def whole(self, request: web.Request, reply: Reply) -> bytes:
        """See `Dialect`."""
        return whole(reply)

    def failure(self, fail: Fail) -> Refusal:
        """See `Dialect`."""
        headers = {} if fail.retry_after_s is None else {"retry-after": f"{fail.retry_after_s:g}"}
        return Refusal(fail.status, failed_body(fail), headers)

    def headers(self, knobs: LlmKnobs) -> dict[str, str]:
        """See `Dialect`."""
        headers = {"request-id": f"req_{uuid.uuid4().hex}"}
        if knobs.rate_limit_headers:
            reset = (datetime.now(UTC) + timedelta(seconds=1)).isoformat(timespec="seconds").replace("+00:00", "Z")
            for what, limit in (("requests", 4_000), ("input-tokens", 400_000), ("output-tokens", 80_000)):
                headers |= {
                    f"anthropic-ratelimit-{what}-limit": str(limit),
                    f"anthropic-ratelimit-{what}-remaining": str(limit - 1),
                    f"anthropic-ratelimit-{what}-reset": reset,
                }
        return headers


def mount(app: web.Application, host: Host) -> None:
    """Serve the API under /anthropic."""
    app.router.add_post("/anthropic/v1/messages", ModelTwin(Messages(), host).answer)
    asked = {"model": "claude-haiku-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": QUESTION}]}
    headers = {"x-api-key": "any-key", "anthropic-version": "2023-06-01"}
    serve(app, Endpoint(ASK, "POST", "/anthropic/v1/messages", "anthropic", headers=headers, body=asked))
    app.router.add_get("/anthropic/v1/models", _described(host, lambda _: as_json(_listing())))
    app.router.add_get("/anthropic/v1/models/{model}", _described(host, _one))


def _described(host: Host, tell: Callable[[web.Request], web.Response]) -> Handler:
    """What is told of models, to those who have a key."""

    def refuse(request: web.Request) -> Refusal | None:
        refusal = refuse_key(request.headers, host.knobs.anthropic.rejected_keys)
        return refusal or refuse_version(request.headers.get("anthropic-version"))

    return described(host, Messages(), refuse, tell)


def _listing() -> _Json:
    models = [_model(name) for name in _MODELS]
    return {"data": models, "has_more": False, "first_id": _MODELS[0], "last_id": _MODELS[-1]}


def _one(request: web.Request) -> web.Response:
    name = request.match_info["model"]
    return error(no_such_model(name), {}) if name.startswith(MISSING) else as_json(_model(name))


def _model(name: str) -> _Json:
    """The catalogue keeps what is not served any more."""
    lifecycle = "retired" if name.startswith(RETIRED) else "deprecated" if name.startswith(_DEPRECATED) else "active"
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": lifecycle,
        "deprecated_at": None if lifecycle == "active" else "2026-06-01T00:00:00Z",
    }
