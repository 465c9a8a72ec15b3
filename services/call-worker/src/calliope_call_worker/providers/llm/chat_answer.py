"""Reads the chunks of a streamed chat completion into our events, and its errors into our classes. Pure."""

from typing import Any

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm.base import Finished, LlmEvent, Progress, TextDelta
from calliope_call_worker.providers.llm.refusals import provider_error, read_refusal
from calliope_call_worker.providers.llm.toolcalls import ToolCallAccumulator


class ChatAnswer:
    """One answer. `over` when the model said why it stopped; usage may still follow."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._tools = ToolCallAccumulator()
        self._reason = ""
        self._usage: dict[str, Any] = {}
        self.over = False

    def read(self, chunk: Any) -> LlmEvent | None:
        """What a chunk brought. Raises: ProviderError, when it is an error or no chunk at all."""
        try:
            return self._read(chunk)
        except (AttributeError, TypeError, KeyError, IndexError) as exc:
            raise ProviderError(self._provider, Failure.MALFORMED, "a chunk could not be read") from exc

    def ended(self) -> tuple[LlmEvent, ...]:
        """The tool calls and the end; usage is whatever was told last."""
        calls = self._tools.calls()
        reason = "tool_calls" if calls else self._reason or "stop"
        return (*calls, Finished(reason, self._tokens("prompt_tokens"), self._tokens("completion_tokens")))

    def _read(self, chunk: Any) -> LlmEvent | None:
        if isinstance(chunk, list):
            chunk = chunk[0]
        if error := chunk.get("error") or (chunk.get("x_groq") or {}).get("error"):
            raise stream_error(self._provider, error)
        if usage := chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage"):
            self._usage = usage
        choices = chunk.get("choices")
        if not choices:
            return None
        choice = choices[0]
        if reason := choice.get("finish_reason"):
            self._reason, self.over = reason, True
        delta = choice.get("delta") or choice.get("message")
        if not delta:
            return None
        tools = delta.get("tool_calls")
        if tools:
            self._tools.feed(tools)
        text = delta.get("content") or delta.get("refusal")
        if text:
            return TextDelta(text if isinstance(text, str) else _joined(text))
        return Progress() if tools else None

    def _tokens(self, name: str) -> int | None:
        count = self._usage.get(name)
        return count if isinstance(count, int) else None


def stream_error(provider: str, error: Any) -> ProviderError:
    """An error inside a stream that began well."""
    return provider_error(provider, read_refusal(error), None, None)


def refusal(provider: str, status: int, body: Any, retry_after_s: float | None) -> ProviderError:
    """An HTTP error. `body` is its JSON, its text, or None."""
    return provider_error(provider, read_refusal(body), status, retry_after_s)


def _joined(parts: Any) -> str:
    """Content as a list of parts, as some servers send it."""
    return "".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))
