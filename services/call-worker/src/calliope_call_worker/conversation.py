"""What was said, as the model sees it: whole turns, and of the assistant's words only those that were heard. Pure."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import JsonValue

from calliope_call_worker.providers.llm.base import AssistantMessage, Message, ToolCall, ToolResult, UserMessage

Turn = tuple[Message, ...]


class Conversation:
    """The history of one call. Old turns are forgotten whole, so that a tool call never loses its result."""

    def __init__(self, *, max_characters: int) -> None:
        self._max_characters = max_characters
        self._turns: deque[Turn] = deque()
        self._characters = 0

    def commit(self, turn: Iterable[Message]) -> None:
        """A turn is over; an empty one leaves no trace."""
        messages = tuple(turn)
        if not messages:
            return
        self._turns.append(messages)
        self._characters += size_of(messages)
        while self._characters > self._max_characters and len(self._turns) > 1:
            self._characters -= size_of(self._turns.popleft())

    def messages(self) -> Turn:
        """The history for a request, oldest first."""
        return tuple(message for turn in self._turns for message in turn)


def size_of(messages: Iterable[Message]) -> int:
    """Characters that count towards the bound of a history."""
    return sum(
        len(message.text) + sum(len(call.arguments) for call in message.tool_calls)
        if isinstance(message, AssistantMessage)
        else len(message.content if isinstance(message, ToolResult) else message.text)
        for message in messages
    )


def to_json(message: Message) -> dict[str, JsonValue]:
    """For the journal; `opaque` stays out, it means nothing to another worker's connection."""
    match message:
        case UserMessage():
            return {"role": "user", "text": message.text}
        case ToolResult():
            return {
                "role": "tool",
                "tool_call_id": message.tool_call_id,
                "name": message.name,
                "content": message.content,
            }
        case AssistantMessage():
            calls: list[JsonValue] = [
                {"id": call.id, "name": call.name, "arguments": call.arguments} for call in message.tool_calls
            ]
            return {"role": "assistant", "text": message.text, "tool_calls": calls}


def from_json(value: Mapping[str, Any]) -> Message:
    """The message that `to_json` wrote."""
    match value["role"]:
        case "user":
            return UserMessage(value["text"])
        case "tool":
            return ToolResult(value["tool_call_id"], value["name"], value["content"])
        case _:
            calls = tuple(ToolCall(call["id"], call["name"], call["arguments"]) for call in value["tool_calls"])
            return AssistantMessage(value["text"], calls)
