"""A call record, folded from the call's events. Pure: the same events give the same record, in any order."""

from collections.abc import Iterable
from typing import Final, TypeVar

from pydantic import ValidationError

from calliope.contracts.base import Event, Message
from calliope.contracts.calls import (
    CallAnalyzed,
    CallEnded,
    CallProblem,
    CallRecord,
    CallStarted,
    CallStatus,
    ProviderFailed,
    TranscriptLine,
    TurnCommitted,
    TurnStarted,
)
from calliope_assistants.pages import fitting

MAX_RECORD_BYTES: Final = 220_000
"""Of transcript and events together: an answer on the bus is at most 256 KiB."""
MAX_TRANSCRIPT_BYTES: Final = 150_000
"""Some three hours of talk; what is said after that is in the events."""
MAX_PROBLEMS: Final = 20
"""Ways to fail, not failures: each is told once, with its count."""

FactT = TypeVar("FactT", bound=Message)


def record_of(call_id: str, events: Iterable[Event], *, after: int = 0) -> CallRecord:
    """The record; of its events those after a sequence, as many as fit one answer."""
    ordered = sorted({event.sequence: event for event in events}.values(), key=lambda event: event.sequence)
    facts: dict[str, object] = {"status": CallStatus.RINGING}
    for event in ordered:
        facts |= _told_by(event)
    transcript, size = fitting(_transcript(ordered), MAX_TRANSCRIPT_BYTES)
    shown, _ = fitting([event for event in ordered if event.sequence > after], MAX_RECORD_BYTES - size)
    more = bool(shown) and shown[-1].sequence < ordered[-1].sequence
    return CallRecord.model_validate(
        {
            "id": call_id,
            "organization_id": ordered[0].organization if ordered else "unknown",
            **facts,
            "problems": _problems(ordered),
            "transcript": transcript,
            "events": shown,
            "more_events_after": shown[-1].sequence if more else None,
            "last_sequence": _contiguous(ordered),
        }
    )


def _told_by(event: Event) -> dict[str, object]:
    match event.name:
        case "started" if (started := _read(event, CallStarted)) is not None:
            return {**started.model_dump(exclude={"worker_id"}), "started_at": event.time}
        case "answered":
            return {"answered_at": event.time, "status": CallStatus.IN_PROGRESS}
        case "ended" if (ended := _read(event, CallEnded)) is not None:
            return {
                "ended_at": event.time,
                "status": CallStatus.ENDED,
                "ended_reason": ended.reason,
                "duration_ms": ended.duration_ms,
            }
        case "analyzed" if (analyzed := _read(event, CallAnalyzed)) is not None:
            return {
                "analysis_status": analyzed.status,
                "analysis_error": analyzed.error,
                "summary": analyzed.summary,
                "structured_data": analyzed.structured_data,
            }
        case _:
            return {}


def _read(event: Event, fact: type[FactT]) -> FactT | None:
    """The event's data; None when it cannot be read: it stays among the events and spoils nothing else."""
    try:
        return fact.model_validate(event.data)
    except ValidationError:
        return None


def _transcript(events: Iterable[Event]) -> list[TranscriptLine]:
    """The caller's words when their turn began, the assistant's when they had been heard.

    A turn that begins again under its number had been withdrawn unheard: the later words hold the earlier ones.
    """
    lines: list[TranscriptLine] = []
    for event in events:
        if event.name == "turn_started" and (said := _read(event, TurnStarted)) is not None:
            lines = [line for line in lines if not (line.role == "user" and line.turn == said.turn)]
            lines.append(TranscriptLine(role="user", text=said.text, turn=said.turn, at=event.time))
        elif event.name == "turn_committed" and (turn := _read(event, TurnCommitted)) and turn.assistant_text:
            lines.append(
                TranscriptLine(
                    role="assistant",
                    text=turn.assistant_text,
                    turn=turn.turn,
                    at=event.time,
                    interrupted=turn.interrupted,
                )
            )
    return lines


def _problems(events: Iterable[Event]) -> list[CallProblem]:
    """Providers that failed, in the order in which each failed first in its way."""
    problems: dict[tuple[str, str, str], CallProblem] = {}
    for event in events:
        if event.name != "provider_failed" or (failed := _read(event, ProviderFailed)) is None:
            continue
        kind = (failed.stage, failed.provider, failed.reason)
        known = problems.get(kind)
        if known is None and len(problems) >= MAX_PROBLEMS:
            continue
        problems[kind] = CallProblem(
            stage=failed.stage,
            provider=failed.provider,
            reason=failed.reason,
            detail=failed.detail,
            action=failed.action,
            count=known.count + 1 if known else 1,
            first_at=known.first_at if known else event.time,
            last_at=event.time,
        )
    return list(problems.values())


def _contiguous(events: list[Event]) -> int:
    last = 0
    for event in events:
        if event.sequence != last + 1:
            break
        last = event.sequence
    return last
