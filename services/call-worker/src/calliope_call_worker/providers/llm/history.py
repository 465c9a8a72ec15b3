"""Makes a conversation one that every vendor takes, whoever answered before and wherever it was cut off. Pure.

Barge-ins leave calls without results, other servers repeat their ids, and a call may begin with the assistant's words;
each of these is a 400 somewhere.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

import orjson

from calliope_call_worker.providers.llm.base import AssistantMessage, Message, ToolCall, ToolResult, UserMessage

CANCELLED: Final = "cancelled: there was no result before the conversation went on"
_OPENING: Final = UserMessage("(The call begins.)")
_SILENCE: Final = UserMessage("(The caller says nothing.)")


def settled(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Each call directly followed by its one result, each id used once; what says nothing is left out."""
    return tuple(_settle(list(messages)))


def alternating(messages: Iterable[Message]) -> tuple[Message, ...]:
    """As `settled`; moreover the caller's side has the first and the last word, as Anthropic and Gemini demand."""
    said = settled(messages)
    before = () if said and isinstance(said[0], UserMessage) else (_OPENING,)
    after = (_SILENCE,) if said and isinstance(said[-1], AssistantMessage) else ()
    return (*before, *said, *after)


def newer_half(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The conversation from the middle on, beginning with words of the caller; the last of them are always in it."""
    spoken = [number for number, message in enumerate(messages) if isinstance(message, UserMessage)]
    start = next((number for number in spoken if number >= len(messages) // 2), spoken[-1] if spoken else 0)
    return messages[start:]


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """The arguments as an object; what is none is kept under one key, for the model to see what it wrote."""
    try:
        arguments = orjson.loads(call.arguments)
    except orjson.JSONDecodeError:
        arguments = call.arguments
    return arguments if isinstance(arguments, dict) else {"arguments": arguments}


def _settle(messages: list[Message]) -> Iterator[Message]:
    used: set[str] = set()
    for number, message in enumerate(messages):
        match message:
            case ToolResult():
                continue  # given out with its call
            case AssistantMessage(tool_calls=calls) if calls:
                answers = _results_behind(messages, number)
                fresh = [_unused(call.id, used) for call in calls]
                yield replace(
                    message, tool_calls=tuple(replace(call, id=id_) for call, id_ in zip(calls, fresh, strict=True))
                )
                for call, id_ in zip(calls, fresh, strict=True):
                    found = next((answer for answer in answers if answer.tool_call_id == call.id), None)
                    if found is not None:
                        answers.remove(found)
                    yield ToolResult(id_, call.name, found.content if found is not None else CANCELLED)
            case UserMessage(text) | AssistantMessage(text):
                if text.strip():
                    yield message


def _results_behind(messages: list[Message], number: int) -> list[ToolResult]:
    results: list[ToolResult] = []
    for message in messages[number + 1 :]:
        if not isinstance(message, ToolResult):
            break
        results.append(message)
    return results


def _unused(id_: str, used: set[str]) -> str:
    fresh = id_ if id_ not in used else f"{id_}_{len(used)}"
    used.add(fresh)
    return fresh
