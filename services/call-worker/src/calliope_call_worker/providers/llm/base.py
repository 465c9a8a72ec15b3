"""Port: language models. One neutral conversation; every vendor translates it for itself."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model wants a tool. `arguments` is the JSON text as accumulated, `{}` when empty; it may be invalid.

    `opaque` is what a vendor wants echoed with the call (thought signatures); other vendors ignore it.
    """

    id: str
    name: str
    arguments: str
    opaque: str | None = None


@dataclass(frozen=True, slots=True)
class UserMessage:
    """What the caller said."""

    text: str


@dataclass(frozen=True, slots=True)
class AssistantMessage:
    """What the assistant said (as heard) and the tools it called."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered; every tool call of the message before has one."""

    tool_call_id: str
    name: str
    content: str


Message = UserMessage | AssistantMessage | ToolResult


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that is offered. `parameters` is a JSON Schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What a model may be told about the call. Numbers are E.164, empty when unknown."""

    carrier_call_id: str = ""
    assistant_number: str = ""
    caller_number: str = ""


@dataclass(frozen=True, slots=True)
class LlmRequest:
    """One question to the model. `schema` asks for JSON of that shape instead of speech (work after the call).

    The answer to a `spoken` question goes to a voice: nothing counts of it but what can be said.
    """

    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    temperature: float = 0.7
    max_tokens: int = 1_000
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None
    spoken: bool = True
    begun: str = ""
    """What was said of the answer already, before somebody else went on with it: only what follows is wanted."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of the answer; reasoning is never passed on."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is complete. Tokens are absent when the vendor does not tell."""

    reason: str
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """The model is writing a tool call that is not complete yet. For deadlines only; the chain passes none on."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A model of the chain is asked, with a request of its own that is paid for. Only the chain says so."""


LlmEvent = TextDelta | ToolCall | Progress | Finished | Asked
"""In order: text and complete tool calls as they come, then exactly one `Finished`."""


def estimated_tokens(text: str) -> int:
    """Tokens of a text when nobody counted them: one for four bytes, which holds for most scripts within a third."""
    return (len(text.encode()) + 3) // 4


def estimated_input_tokens(request: LlmRequest) -> int:
    """Tokens of everything that a request tells the model."""
    parts = [request.system]
    for message in request.messages:
        match message:
            case UserMessage(text):
                parts.append(text)
            case AssistantMessage(text, calls):
                parts += [text, *(call.name + call.arguments for call in calls)]
            case ToolResult(content=content):
                parts.append(content)
    parts += [f"{tool.name} {tool.description} {tool.parameters}" for tool in request.tools]
    return sum(estimated_tokens(part) for part in parts)


class LanguageModel(Protocol):
    """One vendor, one model, one key."""

    @property
    def name(self) -> str:
        """Vendor name as in the document."""

    @property
    def model(self) -> str:
        """Model name as sent."""

    async def warm(self) -> None:
        """Have a connection open before it is needed: a handshake less to wait for. Fails silently, within seconds."""

    def stream(self, request: LlmRequest) -> AbstractAsyncContextManager[AsyncIterator[LlmEvent]]:
        """Ask; leaving the block aborts the answer. No retries inside: they would be silence.

        Raises: ProviderError, at entering or while iterating (an end without `Finished` is `DROPPED`).
        """
