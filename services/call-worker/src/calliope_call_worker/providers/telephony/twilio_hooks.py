"""What a hook of Twilio says: a question about a call, or news of one, whichever of our addresses it came to.

Sources: Twilio's documentation of voice webhooks, of status callbacks (calls, streams, recordings) and of messaging
webhooks. A hook comes by POST or by GET, as the number is configured.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

from calliope.contracts.calls import CarrierRequest, Direction, EndReason
from calliope.contracts.carriers import MEDIA_ENDED, moment_of
from calliope_call_worker.providers.telephony.base import RESUME, HookKind, VoiceHook

_ENDS: Final = {
    "completed": EndReason.CALLER_HUNG_UP,
    "canceled": EndReason.CALLER_HUNG_UP,
    "busy": EndReason.BUSY,
    "no-answer": EndReason.NO_ANSWER,
    "failed": EndReason.CARRIER_FAILED,
}
"""Each `CallStatus` after which nothing more happens."""
_NEWS: Final = frozenset({"StreamEvent", "RecordingStatus", "MessageSid", "SmsSid"})
"""A hook that has one of these fields is about a stream, a recording or a text message, and asks nothing."""
_PROGRESS: Final = "CallbackSource"
"""A field of status callbacks alone."""


def read(request: CarrierRequest) -> VoiceHook:
    """What the hook says. Raises: ValueError, when it is about a call and a field is missing."""
    form = dict(fields(request))
    path, _, query = request.path_and_query.partition("?")
    status = form.get("CallStatus", "")
    kind = _kind(path, form, status)
    if kind is HookKind.OTHER:
        return VoiceHook("", "", "", "", "", status, kind)
    missing = [name for name in ("CallSid", "AccountSid", "To") if not form.get(name)]
    if missing:
        raise ValueError(f"a Twilio voice hook has no {', '.join(missing)}")
    outbound = form.get("Direction", "inbound").startswith("outbound")
    ended = _ENDS.get(status, EndReason.CALLER_HUNG_UP)
    return VoiceHook(
        carrier_call_id=form["CallSid"],
        account_id=form["AccountSid"],
        from_number=form.get("From", ""),
        to_number=form["To"],
        our_number=form.get("From", "") if outbound else form["To"],
        status=status,
        direction=Direction.OUTBOUND if outbound else Direction.INBOUND,
        kind=kind,
        call_id=path.rpartition(RESUME)[2] if RESUME in path else "",
        transfer_failed=form.get("DialCallStatus", "completed") not in {"completed", "answered"},
        ended=ended,
        detail="" if ended is EndReason.CALLER_HUNG_UP else f"the carrier ended the call: {status}",
        media_ended_at=moment_of(dict(_parsed(query)).get(MEDIA_ENDED, "")) if kind is HookKind.MEDIA_ENDED else None,
    )


def fields(request: CarrierRequest) -> tuple[tuple[str, str], ...]:
    """Its parameters: of the body, or by GET of the query."""
    if request.method == "POST":
        return _parsed(request.body.decode("utf-8", "replace"))
    return _parsed(request.path_and_query.partition("?")[2])


@lru_cache(maxsize=8)
def _parsed(form: str) -> tuple[tuple[str, str], ...]:
    """Kept for a moment: a hook is read to find its account, and again to verify it."""
    return tuple(parse_qsl(form, keep_blank_values=True))


def _kind(path: str, form: Mapping[str, str], status: str) -> HookKind:
    """What of it is certain first: the end of a transfer, the end of the call, other news. The rest are questions."""
    if "DialCallStatus" in form:
        return HookKind.TRANSFER_ENDED
    if form.keys() & _NEWS:
        return HookKind.OTHER
    if status in _ENDS:
        return HookKind.CALL_ENDED
    if _PROGRESS in form or status == "initiated":
        return HookKind.OTHER
    return HookKind.MEDIA_ENDED if RESUME in path else HookKind.CALL
