"""Twin of chat completions at OpenAI, Groq and xAI."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from calliope_sandbox.answers import Answer, Fail
from calliope_sandbox.conversations import Conversation, from_chat_body
from calliope_sandbox.endpoints import ASK, QUESTION, Endpoint, serve
from calliope_sandbox.json_http import as_json
from calliope_sandbox.knobs import LlmKnobs
from calliope_sandbox.vendors.host import Host
from calliope_sandbox.vendors.model_twin import ModelTwin, Wire, described, error
from calliope_sandbox.vendors.openai_checks import (
    no_such_model,
    refuse_body,
    refuse_key,
    refuse_old_calls,
    refuse_options,
)
from calliope_sandbox.vendors.openai_wire import VARIANTS, Stream, failed_body, whole
from calliope_sandbox.vendors.replies import Limits, Refusal, Reply
from calliope_sandbox.vendors.rest import MISSING

_Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.Response]]
MOUNTS = {"openai": "/openai/v1", "groq": "/groq/openai/v1", "xai": "/xai/v1"}
_ENDING, _ENDS = ("gpt-4o", "gpt-4.1"), "2027-01-14"
_MODELS = {
    "openai": ("gpt-4.1", "gpt-4.1-mini", "gpt-4o", "gpt-4o-mini", "gpt-6-luna", "gpt-6.1-sol"),
    "groq": ("openai/gpt-oss-120b", "openai/gpt-oss-20b"),
    "xai": ("grok-4.20-non-reasoning", "grok-4.3"),
}


@dataclass(frozen=True, slots=True)
class ChatCompletions:
    """See `Dialect`."""

    vendor: str

    @property
    def variants(self) -> tuple[str, ...]:
        """See `Dialect`."""
        return tuple(VARIANTS)

    @property
    def options(self) -> tuple[str, ...]:
        """See `Dialect`."""
        return ("max_tokens", "temperature", "top_p", "stop", "stream_options")

    def key(self, request: web.Request) -> str:
        """See `Dialect`."""
        return request.headers.get("Authorization", "").removeprefix("Bearer ")

    def refuse(self, request: web.Request, body: Any, knobs: LlmKnobs) -> Refusal | None:
        """See `Dialect`."""
        refusal = refuse_key(request.headers.get("Authorization"), knobs.rejected_keys)
        refusal = refusal or refuse_options(body, knobs.refused_options)
        if refusal is None and knobs.reads_old_calls:
            refusal = refuse_old_calls(body)
        return refusal or refuse_body(body, vendor=self.vendor)

    def conversation(self, request: web.Request, body: _Json) -> Conversation:
        """See `Dialect`."""
        told = (body.get("metadata") or {}).get("call_id") or request.headers.get("X-Call-Id")
        call = str(told or body.get("user") or body.get("safety_identifier") or "")
        return from_chat_body(body, key=self.key(request), call=call)

    def limits(self, body: _Json) -> Limits:
        """See `Dialect`."""
        stops = body.get("stop") or ()
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        return Limits((stops,) if isinstance(stops, str) else tuple(stops), limit)

    def fit(self, body: _Json, answer: Answer) -> Answer:
        """See `Dialect`."""
        return answer

    def streams(self, request: web.Request, body: _Json) -> bool:
        """See `Dialect`."""
        return bool(body.get("stream"))

    def wire(self, body: _Json, reply: Reply, variants: frozenset[str]) -> Wire:
        """See `Dialect`."""
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return Stream(reply, include_usage=usage, variants=variants)

    def whole(self, request: web.Request, reply: Reply) -> bytes:
        """See `Dialect`."""
        return whole(reply)

    def failure(self, fail: Fail) -> Refusal:
        """See `Dialect`."""
        headers = {} if fail.retry_after_s is None else {"retry-after": f"{fail.retry_after_s:g}"}
        return Refusal(fail.status, failed_body(fail), headers)

    def headers(self, knobs: LlmKnobs) -> dict[str, str]:
        """See `Dialect`."""
        headers = {"x-request-id": f"req_{uuid.uuid4().hex}", "openai-processing-ms": "10"}
        if knobs.rate_limit_headers:
            for what, limit in (("requests", 10_000), ("tokens", 2_000_000)):
                headers |= {
                    f"x-ratelimit-limit-{what}": str(limit),
                    f"x-ratelimit-remaining-{what}": str(limit - 1),
                    f"x-ratelimit-reset-{what}": "6ms",
                }
        return headers


def mount(app: web.Application, host: Host) -> None:
    """Serve every vendor that speaks this API, each under its own path."""
    for vendor, prefix in MOUNTS.items():
        app.router.add_post(f"{prefix}/chat/completions", ModelTwin(ChatCompletions(vendor), host).answer)
        asked = {"model": _MODELS[vendor][0], "messages": [{"role": "user", "content": QUESTION}]}
        bearer = {"Authorization": "Bearer any-key"}
        serve(app, Endpoint(ASK, "POST", f"{prefix}/chat/completions", vendor, headers=bearer, body=asked))
        app.router.add_get(f"{prefix}/models", _described(vendor, host, partial(_list, vendor)))
        app.router.add_get(f"{prefix}/models/{{model:.+}}", _described(vendor, host, _one))


def _described(vendor: str, host: Host, tell: Callable[[web.Request], web.Response]) -> Handler:
    """What is told of models, to those who have a key."""
    dialect = ChatCompletions(vendor)

    def refuse(request: web.Request) -> Refusal | None:
        return refuse_key(request.headers.get("Authorization"), getattr(host.knobs, vendor).rejected_keys)

    return described(host, dialect, refuse, tell)


def _list(vendor: str, _: web.Request) -> web.Response:
    return as_json({"object": "list", "data": [_model(name) for name in _MODELS[vendor]]})


def _one(request: web.Request) -> web.Response:
    name = request.match_info["model"]
    return error(no_such_model(name), {}) if name.startswith(MISSING) else as_json(_model(name))


def _model(name: str) -> _Json:
    ends = {"shutdown_date": _ENDS} if name.startswith(_ENDING) else {}
    return {"id": name, "object": "model", "created": 1, "owned_by": "sandbox", **ends}
