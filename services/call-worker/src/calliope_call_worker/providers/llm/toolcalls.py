"""Puts streamed tool calls together, however sloppily a server streams them. Pure.

A piece belongs to the call of its `index`, or to the one that is being written; only a piece with a `name` begins
another, when its `id` or the name differs. Missing ids are made, objects as arguments are dumped, none are `{}`.
"""

import uuid
from dataclasses import dataclass, field
from typing import Any

import orjson

from calliope_call_worker.providers.llm.base import ToolCall
from calliope_call_worker.providers.llm.lenient import read_json


@dataclass(slots=True)
class _Partial:
    index: int | None
    id: str = ""
    name: str = ""
    arguments: str = ""
    extra: str | None = None
    ids: set[str] = field(default_factory=set)

    @property
    def is_whole(self) -> bool:
        """Whether its arguments are complete."""
        return self.arguments.strip().endswith("}") and _is_json(self.arguments)

    def is_followed_by(self, id_: str, name: str, arguments: str) -> bool:
        """Whether a piece begins another call. One without a name never does, whatever its id."""
        if not name or not self.name:
            return False
        if id_ and self.id and id_ != self.id:  # some give every piece an id of its own, and its name again
            goes_on = (
                self.arguments.strip() and not self.is_whole and arguments and not arguments.lstrip().startswith("{")
            )
            return name != self.name or not goes_on
        return not id_ and (name != self.name or self.arguments.strip().endswith("}"))


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
        index, arguments = fragment.get("index"), function.get("arguments")
        if arguments is not None and not isinstance(arguments, str):
            arguments = orjson.dumps(arguments).decode()
        call = self._find(index if isinstance(index, int) else None, id_, name, arguments or "")
        call.id = call.id or id_
        call.ids.add(id_)
        call.name = call.name or name
        call.arguments += arguments or ""
        if fragment.get("extra_content") is not None:
            call.extra = orjson.dumps(fragment["extra_content"]).decode()

    def _find(self, index: int | None, id_: str, name: str, arguments: str) -> _Partial:
        """The call that a piece belongs to: by its index, among those by its id, else the one that is being written."""
        same = [call for call in self._calls if index is None or call.index in {index, None}]
        if not same and not name:  # an index that counts pieces, not calls
            same = [call for call in self._calls[-1:] if id_ in call.ids or (not id_ and not call.is_whole)]
        for call in reversed(same):
            if id_ and id_ in call.ids:
                return call
        if same and not same[-1].is_followed_by(id_, name, arguments):
            return same[-1]
        self._calls.append(_Partial(index))
        return self._calls[-1]


def _is_json(text: str) -> bool:
    try:
        read_json(text)
    except ValueError:
        return False
    return True


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
