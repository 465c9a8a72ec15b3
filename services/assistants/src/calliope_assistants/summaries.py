"""Call summaries: what each event of a call adds to what lists show of it. Pure.

A summary is the sum of what its events say, each taken once: sums, greatest and least values, so that the order in
which events arrive means nothing. What has to be "the last" or "the first" is compared by the event's sequence.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from calliope.contracts.base import Event, Message
from calliope.contracts.call_records import CallProblem, CallStatus, CallSummary, ToolUse
from calliope.contracts.calls import (
    CallAnalyzed,
    CallAnswered,
    CallEnded,
    CallRefused,
    CallStarted,
    EndReason,
    ProviderFailed,
    ToolFinished,
    ToolStarted,
    TurnStarted,
)
from calliope_assistants.pages import position

SUMMARY_VERSION: Final = 3
"""Counts changes of what summaries hold; rows of another version are built anew from their events."""
ANALYZED_IN: Final = "analyzed_in"
"""Sequence of the event that has the structured data: too large for a row that lists read."""
MAX_PROBLEMS: Final = 20
"""Ways to fail, not failures: each is told once, with its count."""
STATUSES: Final = (CallStatus.RINGING, CallStatus.IN_PROGRESS, CallStatus.ENDED)
"""A call only ever moves on: its status is the furthest that an event tells."""
_OF_THE_CALL: Final = {
    "direction", "from_number", "to_number", "assistant_id", "assistant_revision", "carrier", "carrier_call_id",
}  # fmt: skip
_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

FactT = TypeVar("FactT", bound=Message)
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What one event adds to a row. Keys are paths such as `tools.book.calls`."""

    put: dict[str, Any] = field(default_factory=dict)
    add: dict[str, int] = field(default_factory=dict)
    greatest: dict[str, Any] = field(default_factory=dict)
    least: dict[str, Any] = field(default_factory=dict)


def change_of(event: Event) -> Change:
    """What an event adds. One whose data cannot be read counts as an event, and says nothing."""
    change = _change_of(event)
    change.add["event_count"] = 1
    return change


def row_of(events: Iterable[Event]) -> dict[str, Any]:
    """The row that a store has after these events, each taken once."""
    row: dict[str, Any] = {}
    for event in {event.sequence: event for event in events}.values():
        add_to(row, event)
    return row


def add_to(row: dict[str, Any], event: Event) -> None:
    """Change a row by an event that it does not hold yet."""
    change = change_of(event)
    for path, value in change.put.items():
        _put(row, path, lambda _, value=value: value)
    for path, value in change.add.items():
        _put(row, path, lambda known, value=value: (known or 0) + value)
    for path, value in change.greatest.items():
        _put(row, path, lambda known, value=value: value if known is None else max(known, value))
    for path, value in change.least.items():
        _put(row, path, lambda known, value=value: value if known is None else min(known, value))


def summary_of(call_id: str, organization_id: str, row: Row) -> CallSummary:
    """The summary that a row holds."""
    told: dict[str, Any] = {}
    for text in row.get("told", {}).values():
        told |= _said(text)
    kinds = sorted(row.get("problems", {}).values(), key=lambda kind: str(kind["first"]))
    tools = row.get("tools", {})
    return CallSummary.model_validate(
        {
            "id": call_id,
            "organization_id": organization_id,
            **told,
            "status": STATUSES[row.get("status", 0)],
            "turns": row.get("turns", 0),
            "interruptions": row.get("interruptions", 0),
            "takeovers": row.get("takeovers", 0),
            "longest_takeover_silence_ms": row.get("longest_takeover_silence_ms"),
            "tools": [ToolUse(name=name, **tools[name]) for name in sorted(tools)],
            "problems": [_problem(kind) for kind in kinds[:MAX_PROBLEMS]],
            "problem_count": sum(kind["count"] for kind in kinds),
            "event_count": row.get("event_count", 0),
        }
    )


def read(event: Event, fact: type[FactT]) -> FactT | None:
    """The event's data; None when it cannot be read: it stays among the events and spoils nothing else."""
    try:
        return fact.model_validate(event.data)
    except ValidationError:
        return None


