"""Chat completions on the wire: chunks, whole answers and errors as OpenAI sends them, and as others do. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from calliope_sandbox.answers import Fail
from calliope_sandbox.vendors.replies import Reply, Usage

VARIANTS = {
    "no_index": "tool calls without `index` (Gemini's compatibility layer, older Ollama)",
    "same_index": "every tool call has index 0 (Ollama)",
    "whole_call": "a tool call comes whole in one chunk (Groq, xAI, Ollama)",
    "one_chunk": "all tool calls come whole in one single delta",
    "object_arguments": "arguments are an object, not text",
    "two_ids": "the pieces of a call behind the first have another id, and no name",
    "no_id": "tool calls without `id` (vLLM)",
    "empty_finish": "finish_reason is the empty string",
    "stop_finish": "finish_reason is stop although tools are called (Gemini, xAI)",
    "no_finish": "no chunk has a finish_reason",
    "no_done": "the stream ends without [DONE]",
    "no_usage": "no usage although asked",
    "usage_everywhere": "usage on every chunk (xAI)",
    "x_groq": "id and usage in x_groq (Groq)",
    "reasoning": "reasoning deltas before the text, never to be spoken",
    "null_delta": "a first chunk without choices, and null deltas (Azure)",
    "crlf": "lines end in CR LF",
    "comments": "comment lines between the events",
    "half_characters": "a picture comes in two pieces of the text, half a character each",
    "split_utf8": "writes cut inside characters and lines",
}
_KINDS = {401: "invalid_request_error", 429: "requests", 404: "invalid_request_error", 400: "invalid_request_error"}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded", 404: "model_not_found"}
_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stream:
    """Writes a reply as server-sent events, in the house's shape or in the named variants."""

    reply: Reply
    include_usage: bool
    variants: frozenset[str] = frozenset()

    def opening(self) -> bytes:
        """Everything before the first token."""
        first: _Json = {"role": "assistant", "content": "", "refusal": None}
        chunks = [self._chunk([], first=True)] if "null_delta" in self.variants else []
        chunks.append(self._chunk([_choice(first)], first=not chunks))
        if "reasoning" in self.variants:
            for piece in ("Let me", " think."):
                chunks.append(self._chunk([_choice({"reasoning": piece, "reasoning_content": piece})]))
        return b"".join(chunks)

    def token(self, piece: str) -> bytes:
        """One piece of the text."""
        return self._chunk([_choice({"content": piece})])

    def calls(self) -> Iterator[bytes]:
        """The tool calls, a write each."""
        calls = self.reply.answer.tool_calls
        if "one_chunk" in self.variants:
            if calls:
                whole = [self._call(number, call.arguments) for number, call in enumerate(calls)]
                yield self._chunk([_choice({"tool_calls": whole})])
            return
        for number, call in enumerate(calls):
            if "whole_call" in self.variants:
                yield self._chunk([_choice({"tool_calls": [self._call(number, call.arguments)]})])
                continue
            yield self._chunk([_choice({"tool_calls": [self._call(number, "")]})])
            for at in range(0, len(call.arguments), 8):
                more: _Json = {"index": number, "function": {"arguments": call.arguments[at : at + 8]}}
                if "two_ids" in self.variants:
                    more["id"] = f"chatcmpl-tool-{number}"
                yield self._chunk([_choice({"tool_calls": [self._indexed(more)]})])

    def closing(self) -> bytes:
        """Finish reason, usage, end mark."""
        out = b""
        reason = _finish_reason(self.reply)
        if "empty_finish" in self.variants:
            reason = ""
        elif "stop_finish" in self.variants:
            reason = "stop"
        if "no_finish" not in self.variants:
            delta: _Json | None = None if "null_delta" in self.variants else {}
            out += self._chunk([_choice(delta, reason)], last=True)
        if self.include_usage and "no_usage" not in self.variants:
            out += self._chunk([], usage=self.reply.usage)
        return out if "no_done" in self.variants else out + self._event(b"[DONE]")

    def failed(self, fail: Fail) -> bytes:
        """An error object inside the open stream."""
        return self._event(orjson.dumps(failed_body(fail)))

    def _call(self, number: int, arguments: str) -> _Json:
        sent: Any = orjson.loads(arguments) if "object_arguments" in self.variants and arguments else arguments
        call: _Json = {
            "index": number,
            "id": _call_id(self.reply, number),
            "type": "function",
            "function": {"name": self.reply.answer.tool_calls[number].name, "arguments": sent},
        }
        if "no_id" in self.variants:
            del call["id"]
        return self._indexed(call)

    def _indexed(self, call: _Json) -> _Json:
        if "no_index" in self.variants:
            return {key: value for key, value in call.items() if key != "index"}
        return {**call, "index": 0} if "same_index" in self.variants else call

    def _chunk(
        self, choices: list[_Json], *, usage: Usage | None = None, first: bool = False, last: bool = False
    ) -> bytes:
        chunk: _Json = {
            "id": f"chatcmpl-{self.reply.id}",
            "object": "chat.completion.chunk",
            "created": self.reply.created,
            "model": self.reply.model,
            "service_tier": "default",
            "system_fingerprint": "fp_sandbox",
            "choices": choices,
        }
        if usage is not None or "usage_everywhere" in self.variants:
            chunk["usage"] = _usage(usage or self.reply.usage)
        elif self.include_usage:
            chunk["usage"] = None
        if "x_groq" in self.variants and (first or last):
            chunk["x_groq"] = {"id": f"req_{self.reply.id}"} | ({"usage": _usage(self.reply.usage)} if last else {})
        return self._event(orjson.dumps(chunk))

    def _event(self, data: bytes) -> bytes:
        line = b"\r\n" if "crlf" in self.variants else b"\n"
        comment = b": keep-alive" + line + line if "comments" in self.variants else b""
        return comment + b"data: " + data + line + line


def _finish_reason(reply: Reply) -> str:
    if reply.answer.finish is not None:
        return reply.answer.finish
    return "length" if reply.cut else "tool_calls" if reply.answer.tool_calls else "stop"


def _call_id(reply: Reply, number: int) -> str:
    """The same in every form."""
    return f"call_{reply.id}{number}"


def _usage(usage: Usage) -> _Json:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _choice(delta: _Json | None, finish_reason: str | None = None) -> _Json:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def whole(reply: Reply) -> bytes:
    """The answer of a request that does not stream."""
    message: _Json = {"role": "assistant", "content": "".join(reply.pieces) or None, "refusal": None}
    if reply.answer.tool_calls:
        message["tool_calls"] = [
            {
                "id": _call_id(reply, number),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for number, call in enumerate(reply.answer.tool_calls)
        ]
    return orjson.dumps(
        {
            "id": f"chatcmpl-{reply.id}",
            "object": "chat.completion",
            "created": reply.created,
            "model": reply.model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(reply)}],
            "usage": _usage(reply.usage),
            "service_tier": "default",
            "system_fingerprint": "fp_sandbox",
        }
    )


def error_body(message: str, kind: str, *, code: str | None = None, param: str | None = None) -> _Json:
    """The error object of this API."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def failed_body(fail: Fail) -> _Json:
    """The error object of a scripted failure."""
    code = fail.code or _CODES.get(fail.status)
    kind = fail.type or ("insufficient_quota" if code == "insufficient_quota" else None)
    return error_body(fail.message, kind or _KINDS.get(fail.status, "server_error"), code=code, param=fail.param)
