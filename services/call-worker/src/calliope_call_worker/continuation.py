"""Rebuilding a call from its journal: what the next worker needs to go on as if nothing had happened. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import orjson

from calliope.contracts.base import Event
from calliope.contracts.calls import ToolFinished, ToolStarted, TurnCommitted, TurnStarted
from calliope_call_worker.conversation import Turn, from_json
from calliope_call_worker.plan import Continuation
from calliope_call_worker.providers.llm.base import ToolCall, ToolResult

MAX_TRIES: Final = 3
"""So often in a row a call is taken over without its media coming."""


_TRIES: Final = {"resumed": 1, "abandoned": -1}


def continuation(facts: Sequence[Event], now: float) -> Continuation:
    """History of committed turns, the words nobody answered, and what their turn's tools had done.

    `now` is Unix time. A turn that was started and not committed was not (wholly) heard: its words are answered anew,
    under its number, behind the results of its tools.
    """
    history: list[Turn] = []
    open_turn: TurnStarted | None = None
    turns = 0
    started: dict[str, ToolStarted] = {}
    finished: dict[str, ToolFinished] = {}
    for fact in facts:
        match fact.name:
            case "turn_started":
                open_turn = TurnStarted.model_validate(fact.data)
                turns = open_turn.turn
            case "turn_committed":
                committed = TurnCommitted.model_validate(fact.data)
                if committed.messages:
                    history.append(tuple(from_json(message) for message in committed.messages))
                if open_turn is not None and committed.turn == open_turn.turn:
                    open_turn = None
            case "tool_started":
                tool = ToolStarted.model_validate(fact.data)
                started[tool.tool_call_id] = tool
            case "tool_finished":
                done = ToolFinished.model_validate(fact.data)
                finished[done.tool_call_id] = done
    begun = [one for one in started.values() if open_turn is not None and one.turn == open_turn.turn]
    return Continuation(
        history=tuple(history),
        turns=turns if open_turn is None else open_turn.turn - 1,
        unanswered="" if open_turn is None else open_turn.text,
        elapsed_s=max(0.0, now - facts[0].time.timestamp()) if facts else 0.0,
        tools_done=tuple(_done(one, finished[one.tool_call_id]) for one in begun if one.tool_call_id in finished),
        tools_unknown={one.name: one.idempotency_key for one in begun if one.tool_call_id not in finished},
    )


def _done(started: ToolStarted, finished: ToolFinished) -> tuple[ToolCall, ToolResult]:
    arguments = orjson.dumps(started.arguments).decode()
    call = ToolCall(started.tool_call_id, started.name, arguments)
    return call, ToolResult(started.tool_call_id, started.name, finished.result)


def ended(facts: Sequence[Event]) -> bool:
    """Whether the call has its end; only its analysis may come after that."""
    return any(fact.name == "ended" for fact in facts)


def resumed_since(facts: Sequence[Event], since: datetime | None) -> bool:
    """Whether a worker has begun to go on with the call since then; its media flows or is on the way."""
    resumed: list[datetime] = []
    for fact in facts:
        if fact.name == "resumed":
            resumed.append(fact.time)
        elif fact.name == "abandoned":
            del resumed[-1:]  # it was not sure that it had the call, and left it
    return since is not None and any(time > since for time in resumed)


def outdated(facts: Sequence[Event], at: datetime | None) -> bool:
    """Whether news of a lost stream, as old as `at`, come too late: the call was taken over since.

    Also when enough workers took it over in a row and none got its media; the last one ends it. `None` is never late.
    """
    if at is None:
        return False
    if resumed_since(facts, at):
        return True
    tries = 0
    for fact in facts:
        tries = 0 if fact.name == "answered" else max(0, tries + _TRIES.get(fact.name, 0))
    return tries >= MAX_TRIES
