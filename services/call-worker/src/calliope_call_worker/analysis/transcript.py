"""What was said in a call, from its journal, as lines that a model reads as material. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

import orjson

from calliope.contracts.base import Event
from calliope.contracts.calls import ToolFinished, ToolStarted, TurnCommitted, TurnStarted

MAX_TEXT: Final = 4_000
"""Characters of one turn or one tool result; what is longer is cut, and says so."""

Line = dict[str, object]


def lines_of(facts: Iterable[Event]) -> list[Line]:
    """One line a side and turn, and one a tool, as it was heard and done.

    A turn that begins again under its number had been withdrawn unheard: the later words hold the earlier ones.
    """
    lines: list[Line] = []
    asked: dict[int, Line] = {}
    tools: dict[str, ToolStarted] = {}
    for fact in facts:
        match fact.name:
            case "turn_started":
                turn = TurnStarted.model_validate(fact.data)
                if (withdrawn := asked.pop(turn.turn, None)) is not None:
                    lines = [line for line in lines if line is not withdrawn]
                lines.append(asked.setdefault(turn.turn, {"caller": _cut(turn.text)}))
            case "turn_committed":
                said = TurnCommitted.model_validate(fact.data)
                if said.assistant_text.strip():
                    lines.append({"assistant": _cut(said.assistant_text)} | _cut_short(said.interrupted))
            case "tool_started":
                tool = ToolStarted.model_validate(fact.data)
                tools[tool.tool_call_id] = tool
                lines.append({"tool": tool.name, "arguments": _cut(orjson.dumps(tool.arguments).decode())})
            case "tool_finished":
                done = ToolFinished.model_validate(fact.data)
                lines.append({"tool": done.name, "ok": done.ok, "result": _cut(done.result)})
    return lines


def caller_spoke(lines: Iterable[Line]) -> bool:
    """Whether there is anything to analyse."""
    return any(str(line.get("caller", "")).strip() for line in lines)


def written(lines: Sequence[Line], *, max_characters: int) -> str:
    """JSON lines, oldest first; what does not fit is left out from the front, and the first line says how much.

    JSON, so that no words can pass for another speaker's line.
    """
    kept: list[str] = []
    size = 0
    for line in reversed(lines):
        text = orjson.dumps(line).decode()
        size += len(text) + 1
        if kept and size > max_characters:
            break
        kept.append(text)
    left_out = len(lines) - len(kept)
    if left_out:
        kept.append(orjson.dumps({"note": f"{left_out} earlier lines are left out"}).decode())
    return "\n".join(reversed(kept))


def _cut(text: str) -> str:
    text = text.strip()
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} [cut]"


def _cut_short(interrupted: bool) -> Line:
    return {"interrupted": True} if interrupted else {}
