"""Twin of Gemini's own API: `generateContent` and `streamGenerateContent`."""

from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from calliope_sandbox.answers import Answer, Fail
from calliope_sandbox.conversations import Conversation, from_contents_body
from calliope_sandbox.endpoints import ASK, QUESTION, Endpoint, serve
from calliope_sandbox.knobs import LlmKnobs
from calliope_sandbox.vendors.gemini_checks import refuse_body, refuse_key, signs
from calliope_sandbox.vendors.gemini_wire import Stream, failed_body, whole
from calliope_sandbox.vendors.host import Host
from calliope_sandbox.vendors.model_twin import ModelTwin, Wire
from calliope_sandbox.vendors.replies import Limits, Refusal, Reply

_Json = dict[str, Any]
_STREAMED = "streamGenerateContent"


@dataclass(frozen=True, slots=True)
class GenerateContent:
    """See `Dialect`."""

    vendor: str = "gemini"

    def key(self, request: web.Request) -> str:
        """See `Dialect`."""
        return request.headers.get("x-goog-api-key") or request.query.get("key", "")

    def refuse(self, request: web.Request, body: Any, knobs: LlmKnobs) -> Refusal | None:
        """See `Dialect`."""
        return refuse_key(self.key(request), knobs.rejected_keys) or refuse_body(body, request.match_info["model"])

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
