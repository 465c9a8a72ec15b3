"""Twin of Gemini's own API: `generateContent` and `streamGenerateContent`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from calliope_sandbox.answers import Answer, Fail
from calliope_sandbox.conversations import Conversation, from_contents_body
from calliope_sandbox.endpoints import ASK, QUESTION, Endpoint, serve
from calliope_sandbox.json_http import as_json
from calliope_sandbox.knobs import LlmKnobs
from calliope_sandbox.vendors.gemini_checks import no_such_model, refuse_body, refuse_key, refuse_options, signs
from calliope_sandbox.vendors.gemini_wire import VARIANTS, Stream, failed_body, whole
from calliope_sandbox.vendors.host import Host
from calliope_sandbox.vendors.model_twin import ModelTwin, Wire, described, error
from calliope_sandbox.vendors.replies import Limits, Refusal, Reply
from calliope_sandbox.vendors.rest import MISSING

_Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.Response]]
_MODELS = ("gemini-3.5-flash-lite", "gemini-3.6-flash", "gemini-3.8-flash")
_STREAMED = "streamGenerateContent"


@dataclass(frozen=True, slots=True)
class GenerateContent:
    """See `Dialect`."""

    vendor: str = "gemini"

    @property
    def variants(self) -> tuple[str, ...]:
        """See `Dialect`."""
        return tuple(VARIANTS)

    @property
    def options(self) -> tuple[str, ...]:
        """See `Dialect`."""
        return ("temperature", "topP", "stopSequences", "thinkingConfig")

    def key(self, request: web.Request) -> str:
        """See `Dialect`."""
        return request.headers.get("x-goog-api-key") or request.query.get("key", "")

    def refuse(self, request: web.Request, body: Any, knobs: LlmKnobs) -> Refusal | None:
        """See `Dialect`."""
        refusal = refuse_key(self.key(request), knobs.rejected_keys)
        refusal = refusal or refuse_options(body, knobs.refused_options)
        return refusal or refuse_body(body, request.match_info["model"])

    def conversation(self, request: web.Request, body: _Json) -> Conversation:
        """See `Dialect`."""
        call = request.headers.get("X-Call-Id", "")
        return from_contents_body(body, model=request.match_info["model"], key=self.key(request), call=call)

    def limits(self, body: _Json) -> Limits:
        """See `Dialect`."""
        config = body.get("generationConfig") or {}
        return Limits(tuple(config.get("stopSequences") or ()), config.get("maxOutputTokens"))

    def fit(self, body: _Json, answer: Answer) -> Answer:
        """See `Dialect`."""
        return answer

    def streams(self, request: web.Request, body: _Json) -> bool:
        """See `Dialect`. Without `alt=sse` a JSON array is sent; here in one piece."""
        return request.match_info["method"] == _STREAMED and request.query.get("alt") == "sse"

    def wire(self, body: _Json, reply: Reply, variants: frozenset[str]) -> Wire:
        """See `Dialect`."""
        return Stream(reply, signs(reply.model), variants)

    def whole(self, request: web.Request, reply: Reply) -> bytes:
        """See `Dialect`."""
        answer = whole(reply, signs=signs(reply.model))
        return orjson.dumps([answer] if request.match_info["method"] == _STREAMED else answer)

    def failure(self, fail: Fail) -> Refusal:
        """See `Dialect`."""
        return Refusal(fail.status, failed_body(fail))

    def headers(self, knobs: LlmKnobs) -> dict[str, str]:
        """See `Dialect`. This vendor tells nothing of its limits."""
        return {"server-timing": "gfet4t7; dur=10"}


def mount(app: web.Application, host: Host) -> None:
    """Serve the API under /gemini, whichever version is asked for."""
    method = "{method:generateContent|streamGenerateContent}"
    path = f"/gemini/{{version:v1(?:alpha|beta)?}}/models/{{model:[^:/]+}}:{method}"
    app.router.add_post(path, ModelTwin(GenerateContent(), host).answer)
    asked = {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]}
    shown = "/gemini/v1beta/models/gemini-3.5-flash-lite:generateContent"
    serve(app, Endpoint(ASK, "POST", shown, "gemini", headers={"x-goog-api-key": "any-key"}, body=asked))
    models = "/gemini/{version:v1(?:alpha|beta)?}/models"
    app.router.add_get(models, _described(host, lambda _: as_json({"models": [_model(name) for name in _MODELS]})))
    app.router.add_get(f"{models}/{{model:[^:/]+}}", _described(host, _one))


def _described(host: Host, tell: Callable[[web.Request], web.Response]) -> Handler:
    """What is told of models, to those who have a key."""
    dialect = GenerateContent()

    def refuse(request: web.Request) -> Refusal | None:
        return refuse_key(dialect.key(request), host.knobs.gemini.rejected_keys)

    return described(host, dialect, refuse, tell)


def _one(request: web.Request) -> web.Response:
    name = request.match_info["model"]
    return error(no_such_model(name), {}) if name.startswith(MISSING) else as_json(_model(name))


def _model(name: str) -> _Json:
    return {
        "name": f"models/{name}",
        "baseModelId": name,
        "version": "001",
        "displayName": name,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }
