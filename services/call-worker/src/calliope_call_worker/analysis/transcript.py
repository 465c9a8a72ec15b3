"""What was said in a call, from its facts one by one, as lines that a model reads as material. Pure."""

from collections import deque
from dataclasses import dataclass
from typing import Final

import orjson

from calliope.contracts.base import Event
from calliope.contracts.calls import ToolFinished, ToolStarted, TurnCommitted, TurnStarted

MAX_TEXT: Final = 4_000
"""Characters of one turn or one tool result; what is longer is cut, and says so."""


@dataclass(slots=True, eq=False)
class _Line:
    """As JSON, so that no words can pass for another speaker's line. `turn` of a caller's line only."""

    text: str
    turn: int | None = None

    @property
    def size(self) -> int:
        """With the end of the line."""
        return len(self.text) + 1


class Transcript:
    """The latest lines of a call: as many as fit, one at least, however long the call was.

    One line a side and turn, and one a tool, as it was heard and done. A turn that begins again under its number had
    been withdrawn unheard: the later words hold the earlier ones.
    """

    def __init__(self, *, max_characters: int) -> None:
        self.caller_spoke = False
        """Whether there is anything to analyse."""
        self._max_characters = max_characters
        self._lines: deque[_Line] = deque()
        self._size = 0
        self._left_out = 0

    def add(self, fact: Event) -> None:
        """The next fact of the call. Raises: ValidationError, when it is not valid for this version."""
        match fact.name:
            case "turn_started":
                turn = TurnStarted.model_validate(fact.data)
                self._withdraw(turn.turn)
                self.caller_spoke = self.caller_spoke or bool(turn.text.strip())
                self._keep({"caller": _cut(turn.text)}, turn.turn)
            case "turn_committed":
                said = TurnCommitted.model_validate(fact.data)
                if said.assistant_text.strip():
                    self._keep({"assistant": _cut(said.assistant_text)} | _cut_short(said.interrupted))
            case "tool_started":
                tool = ToolStarted.model_validate(fact.data)
                self._keep({"tool": tool.name, "arguments": _cut(orjson.dumps(tool.arguments).decode())})
            case "tool_finished":
                done = ToolFinished.model_validate(fact.data)
                self._keep({"tool": done.name, "ok": done.ok, "result": _cut(done.result)})

    def written(self) -> str:
        """JSON lines, oldest first; where earlier ones did not fit, the first line says how many."""
        note = {"note": f"{self._left_out} earlier lines are left out"}
        first = [orjson.dumps(note).decode()] if self._left_out else []
        return "\n".join((*first, *(line.text for line in self._lines)))

    def _keep(self, line: dict[str, object], turn: int | None = None) -> None:
        kept = _Line(orjson.dumps(line).decode(), turn)
        self._lines.append(kept)
        self._size += kept.size
        while self._size > self._max_characters and len(self._lines) > 1:
            self._size -= self._lines.popleft().size
            self._left_out += 1

    def _withdraw(self, turn: int) -> None:
        """Forget the caller's line of this turn; only the latest turn begins again."""
        line = next((line for line in reversed(self._lines) if line.turn is not None), None)
        if line is not None and line.turn == turn:
            self._lines.remove(line)
            self._size -= line.size


def _cut(text: str) -> str:
    text = text.strip()
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} [cut]"


def _cut_short(interrupted: bool) -> dict[str, object]:
    return {"interrupted": True} if interrupted else {}
