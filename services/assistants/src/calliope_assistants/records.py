"""A call record, folded from the call's events. Pure: the same events give the same record, in any order."""

from collections.abc import Iterable
from typing import Any, Final

from calliope.contracts.base import Event
from calliope.contracts.call_records import CallRecord, TranscriptLine
from calliope.contracts.calls import CallAnalyzed, TurnCommitted, TurnStarted
from calliope_assistants.pages import fitting
from calliope_assistants.summaries import read, row_of, summary_of

MAX_RECORD_BYTES: Final = 220_000
"""Of transcript and events together: an answer on the bus is at most 256 KiB."""
MAX_TRANSCRIPT_BYTES: Final = 150_000
"""Some three hours of talk; what is said after that is in the events."""


def record_of(call_id: str, events: Iterable[Event], *, after: int = 0) -> CallRecord:
    """The record; of its events those after a sequence, as many as fit one answer."""
    ordered = sorted({event.sequence: event for event in events}.values(), key=lambda event: event.sequence)
    organization_id = ordered[0].organization if ordered else "unknown"
    transcript, size = fitting(_transcript(ordered), MAX_TRANSCRIPT_BYTES)
    shown, _ = fitting([event for event in ordered if event.sequence > after], MAX_RECORD_BYTES - size)
    more = bool(shown) and shown[-1].sequence < ordered[-1].sequence
    return CallRecord.model_validate(
        {
            **summary_of(call_id, organization_id, row_of(ordered)).model_dump(),
            "structured_data": _structured_data(ordered),
            "transcript": transcript,
            "events": shown,
            "more_events_after": shown[-1].sequence if more else None,
            "last_sequence": _contiguous(ordered),
        }
    )


def _structured_data(ordered: Iterable[Event]) -> Any:
    data = None
    for event in ordered:
        if event.name == "analyzed" and (analyzed := read(event, CallAnalyzed)) is not None:
            data = analyzed.structured_data
    return data


def _transcript(events: Iterable[Event]) -> list[TranscriptLine]:
    """The caller's words when their turn began, the assistant's when they had been heard.

    A turn that begins again under its number had been withdrawn unheard: the later words hold the earlier ones.
    """
    lines: list[TranscriptLine] = []
    for event in events:
        if event.name == "turn_started" and (said := read(event, TurnStarted)) is not None:
            lines = [line for line in lines if not (line.role == "user" and line.turn == said.turn)]
            lines.append(TranscriptLine(role="user", text=said.text, turn=said.turn, at=event.time))
        elif event.name == "turn_committed" and (turn := read(event, TurnCommitted)) and turn.assistant_text:
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


def _contiguous(events: list[Event]) -> int:
    last = 0
    for event in events:
        if event.sequence != last + 1:
            break
        last = event.sequence
    return last
