"""Use cases about call records: what one organization may read of the calls that were told about."""

from calliope.contracts.call_records import CallPage, CallRecord, CallRef, ListCalls
from calliope.errors import not_found
from calliope_assistants import pages
from calliope_assistants.ports import CallEvents
from calliope_assistants.records import record_of


class CallRecords:
    """Calls of one organization."""

    def __init__(self, organization_id: str, calls: CallEvents) -> None:
        self._organization_id = organization_id
        self._calls = calls

    async def get(self, payload: CallRef) -> CallRecord:
        """Raises: CommandError `not_found`, TransientError."""
        found = await self._calls.of_call(self._organization_id, payload.call_id)
        if not found:
            raise not_found("call", payload.call_id)
        return record_of(payload.call_id, found, after=payload.after)

    async def page(self, payload: ListCalls) -> CallPage:
        """Newest first; shorter than asked for when more would not fit. Raises: CommandError `invalid`."""
        before = pages.position_of(payload.cursor)
        wanted = payload.model_copy(update={"limit": payload.limit + 1})
        calls = await self._calls.page(self._organization_id, wanted, before=before)
        items, _ = pages.fitting((call.summary for call in calls[: payload.limit]), pages.MAX_PAGE_BYTES)
        more = len(calls) > len(items)
        cursor = pages.cursor_of(calls[len(items) - 1].position) if more else None
        return CallPage(items=tuple(items), next_cursor=cursor)
