"""Reads the chunks of Gemini's own API into our events, and its errors into our classes. Pure."""

import json
import re
import uuid
from typing import Any, Final

import orjson

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm.base import Finished, LlmEvent, Progress, TextDelta, ToolCall
from calliope_call_worker.providers.llm.refusals import provider_error, read_refusal

_DECLINED: Final = frozenset(
    {"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "ESCALATION"}
)
_BROKEN: Final = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
    }
)
_REASONS: Final = {"STOP": "stop", "MAX_TOKENS": "length"}
_FAILURES: Final = {
    "UNAUTHENTICATED": Failure.KEY,
    "PERMISSION_DENIED": Failure.KEY,
    "RESOURCE_EXHAUSTED": Failure.RATE_LIMITED,
    "DEADLINE_EXCEEDED": Failure.DEADLINE,
    "FAILED_PRECONDITION": Failure.REFUSED,
    "NOT_FOUND": Failure.REFUSED,
}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)s")


class ContentAnswer:
    """One answer. A finish reason ends it; there is no other end mark."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._calls: list[ToolCall] = []
        self._reason = ""
        self._usage: dict[str, Any] = {}
        self.over = False

    def read(self, chunk: Any) -> LlmEvent | None:
        """See `Answer`."""
        try:
            return self._read(chunk[0] if isinstance(chunk, list) else chunk)
        except (AttributeError, TypeError, KeyError, IndexError) as exc:
            raise ProviderError(self._provider, Failure.MALFORMED, "a chunk could not be read") from exc

    def ended(self) -> tuple[LlmEvent, ...]:
        """See `Answer`. Usage is cumulative: the last that was told; thoughts are paid for like words."""
        reason = "tool_calls" if self._calls else self._reason or "stop"
        words, thoughts = self._count("candidatesTokenCount"), self._count("thoughtsTokenCount")
        written = None if words is None and thoughts is None else (words or 0) + (thoughts or 0)
        return (*self._calls, Finished(reason, self._count("promptTokenCount"), written))

    def _read(self, chunk: dict[str, Any]) -> LlmEvent | None:
        if "error" in chunk:
            raise _error(self._provider, chunk["error"], None, None)
        self._usage = chunk.get("usageMetadata") or self._usage
        candidates = chunk.get("candidates")
        if not candidates:
            if blocked := (chunk.get("promptFeedback") or {}).get("blockReason"):
                raise ProviderError(self._provider, Failure.DECLINED, f"the request was blocked: {blocked}")
            return None
        candidate = candidates[0]
        event = self._parts((candidate.get("content") or {}).get("parts") or ())
        if reason := candidate.get("finishReason"):
            self._stopped(reason)
        return event

    def _parts(self, parts: Any) -> LlmEvent | None:
        texts, called = [], False
        for part in parts:
            if call := part.get("functionCall"):
                called = True
                self._calls.append(_tool_call(call, part.get("thoughtSignature")))
            elif (text := part.get("text")) and not part.get("thought"):
                texts.append(text)
        if texts:
            return TextDelta("".join(texts))
        return Progress() if called else None

    def _stopped(self, reason: str) -> None:
        if reason in _DECLINED:
            raise ProviderError(self._provider, Failure.DECLINED, f"the model refuses to answer: {reason}")
        if reason in _BROKEN:
            raise ProviderError(self._provider, Failure.MALFORMED, f"the answer is broken: {reason}")
        self._reason, self.over = _REASONS.get(reason, reason.lower()), True

    def _count(self, name: str) -> int | None:
        count = self._usage.get(name)
        return count if isinstance(count, int) else None


def _tool_call(call: dict[str, Any], signature: str | None) -> ToolCall:
    opaque = orjson.dumps({"google": {"thought_signature": signature}}).decode() if signature else None
    arguments = json.dumps(call.get("args") or {}, separators=(",", ":"), ensure_ascii=False)
    return ToolCall(str(call.get("id") or f"call_{uuid.uuid4().hex[:24]}"), str(call["name"]), arguments, opaque)


def refusal(provider: str, status: int, body: Any, retry_after_s: float | None) -> ProviderError:
    """An HTTP error. `body` is its JSON, its text, or None; when a list streams, its error is in one."""
    if isinstance(body, list) and body:
        body = body[0]
    return _error(provider, body.get("error", body) if isinstance(body, dict) else body, status, retry_after_s)


def _error(provider: str, error: Any, status: int | None, retry_after_s: float | None) -> ProviderError:
    known = error if isinstance(error, dict) else {}
    name = str(known.get("status") or "")
    details = [detail for detail in known.get("details") or () if isinstance(detail, dict)]
    failure = _FAILURES.get(name)
    if any(detail.get("reason") == "API_KEY_INVALID" for detail in details):
        failure = Failure.KEY  # a wrong key is a 400 here
    elif name == "RESOURCE_EXHAUSTED" and _is_used_up(details):
        failure = Failure.QUOTA
    wait_s = retry_after_s if retry_after_s is not None else _retry_delay_s(details)
    return provider_error(provider, read_refusal(error), status, wait_s, failure)


def _is_used_up(details: list[dict[str, Any]]) -> bool:
    """A quota per day does not come back within a call; one per minute may."""
    violations = [one for detail in details for one in detail.get("violations") or () if isinstance(one, dict)]
    return any("PerDay" in str(one.get("quotaId") or "") for one in violations)


def _retry_delay_s(details: list[dict[str, Any]]) -> float | None:
    delays = [_DURATION.fullmatch(str(detail.get("retryDelay") or "")) for detail in details]
    return next((float(delay[1]) for delay in delays if delay), None)
