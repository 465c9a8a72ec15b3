"""Makes a conversation one that every vendor takes, whoever answered before and wherever it was cut off. Pure.

Models write calls that no vendor takes back, barge-ins leave calls without results, other servers repeat their ids, and
a call may begin with the assistant's words; each of these is a 400 somewhere.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

import orjson

from calliope_call_worker.providers.llm.base import AssistantMessage, Message, ToolCall, ToolResult, UserMessage
from calliope_call_worker.providers.llm.lenient import read_arguments, whole_characters

MAX_NAME: Final = 64
MAX_SHOWN: Final = 500  # characters of what a model wrote badly: enough to see it, too few to fill its memory
_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")
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
        arguments = read_arguments(call.arguments)
    except ValueError:
        arguments = whole_characters(call.arguments)[:MAX_SHOWN]
    return arguments if isinstance(arguments, dict) else {"arguments": arguments}


def harmless(call: ToolCall) -> ToolCall:
    """The call as every vendor takes it back, whatever the model wrote; one that is well formed is not touched."""
    name = call.name if _NAME.fullmatch(call.name) else _name(call.name)
    try:
        well_formed = isinstance(orjson.loads(call.arguments), dict)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        well_formed = False
    arguments = call.arguments if well_formed else orjson.dumps(arguments_of(call)).decode()
    return replace(call, id=whole_characters(call.id).strip() or "call", name=name, arguments=arguments)


def _name(written: str) -> str:
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", written)[:MAX_NAME]
    return name if _NAME.fullmatch(name) else f"_{name}"[:MAX_NAME]


def _settle(messages: list[Message]) -> Iterator[Message]:
    used: set[str] = set()
    for number, message in enumerate(messages):
        match message:
            case ToolResult():
                continue  # given out with its call
            case AssistantMessage(tool_calls=calls) if calls:
                answers = _results_behind(messages, number)
                fresh = [(replace(one, id=_unused(one.id, used))) for one in map(harmless, calls)]
                yield replace(message, tool_calls=tuple(fresh))
                for call, taken in zip(calls, fresh, strict=True):
                    found = next((answer for answer in answers if answer.tool_call_id == call.id), None)
                    if found is not None:
                        answers.remove(found)
                    yield ToolResult(taken.id, taken.name, found.content if found is not None else CANCELLED)
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
