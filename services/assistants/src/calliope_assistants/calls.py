"""Use cases about call records: what one organization may read of the calls that were told about.

However long a call was, an answer reads a bounded number of its events and fits one message on the bus.
"""

from typing import Final

from pydantic import JsonValue

from calliope.contracts.base import Event
from calliope.contracts.call_records import (
    CallEventPage,
    CallPage,
    CallRecord,
    CallRef,
    ListCallEvents,
    ListCalls,
    ListTranscript,
    TranscriptLine,
    TranscriptPage,
)
from calliope.errors import not_found
from calliope_assistants import pages
from calliope_assistants.ports import CallEvents, CallRow
from calliope_assistants.records import (
    MAX_RECORD_BYTES,
    MAX_TRANSCRIPT_BYTES,
    SPOKEN,
    WITHDRAWN_WITHIN,
    Transcript,
    record_of,
    structured_data_of,
)
from calliope_assistants.summaries import ANALYZED_IN

EVENTS_READ_AT_ONCE: Final = 50
"""One may have 256 KiB."""
EVENTS_EXAMINED: Final = 500
"""Looked at in one question to the store for those that a transcript is made of; rarely more than half are."""
EXAMINED_FOR_A_PAGE: Final = 5_000
"""A page of a transcript ends there, however few lines it has."""
MAX_EVENTS: Final = 1_000
MAX_LINES: Final = 5_000
"""Of a record, should they be so short that as many fit."""


class CallRecords:
    """Calls of one organization."""

    def __init__(self, organization_id: str, calls: CallEvents) -> None:
        self._organization_id = organization_id
        self._calls = calls

    async def get(self, payload: CallRef) -> CallRecord:
        """Raises: CommandError `not_found`, TransientError."""
        row = await self._row(payload.call_id)
        lines, size, lines_after = await self._transcript(payload.call_id, row, 0, MAX_LINES, MAX_TRANSCRIPT_BYTES)
        events = await self._events(payload.call_id, row, payload.after, MAX_EVENTS, MAX_RECORD_BYTES - size)
        return record_of(
            payload.call_id,
            self._organization_id,
            row,
            structured_data=await self._structured_data(payload.call_id, row),
            transcript=(lines, lines_after),
            events=events,
        )

    async def events(self, payload: ListCallEvents) -> CallEventPage:
        """In order; as many as asked for and fit. Raises: CommandError `not_found`, TransientError."""
        row = await self._row(payload.call_id)
        items, after = await self._events(payload.call_id, row, payload.after, payload.limit, pages.MAX_PAGE_BYTES)
        return CallEventPage(items=tuple(items), next_after=after, last_sequence=row.recorded.contiguous)

    async def transcript(self, payload: ListTranscript) -> TranscriptPage:
        """In order; as many as asked for and fit. Raises: CommandError `not_found`, TransientError."""
        row = await self._row(payload.call_id)
        items, _, after = await self._transcript(
            payload.call_id, row, payload.after, payload.limit, pages.MAX_PAGE_BYTES
        )
        return TranscriptPage(items=tuple(items), next_after=after)

    async def page(self, payload: ListCalls) -> CallPage:
        """Newest first; shorter than asked for when more would not fit. Raises: CommandError `invalid`."""
        before = pages.position_of(payload.cursor)
        found = await self._calls.page(self._organization_id, payload, before=before)
        items, _ = pages.fitting((call.summary for call in found.calls), pages.MAX_PAGE_BYTES)
        fits = len(items) == len(found.calls)
        after = found.next if fits else found.calls[len(items) - 1].position
        return CallPage(items=tuple(items), next_cursor=None if after is None else pages.cursor_of(after))

    async def _row(self, call_id: str) -> CallRow:
        row = await self._calls.get(self._organization_id, call_id)
        if row is None:
            raise not_found("call", call_id)
        return row

    async def _events(
        self, call_id: str, row: CallRow, after: int, limit: int, budget: int
    ) -> tuple[list[Event], int | None]:
        """Events after a sequence, and the one that the next page begins after."""
        shown: list[Event] = []
        while sequences := row.recorded.after(after, min(EVENTS_READ_AT_ONCE, limit - len(shown))):
            found = await self._calls.events(self._organization_id, call_id, sequences)
            fit, size = pages.fitting(found, budget, at_least=0 if shown else 1)
            shown += fit
            budget -= size
            if len(fit) < len(found):
                return shown, shown[-1].sequence
            after = sequences[-1]
        return shown, after if row.recorded.last > after else None

    async def _transcript(
        self, call_id: str, row: CallRow, after: int, limit: int, budget: int
    ) -> tuple[list[TranscriptLine], int, int | None]:
        """Lines after a sequence, their size, and the sequence that the next page begins after."""
        transcript = Transcript()
        looked_at, until = 0, after
        while looked_at < EXAMINED_FOR_A_PAGE and (sequences := row.recorded.after(until, EVENTS_EXAMINED)):
            transcript.add(await self._calls.events(self._organization_id, call_id, sequences, names=SPOKEN))
            looked_at, until = looked_at + len(sequences), sequences[-1]
            sure = transcript.lines[:-WITHDRAWN_WITHIN]
            if len(sure) >= limit or sum(len(line.text) for line in sure) > budget:
                break
        lines = transcript.lines
        ended = row.recorded.last <= until
        sure = lines if ended else lines[:-WITHDRAWN_WITHIN] or lines
        shown, size = pages.fitting(sure[:limit], budget)
        if len(shown) < len(sure):
            return shown, size, shown[-1].sequence
        if ended:
            return shown, size, None
        return shown, size, until if len(sure) == len(lines) else shown[-1].sequence

    async def _structured_data(self, call_id: str, row: CallRow) -> JsonValue:
        sequences = [row.summed[ANALYZED_IN]] if ANALYZED_IN in row.summed else []
        return structured_data_of(await self._calls.events(self._organization_id, call_id, sequences))