def _change_of(event: Event) -> Change:
    match event.name:
        case "started" if started := read(event, CallStarted):
            return _began(event, started, status=0)
        case "refused" if refused := read(event, CallRefused):
            return _refused(event, refused)
        case "answered":
            told = _sequenced(event, {"answered_at": _at(event)})
            answered = read(event, CallAnswered)
            silence_ms = None if answered is None else answered.silence_ms
            silence = {} if silence_ms is None else {"longest_takeover_silence_ms": silence_ms}
            return Change(greatest={"status": 1} | silence, least={"told.answered": told})
        case "turn_started" if turn := read(event, TurnStarted):
            return Change(greatest={"turns": turn.turn})
        case "interrupted":
            return Change(add={"interruptions": 1})
        case "resumed":
            return Change(add={"takeovers": 1})
        case "tool_started" if (tool := read(event, ToolStarted)) and _WORD.fullmatch(tool.name):
            return Change(add={f"tools.{tool.name}.calls": 1})
        case "tool_finished" if (done := read(event, ToolFinished)) and not done.ok and _WORD.fullmatch(done.name):
            return Change(add={f"tools.{done.name}.failed": 1})
        case "provider_failed" if failed := read(event, ProviderFailed):
            return _failed(event, failed)
        case "ended" if ended := read(event, CallEnded):
            says = {"ended_reason": ended.reason, "ended_detail": ended.detail, "duration_ms": ended.duration_ms}
            said = ended.model_dump(mode="json", include={"ended_at"})["ended_at"]
            told = _sequenced(event, {**says, "ended_at": said or _at(event)})
            return Change(put={"ended_reason": str(ended.reason)}, greatest={"status": 2, "told.ended": told})
        case "analyzed" if analyzed := read(event, CallAnalyzed):
            says = {"analysis_status": analyzed.status, "analysis_error": analyzed.error, "summary": analyzed.summary}
            return Change(greatest={"told.analyzed": _sequenced(event, says), ANALYZED_IN: event.sequence})
        case _:
            return Change()


def _began(event: Event, fact: CallStarted | CallRefused, *, status: int, **says: Any) -> Change:
    """A call has one such event, and it is its first; so what lists go by may simply be put."""
    listed_by = {
        "order": position(event.time, event.entity_id),
        "assistant_id": fact.assistant_id,
        "from_number": fact.from_number,
        "to_number": fact.to_number,
    }
    told = {**fact.model_dump(mode="json", include=_OF_THE_CALL), "started_at": _at(event), **says}
    return Change(put=listed_by, greatest={"status": status, "told.began": _sequenced(event, told)})


def _refused(event: Event, refused: CallRefused) -> Change:
    """Begun and over at once."""
    reason = EndReason.REFUSED.value
    says = {"ended_reason": reason, "ended_detail": refused.detail, "refusal": refused.code, "duration_ms": 0.0}
    change = _began(event, refused, status=2, ended_at=_at(event), **says)
    change.put["ended_reason"] = reason
    return change


def _failed(event: Event, failed: ProviderFailed) -> Change:
    """Told by kind: what failed, and in which way."""
    kind = hashlib.sha256("\x1f".join((failed.stage, failed.provider, failed.reason)).encode()).hexdigest()[:16]
    says = failed.model_dump(mode="json", include={"stage", "provider", "reason", "detail", "action"})
    words = filter(_WORD.fullmatch, ("any", failed.stage, failed.provider, failed.reason))
    return Change(
        put={f"failed.{word}": 1 for word in words},
        add={f"problems.k{kind}.count": 1},
        greatest={f"problems.k{kind}.last": _sequenced(event, {**says, "last_at": _at(event)})},
        least={f"problems.k{kind}.first": _sequenced(event, {"first_at": _at(event)})},
    )


def _problem(kind: Row) -> CallProblem:
    return CallProblem.model_validate({**_said(kind["last"]), **_said(kind["first"]), "count": kind["count"]})


def _at(event: Event) -> Any:
    return event.model_dump(mode="json", include={"time"})["time"]


def _sequenced(event: Event, says: Mapping[str, Any]) -> str:
    """Text that sorts by sequence."""
    return f"{event.sequence:012d}|{json.dumps(says)}"


def _said(text: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(text.partition("|")[2])
    return said


def _put(row: dict[str, Any], path: str, value: Any) -> None:
    *outer, last = path.split(".")
    for name in outer:
        row = row.setdefault(name, {})
    row[last] = value(row.get(last))
