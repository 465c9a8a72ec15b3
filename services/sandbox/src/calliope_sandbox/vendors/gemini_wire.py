"""Gemini's own API on the wire: chunks, whole answers and errors. Pure."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from calliope_sandbox.answers import Fail
from calliope_sandbox.vendors.replies import Reply

VARIANTS = {
    "thoughts": "a part with a thought first, never to be spoken",
    "no_parts": "the last chunk has a content without parts",
    "no_call_id": "calls without an id",
    "crlf": "lines end in CR LF",
    "half_characters": "a picture comes in two pieces of the text, half a character each",
    "split_utf8": "writes cut inside characters and lines",
}
BLOCK = "block:"
"""A scripted `finish` that begins so blocks the prompt with the reason behind it."""
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_TYPE = "type.googleapis.com/google.rpc."
_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stream:
    """Writes a reply as server-sent chunks. `signs`: calls carry a thought signature."""

    reply: Reply
    signs: bool = True
    variants: frozenset[str] = frozenset()

    def opening(self) -> bytes:
        """Everything before the first token."""
        thought = {"text": "Let me think.", "thought": True}
        return self._chunk([thought]) if "thoughts" in self.variants else b""

    def token(self, piece: str) -> bytes:
        """One piece of the text."""
        return self._chunk([{"text": piece}])

    def calls(self) -> Iterator[bytes]:
        """The tool calls, each whole."""
        for part in call_parts(self.reply, signs=self.signs, ids="no_call_id" not in self.variants):
            yield self._chunk([part])

    def closing(self) -> bytes:
        """Finish reason and usage; there is no end mark."""
        reason = finish_reason(self.reply)
        if reason.startswith(BLOCK):
            return self._data(blocked(self.reply, reason))
        return self._chunk(None if "no_parts" in self.variants else [{"text": ""}], finish=reason)

    def failed(self, fail: Fail) -> bytes:
        """An error inside the open stream: bare JSON over several lines."""
        return orjson.dumps(failed_body(fail), option=orjson.OPT_INDENT_2) + b"\n"

    def _chunk(self, parts: list[_Json] | None, *, finish: str | None = None) -> bytes:
        return self._data(answer(self.reply, parts, finish))

    def _data(self, value: _Json) -> bytes:
        line = b"\r\n" if "crlf" in self.variants else b"\n"
        return b"data: " + orjson.dumps(value) + line + line


def whole(reply: Reply, *, signs: bool) -> _Json:
    """The answer in one piece."""
    reason, text = finish_reason(reply), "".join(reply.pieces)
    if reason.startswith(BLOCK):
        return blocked(reply, reason)
    said: list[_Json] = [{"text": text}] if text else []
    return answer(reply, [*said, *call_parts(reply, signs=signs, ids=True)], reason)


def answer(reply: Reply, parts: list[_Json] | None, finish: str | None) -> _Json:
    """A chunk, or all of it."""
    candidate: _Json = {"content": {"role": "model"} | ({} if parts is None else {"parts": parts}), "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], **_about(reply)}


def blocked(reply: Reply, reason: str) -> _Json:
    """What comes instead of candidates."""
    return {"promptFeedback": {"blockReason": reason.removeprefix(BLOCK)}, **_about(reply)}


def call_parts(reply: Reply, *, signs: bool, ids: bool) -> list[_Json]:
    """The calls; of parallel ones only the first is signed."""
    parts: list[_Json] = []
    for number, call in enumerate(reply.answer.tool_calls):
        asked: _Json = {"name": call.name, "args": orjson.loads(call.arguments)}
        part: _Json = {"functionCall": {"id": f"fc_{reply.id}{number}", **asked} if ids else asked}
        if signs and number == 0:
            part["thoughtSignature"] = signature(reply.id)
        parts.append(part)
    return parts


def signature(id_: str) -> str:
    """Opaque to everybody but us."""
    return base64.b64encode(b"sandbox:" + id_.encode()).decode()


def finish_reason(reply: Reply) -> str:
    """STOP also with calls."""
    return reply.answer.finish or ("MAX_TOKENS" if reply.cut else "STOP")


def error_body(status: int, message: str, details: list[_Json] | None = None) -> _Json:
    """The error object of this API."""
    error: _Json = {"code": status, "message": message, "status": _STATUS.get(status, "UNKNOWN")}
    return {"error": error | ({"details": details} if details else {})}


def failed_body(fail: Fail) -> _Json:
    """The error object of a scripted failure; `insufficient_quota` is the day's quota."""
    details: list[_Json] = []
    if fail.code == "insufficient_quota":
        violation = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel", "quotaValue": "250"}
        details.append({"@type": f"{_TYPE}QuotaFailure", "violations": [violation]})
    if fail.retry_after_s is not None:
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{fail.retry_after_s:g}s"})
    return error_body(fail.status, fail.message, details)


def bad_key() -> _Json:
    """A wrong key is a 400 here."""
    detail = {"@type": f"{_TYPE}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
    return error_body(400, "API key not valid. Please pass a valid API key.", [detail])


def _about(reply: Reply) -> _Json:
    usage = {
        "promptTokenCount": reply.usage.prompt,
        "candidatesTokenCount": reply.usage.completion,
        "totalTokenCount": reply.usage.prompt + reply.usage.completion,
    }
    return {"usageMetadata": usage, "modelVersion": reply.model, "responseId": reply.id}
