"""Rebuilding a call from its journal: what the next worker needs to go on as if nothing had happened. Pure."""

from collections.abc import Sequence

from calliope.contracts.base import Event
from calliope.contracts.calls import ToolFinished, ToolStarted, TurnCommitted, TurnStarted
from calliope_call_worker.conversation import Turn, from_json
from calliope_call_worker.plan import Continuation


def continuation(facts: Sequence[Event], now: float) -> Continuation:
    """History of committed turns, the words nobody answered, and tools whose outcome nobody knows.

    `now` is Unix time. A turn that was started and not committed was not (wholly) heard: its words are answered anew.
    """
    history: list[Turn] = []
    turns, unanswered = 0, ""
    pending: dict[str, str] = {}
    for fact in facts:
        match fact.name:
            case "turn_started":
                started = TurnStarted.model_validate(fact.data)
                turns, unanswered = started.turn, started.text
            case "turn_committed":
                committed = TurnCommitted.model_validate(fact.data)
                if committed.messages:
                    history.append(tuple(from_json(message) for message in committed.messages))
                if committed.turn == turns:
                    unanswered = ""
            case "tool_started":
                tool = ToolStarted.model_validate(fact.data)
                pending[tool.tool_call_id] = tool.name
            case "tool_finished":
                pending.pop(ToolFinished.model_validate(fact.data).tool_call_id, None)
    started_at = facts[0].time.timestamp() if facts else now
    return Continuation(
        history=tuple(history),
        turns=turns,
        unanswered=unanswered,
        elapsed_s=max(0.0, now - started_at),
        pending_tools=tuple(pending.values()),
    )
