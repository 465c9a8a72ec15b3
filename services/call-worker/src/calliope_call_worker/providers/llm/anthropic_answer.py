"""Reads the events of Anthropic's messages API into ours, and its errors into our classes. Pure."""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm.anthropic_body import ANSWER_TOOL
from calliope_call_worker.providers.llm.base import Finished, LlmEvent, Progress, TextDelta, ToolCall
from calliope_call_worker.providers.llm.refusals import provider_error, read_refusal

_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
}


@dataclass(slots=True)
class _Block:
    """A tool call that is being written."""

    id: str
    name: str
    arguments: str = ""


class MessagesAnswer:
    """One answer. Blocks are told apart by type, not by place: a thinking block may be first.

    An input without any fields is not written out; as an answer it is an empty object.
    """

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._calls: list[_Block] = []
        self._open: dict[int, _Block] = {}
        self._answered_by_tool: _Block | None = None
        self._reason = ""
        self._usage: dict[str, Any] = {}
        self.over = False

    def read(self, chunk: Any) -> LlmEvent | None:
        """See `Answer`. Events of unknown types are skipped, as the vendor asks."""
        try:
            return self._read(chunk)
        except (AttributeError, TypeError, LookupError, ValueError) as exc:
            raise ProviderError(self._provider, Failure.MALFORMED, "an event could not be read") from exc

    def ended(self) -> tuple[LlmEvent, ...]:
        """See `Answer`. Usage is cumulative: the last that was told."""
        calls = tuple(
            ToolCall(call.id, call.name, call.arguments.strip() or "{}")
            for call in self._calls
            if call is not self._answered_by_tool
        )
        reason = "tool_calls" if calls else "stop" if self._answered_by_tool is not None else self._reason
        answer = self._answered_by_tool
        whole = (TextDelta("{}"),) if answer is not None and not answer.arguments.strip() else ()
        return (*whole, *calls, Finished(reason or "stop", self._input_tokens(), self._count("output_tokens")))

    def _read(self, event: Any) -> LlmEvent | None:
        match event["type"]:
            case "content_block_delta":
                return self._delta(event["index"], event["delta"])
            case "content_block_start":
                return self._start(event["index"], event["content_block"])
            case "message_start":
                self._usage |= event["message"].get("usage") or {}
            case "message_delta":
                self._usage |= {name: count for name, count in (event.get("usage") or {}).items() if count is not None}
                self._stopped(event["delta"])
            case "message_stop":
                self.over = True
            case "error":
                raise provider_error(self._provider, read_refusal(event.get("error")), None, None)
        return None

    def _start(self, index: int, block: dict[str, Any]) -> LlmEvent | None:
        if block["type"] == "tool_use":
            begun = block.get("input")
            call = _Block(str(block["id"]), str(block["name"]), orjson.dumps(begun).decode() if begun else "")
            self._calls.append(call)
            self._open[index] = call  # some begin every block with the same index
            if call.name == ANSWER_TOOL:
                self._answered_by_tool = call
                return TextDelta(call.arguments) if call.arguments else Progress()
            return Progress()
        text = block.get("text") if block["type"] == "text" else None
        return TextDelta(text) if text else None

    def _delta(self, index: int, delta: dict[str, Any]) -> LlmEvent | None:
        if delta["type"] == "text_delta":
            return TextDelta(delta["text"]) if delta["text"] else None
        if delta["type"] != "input_json_delta":
            return None  # thinking, its signature, citations: never spoken
        more = delta["partial_json"]
        call = self._open[index] if index in self._open else self._calls[-1]
        call.arguments += more
        if call is self._answered_by_tool:
            return TextDelta(more) if more else None
        return Progress()

    def _stopped(self, delta: dict[str, Any]) -> None:
        reason = delta.get("stop_reason")
        if reason is None:
            return
        if reason == "refusal":
            category = (delta.get("stop_details") or {}).get("category") or "no category"
            raise ProviderError(self._provider, Failure.DECLINED, f"the model refuses to answer: {category}")
        self._reason, self.over = _REASONS.get(reason, reason), True

    def _input_tokens(self) -> int | None:
        told = [self._count(f"{kind}input_tokens") for kind in ("", "cache_creation_", "cache_read_")]
        return sum(count or 0 for count in told) if told[0] is not None else None

    def _count(self, name: str) -> int | None:
        count = self._usage.get(name)
        return count if isinstance(count, int) else None


def refusal(provider: str, status: int, body: Any, retry_after_s: float | None) -> ProviderError:
    """An HTTP error. `body` is its JSON, its text, or None."""
    return provider_error(provider, read_refusal(body), status, retry_after_s)
