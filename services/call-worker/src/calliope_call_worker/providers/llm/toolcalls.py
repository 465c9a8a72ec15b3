"""Puts streamed tool calls together, however sloppily a server streams them. Pure.

A fragment belongs to the call of its `index`, unless its `id` contradicts; without an index, a new `id` or a `name`
begins a new call. Missing ids are made, objects as arguments are dumped, no arguments are `{}`.
"""

import uuid
from dataclasses import dataclass
from typing import Any

import orjson

from calliope_call_worker.providers.llm.base import ToolCall


@dataclass(slots=True)
class _Partial:
    index: int | None
    id: str = ""
    name: str = ""
    arguments: str = ""
    extra: str | None = None


class ToolCallAccumulator:
    """Feed every `delta.tool_calls`; take the calls when the stream has ended, whatever its finish reason says."""

    def __init__(self) -> None:
        self._calls: list[_Partial] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    def feed(self, fragments: Any) -> None:
        """All entries of one delta; what is not an object is skipped."""
        for fragment in fragments if isinstance(fragments, list) else [fragments]:
            if isinstance(fragment, dict):
                self._feed(fragment)

    def calls(self) -> tuple[ToolCall, ...]:
        """The complete calls, in the order in which they began; what never got a name is not a call."""
        return tuple(
            ToolCall(call.id or f"call_{uuid.uuid4().hex[:24]}", call.name, call.arguments.strip() or "{}", call.extra)
            for call in self._calls
            if call.name
        )

    def _feed(self, fragment: dict[str, Any]) -> None:
        function = fragment.get("function")
        function = function if isinstance(function, dict) else {}
        id_, name = _text(fragment.get("id")), _text(function.get("name"))
        index = fragment.get("index")
        call = self._find(index if isinstance(index, int) else None, id_, name)
        call.id = call.id or id_
        call.name = call.name or name
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            call.arguments += arguments
        elif arguments is not None:
            call.arguments += orjson.dumps(arguments).decode()
        if fragment.get("extra_content") is not None:
            call.extra = orjson.dumps(fragment["extra_content"]).decode()

    def _find(self, index: int | None, id_: str, name: str) -> _Partial:
        for call in reversed(self._calls):
            if id_ and call.id == id_:
                return call
        if index is not None:
            same = [call for call in self._calls if call.index == index]
            if same and not _contradicts(same[-1], id_, name):
                return same[-1]
        elif self._calls and not _contradicts(self._calls[-1], id_, name):
            return self._calls[-1]
        self._calls.append(_Partial(index))
        return self._calls[-1]


def _contradicts(call: _Partial, id_: str, name: str) -> bool:
    """A new id, or a name for a call that has one and has been given arguments, is another call.

    Some servers repeat the name in every fragment, together with the id; those were found by their id.
    """
    if id_ and call.id and id_ != call.id:
        return True
    return bool(name and call.name and not id_ and (name != call.name or call.arguments.strip().endswith("}")))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
