"""A call record, made of what is summed up of a call and of a bounded part of its events. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from pydantic import JsonValue

from calliope.contracts.base import Event
from calliope.contracts.call_records import CallRecord, Speaker, TranscriptLine
from calliope.contracts.calls import CallAnalyzed, TurnCommitted, TurnStarted
from calliope_assistants.ports import CallRow
from calliope_assistants.summaries import read, summary_of

MAX_RECORD_BYTES: Final = 220_000
"""Of transcript and events together: an answer on the bus is at most 256 KiB."""
MAX_TRANSCRIPT_BYTES: Final = 150_000
"""Some three hours of talk; what is said after that is on the pages of the transcript."""
SPOKEN: Final = ("turn_started", "turn_committed")
"""The events that a transcript is made of."""
WITHDRAWN_WITHIN: Final = 16
"""Lines between one that was withdrawn and the one that replaces it, at most."""


def record_of(
    call_id: str,
    organization_id: str,
    row: CallRow,
    *,
    structured_data: JsonValue,
    transcript: tuple[Sequence[TranscriptLine], int | None],
    events: tuple[Sequence[Event], int | None],
) -> CallRecord:
    """The record; transcript and events each with the sequence that the next page begins after."""
    (lines, more_transcript_after), (shown, more_events_after) = transcript, events
    return CallRecord.model_validate(
        {
            **summary_of(call_id, organization_id, row.summed).model_dump(),
            "structured_data": structured_data,
            "transcript": lines,
            "more_transcript_after": more_transcript_after,
            "events": shown,
            "more_events_after": more_events_after,
            "last_sequence": row.recorded.contiguous,
        }
    )


def structured_data_of(events: Iterable[Event]) -> JsonValue:
    """What the analysis found; None without one."""
    data = None
    for event in events:
        if event.name == "analyzed" and (analyzed := read(event, CallAnalyzed)) is not None:
            data = analyzed.structured_data
    return data


class Transcript:
    """What both sides said: the caller's words when their turn began, the assistant's when they had been heard.

    A turn that begins again under its number had been withdrawn unheard: the later words hold the earlier ones.
    """

    def __init__(self) -> None:
        self._lines: dict[int, TranscriptLine] = {}
        self._began: dict[int, int] = {}

    @property
    def lines(self) -> list[TranscriptLine]:
        """In order."""
        return list(self._lines.values())

    def add(self, events: Iterable[Event]) -> None:
        """Take in the next events, in order."""
        for event in events:
            if event.name == "turn_started" and (said := read(event, TurnStarted)) is not None:
                self._lines.pop(self._began.get(said.turn, 0), None)
                self._began[said.turn] = event.sequence
                self._add(event, role=Speaker.USER, text=said.text, turn=said.turn)
            elif event.name == "turn_committed" and (turn := read(event, TurnCommitted)) and turn.assistant_text:
                text, interrupted = turn.assistant_text, turn.interrupted
                self._add(event, role=Speaker.ASSISTANT, text=text, turn=turn.turn, interrupted=interrupted)

    def _add(self, event: Event, *, role: Speaker, text: str, turn: int, interrupted: bool = False) -> None:
        self._lines[event.sequence] = TranscriptLine(
            role=role, text=text, turn=turn, at=event.time, sequence=event.sequence, interrupted=interrupted
        )
