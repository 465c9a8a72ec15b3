"""Anthropic's messages API on the wire: events, whole messages and errors. Pure but for the block being written."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from calliope_sandbox.answers import Fail
from calliope_sandbox.vendors.replies import Reply

VARIANTS = {
    "thinking": "a thinking block first, its text omitted",
    "pings": "ping events in between",
    "unknown_events": "events and deltas of types that nobody knows yet",
    "whole_call": "arguments in one delta",
    "crlf": "lines end in CR LF",
    "half_characters": "a picture comes in two pieces of the text, half a character each",
    "split_utf8": "writes cut inside characters and lines",
}
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_SIGNATURE = "c2FuZGJveC10aGlua2luZw=="
_Json = dict[str, Any]


@dataclass(slots=True)
class Stream:
    """Writes a reply as events, block after block."""

    reply: Reply
    variants: frozenset[str] = frozenset()
    index: int = 0
    text_is_open: bool = False

    def opening(self) -> bytes:
        """Everything before the first token."""
        out = self._event("message_start", message=_message(self.reply, [], None, written=1))
        if "thinking" in self.variants:
            out += self._start({"type": "thinking", "thinking": "", "signature": ""})
            out += self._delta({"type": "signature_delta", "signature": _SIGNATURE})
            out += self._stop()
        if self.reply.pieces:
            out += self._start({"type": "text", "text": ""})
            self.text_is_open = True
        if "pings" in self.variants:
            out += self._event("ping")
        if "unknown_events" in self.variants:
            out += self._event("weather_changed", sky="blue")
        return out

    def token(self, piece: str) -> bytes:
        """One piece of the text."""
        out = self._delta({"type": "text_delta", "text": piece})
        if "unknown_events" in self.variants:
            out += self._delta({"type": "mood_delta", "mood": "fine"})
        return out + (self._event("ping") if "pings" in self.variants else b"")

    def calls(self) -> Iterator[bytes]:
        """The tool calls, a block each."""
        for number, call in enumerate(self.reply.answer.tool_calls):
            block = {"type": "tool_use", "id": _call_id(self.reply, number), "name": call.name, "input": {}}
            yield (
                self._close_text() + self._start(block) + self._delta({"type": "input_json_delta", "partial_json": ""})
            )
            size = len(call.arguments) if "whole_call" in self.variants else 8
            arguments = "" if call.arguments == "{}" else call.arguments
            for at in range(0, len(arguments), size):
                yield self._delta({"type": "input_json_delta", "partial_json": arguments[at : at + size]})
            yield self._stop()

    def closing(self) -> bytes:
        """Why it stopped, usage, end."""
        usage = {"input_tokens": self.reply.usage.prompt, "output_tokens": self.reply.usage.completion}
        out = self._close_text()
        out += self._event("message_delta", delta=_ending(self.reply), usage=usage)
        return out + self._event("message_stop")

    def failed(self, fail: Fail) -> bytes:
        """An error inside the open stream; unasked, it is overload."""
        kind = fail.type or ("overloaded_error" if fail.status == 500 else None)
        body = error_body(fail.message, kind or _KINDS.get(fail.status, "api_error"), code=fail.code)
        return self._event("error", **{name: value for name, value in body.items() if name != "type"})

    def _start(self, block: _Json) -> bytes:
        return self._event("content_block_start", index=self.index, content_block=block)

    def _delta(self, delta: _Json) -> bytes:
        return self._event("content_block_delta", index=self.index, delta=delta)

    def _stop(self) -> bytes:
        out = self._event("content_block_stop", index=self.index)
        self.index += 1
        return out

    def _close_text(self) -> bytes:
        if not self.text_is_open:
            return b""
        self.text_is_open = False
        return self._stop()

    def _event(self, kind: str, **more: Any) -> bytes:
        line = b"\r\n" if "crlf" in self.variants else b"\n"
        return b"event: " + kind.encode() + line + b"data: " + orjson.dumps({"type": kind, **more}) + line + line


def whole(reply: Reply) -> bytes:
    """The answer of a request that does not stream."""
    text = "".join(reply.pieces)
    content: list[_Json] = [{"type": "text", "text": text}] if text else []
    for number, call in enumerate(reply.answer.tool_calls):
        arguments = orjson.loads(call.arguments)
        content.append({"type": "tool_use", "id": _call_id(reply, number), "name": call.name, "input": arguments})
    return orjson.dumps(_message(reply, content, _ending(reply), written=reply.usage.completion))


def error_body(message: str, kind: str, *, code: str | None = None) -> _Json:
    """The error object of this API."""
    error: _Json = {"type": kind, "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    return {"type": "error", "error": error, "request_id": "req_sandbox"}


def failed_body(fail: Fail) -> _Json:
    """The error object of a scripted failure."""
    return error_body(fail.message, fail.type or _KINDS.get(fail.status, "api_error"), code=fail.code)


def _call_id(reply: Reply, number: int) -> str:
    return f"toolu_{reply.id}{number}"


def _ending(reply: Reply) -> _Json:
    if reply.answer.finish is not None:
        reason = reply.answer.finish
    else:
        reason = "max_tokens" if reply.cut else "tool_use" if reply.answer.tool_calls else "end_turn"
        reason = "stop_sequence" if reply.stop is not None else reason
    details = {"type": "refusal", "category": "general_harms", "explanation": None} if reason == "refusal" else None
    return {"stop_reason": reason, "stop_sequence": reply.stop, "stop_details": details}


def _message(reply: Reply, content: list[_Json], ending: _Json | None, *, written: int) -> _Json:
    usage = {
        "input_tokens": reply.usage.prompt,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": written,
    }
    return {
        "id": f"msg_{reply.id}",
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": content,
        **(ending or {"stop_reason": None, "stop_sequence": None}),
        "usage": usage,
    }
