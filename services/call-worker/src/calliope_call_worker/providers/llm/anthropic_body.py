"""The body of an Anthropic messages request, from our neutral conversation. Pure.

Thinking is off where a model lets it, else as short as it goes; no thinking block is ever sent back, so there is none
that a truncated turn could invalidate. Nothing is prefilled: since 4.6 the models refuse it.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import orjson

from calliope_call_worker.providers.llm.base import AssistantMessage, LlmRequest, Message, ToolResult, UserMessage
from calliope_call_worker.providers.llm.history import alternating, arguments_of
from calliope_call_worker.providers.llm.schemas import answer_schema, tool_schema

ANSWER_TOOL: Final = "calliope_answer"
"""A question for JSON is put as a tool that must be called: unlike structured outputs that takes any schema."""
_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_SAMPLING: Final = frozenset({"temperature", "top_p"})


@dataclass(frozen=True, slots=True)
class Family:
    """Models whose name fits `pattern`: how to keep them from thinking, and which parameters they refuse.

    A model that cannot stop thinking does not let a tool be forced either.
    """

    pattern: re.Pattern[str]
    thinking: str | None = None
    effort: str | None = None
    refuses: frozenset[str] = _SAMPLING
    forces_tools: bool = True


# Sources: the migration guides of each model at platform.claude.com/docs.
FAMILIES: Final = (
    Family(re.compile(r"claude-sonnet-5-5"), "between_tools"),
    Family(re.compile(r"claude-(opus-5-5|fable|mythos)"), effort="low", forces_tools=False),
    Family(re.compile(r"claude-(haiku|sonnet|opus)-5|claude-opus-4-[78]"), "disabled"),
    # temperature or top_p, not both; these do not think unless asked to
    Family(re.compile(r"claude-(haiku|sonnet|opus)-4|claude-3"), refuses=frozenset({"top_p"})),
)
_UNKNOWN: Final = Family(re.compile(""), forces_tools=False)


def family_of(model: str) -> Family:
    """The family of a model; one that asks for nothing special when none fits."""
    return next((family for family in FAMILIES if family.pattern.match(model)), _UNKNOWN)


def messages_body(request: LlmRequest, model: str) -> bytes:
    """The request as JSON, with nothing in it that this model refuses."""
    family = family_of(model)
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_tokens,
        "messages": [_turn(role, list(turn)) for role, turn in groupby(alternating(request.messages), _role)],
        "stream": True,
    }
    system = request.system
    wanted = {"temperature": min(request.temperature, 1.0), "top_p": request.top_p}
    body |= {name: value for name, value in wanted.items() if value is not None and name not in family.refuses}
    if stops := [stop for stop in request.stop if stop.strip()]:  # blank ones are refused
        body["stop_sequences"] = stops
    if family.thinking is not None:
        body["thinking"] = {"type": family.thinking}
    if family.effort is not None:
        body["output_config"] = {"effort": family.effort}
    if request.schema is not None:
        shape = answer_schema(request.schema) if family.forces_tools else None
        if shape is not None:
            body["tools"] = [_tool(ANSWER_TOOL, "Gives the answer.", shape)]
            body["tool_choice"] = {"type": "tool", "name": ANSWER_TOOL, "disable_parallel_tool_use": True}
        else:
            system = f"{system}\n\n{_in_words(request.schema)}".strip()
    elif request.tools:
        body["tools"] = [_tool(tool.name, tool.description, tool_schema(tool.parameters)) for tool in request.tools]
    if system:
        body["system"] = system
    return orjson.dumps(body)


def _role(message: Message) -> str:
    return "assistant" if isinstance(message, AssistantMessage) else "user"


def _turn(role: str, turn: Iterable[Message]) -> dict[str, Any]:
    """Everything between two turns of the other side is one message; results of tools come first in it."""
    return {"role": role, "content": [block for message in turn for block in _blocks(message)]}


def _blocks(message: Message) -> list[dict[str, Any]]:
    match message:
        case UserMessage(text):
            return [{"type": "text", "text": text}]
        case ToolResult(tool_call_id, _, content):
            return [{"type": "tool_result", "tool_use_id": _id(tool_call_id), "content": content}]
        case AssistantMessage(text, tool_calls):
            said = [{"type": "text", "text": text}] if text.strip() else []
            return said + [
                {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": arguments_of(call)}
                for call in tool_calls
            ]


def _tool(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "description": description, "input_schema": schema}


def _in_words(schema: dict[str, Any]) -> str:
    return f"Answer with JSON only, no other text, that fits this JSON Schema:\n{orjson.dumps(schema).decode()}"


def _id(id_: str) -> str:
    """Ids of other vendors hold characters that are refused here."""
    return id_ if _ID.fullmatch(id_) else "toolu_" + hashlib.sha256(id_.encode()).hexdigest()[:32]
