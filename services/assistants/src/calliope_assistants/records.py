"""A call record, folded from the call's events. Pure: the same events give the same record, in any order."""

from collections.abc import Iterable
from typing import Final

from calliope.contracts.base import Event
from calliope.contracts.calls import (
    CallAnalyzed,
    CallEnded,
    CallRecord,
    CallStarted,
    CallStatus,
    TranscriptLine,
    TurnCommitted,
    TurnStarted,
)

MAX_EVENT_BYTES: Final = 150_000  # a reply on the bus is at most 256 KiB, transcript included


def record_of(call_id: str, events: Iterable[Event], *, after: int = 0) -> CallRecord:
    """The record; of its events those after a sequence, as many as fit one answer."""
    ordered = sorted({event.sequence: event for event in events}.values(), key=lambda event: event.sequence)
    facts: dict[str, object] = {"status": CallStatus.RINGING}
    for event in ordered:
        facts |= _told_by(event)
    shown, more = _page([event for event in ordered if event.sequence > after])
    return CallRecord.model_validate(
        {
            "id": call_id,
            "organization_id": ordered[0].organization if ordered else "unknown",
            **facts,
            "transcript": _transcript(ordered),
            "events": shown,
            "more_events_after": more,
            "last_sequence": _contiguous(ordered),
        }
    )


def _told_by(event: Event) -> dict[str, object]:
    match event.name:
        case "started":
            started = CallStarted.model_validate(event.data)
            return {**started.model_dump(exclude={"worker_id"}), "started_at": event.time}
        case "answered":
            return {"answered_at": event.time, "status": CallStatus.IN_PROGRESS}
        case "ended":
            ended = CallEnded.model_validate(event.data)
            return {
                "ended_at": event.time,
                "status": CallStatus.ENDED,
                "ended_reason": ended.reason,
                "duration_ms": ended.duration_ms,
            }
        case "analyzed":
            analyzed = CallAnalyzed.model_validate(event.data)
            return {
                "analysis_status": analyzed.status,
                "summary": analyzed.summary,
                "structured_data": analyzed.structured_data,
            }
        case _:
            return {}


def _transcript(events: Iterable[Event]) -> list[TranscriptLine]:
    """The caller's words when their turn began, the assistant's when they had been heard.

    A turn that begins again under its number had been withdrawn unheard: the later words hold the earlier ones.
    """
    lines: list[TranscriptLine] = []
    for event in events:
        if event.name == "turn_started":
            said = TurnStarted.model_validate(event.data)
            lines = [line for line in lines if not (line.role == "user" and line.turn == said.turn)]
            lines.append(TranscriptLine(role="user", text=said.text, turn=said.turn, at=event.time))
        elif event.name == "turn_committed":
            turn = TurnCommitted.model_validate(event.data)
            if turn.assistant_text:
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


def _page(events: list[Event]) -> tuple[list[Event], int | None]:
    size = 0
    shown: list[Event] = []
    for event in events:
        size += len(event.model_dump_json())
        if size > MAX_EVENT_BYTES and shown:
            return shown, shown[-1].sequence
        shown.append(event)
    return shown, None


def _contiguous(events: list[Event]) -> int:
    last = 0
    for event in events:
        if event.sequence != last + 1:
            break
        last = event.sequence
    return last
