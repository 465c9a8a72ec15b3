"""Call records: what is shown of a call, one by one and in lists, and the commands that ask for them."""

import difflib
import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    JsonValue,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from calliope.contracts.base import Event, Message, Moment, Token, is_rfc3339, representable
from calliope.contracts.calls import AnalysisStatus, Direction, EndReason, FailureReason, Stage
from calliope.contracts.document.llm import LlmProvider
from calliope.contracts.document.tts import TtsProvider
from calliope.contracts.meant import number_meant
from calliope.contracts.open_enum import OpenEnum

ANY_PROBLEM: Final = "any"
TOOL_PREFIX: Final = "tool:"
REASONS: Final = tuple(reason for reason in FailureReason if reason is not FailureReason.SKIPPED)
"""Why providers fail, as `call.provider_failed` says it."""
PROVIDERS: Final = (*dict.fromkeys((*LlmProvider, *TtsProvider, "deepgram", "twilio", "telnyx")),)
_PROBLEM_WORDS: Final = (ANY_PROBLEM, *map(str, Stage), *map(str, PROVIDERS), *map(str, REASONS))
_PROBLEM_WORD: Final = re.compile(rf"({TOOL_PREFIX})?[A-Za-z0-9_-]{{1,64}}")
_SLIP: Final = 0.8
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{1,14}|[A-Za-z][!-~]{0,127}", re.ASCII)


class EventsAfter(Message):
    """Where in a call to begin."""

    after: NonNegativeInt = Field(default=0, le=2**53 - 1, description="Events after this sequence.", examples=[7])


class EventPageQuery(EventsAfter):
    """Which of a call's events to show."""

    limit: int = Field(default=100, ge=1, le=500, description="How many to show at most.")


class TranscriptPageQuery(EventsAfter):
    """Which lines of a call's transcript to show."""

    after: NonNegativeInt = Field(
        default=0, le=2**53 - 1, description="What was said after the event of this sequence.", examples=[7]
    )
    limit: int = Field(default=200, ge=1, le=1_000, description="How many lines to show at most.")


class CallRef(EventsAfter):
    """One call by id; of its events those after a sequence."""

    call_id: str = Field(max_length=128)


class ListCallEvents(EventPageQuery):
    """A page of a call's events, in their order."""

    call_id: str = Field(max_length=128)


class ListTranscript(TranscriptPageQuery):
    """A page of what both sides said during a call, in its order."""

    call_id: str = Field(max_length=128)


class CallStatus(StrEnum):
    """Where a call stands."""

    RINGING = "ringing"
    IN_PROGRESS = "in_progress"
    ENDED = "ended"


class Speaker(StrEnum):
    """Who spoke: the caller is `user`."""

    USER = "user"
    ASSISTANT = "assistant"


class TranscriptLine(Message):
    """One side's words as they were heard."""

    role: OpenEnum[Speaker] = Field(description="Who spoke: the caller is `user`.")
    text: str = Field(
        description="The caller's words as they were recognised; the assistant's as far as they were heard.",
        examples=["I would like to book an appointment."],
    )
    turn: NonNegativeInt = Field(description="Which turn of the call; 0 is the welcome.")
    at: Moment = Field(description="When it was committed, in UTC.", examples=["2026-01-31T12:00:00.000Z"])
    interrupted: bool = Field(default=False, description="Whether the caller cut these words short.")
    sequence: PositiveInt | None = Field(
        default=None, description="The event that says so; a page can begin after it.", examples=[7]
    )


class CallProblem(Message):
    """What failed during a call, in one way, however often: what a developer has to look into."""

    stage: OpenEnum[Stage] = Field(description="What failed: recogniser, model, voice, carrier or tool.")
    provider: str = Field(description="The vendor; of stage `tool` the tool's name.")
    reason: str = Field(description="As in `call.provider_failed`: `key` is a wrong key, `quota` an empty account.")
    detail: str = Field(default="", description="What the provider said, the last time.")
    action: str = Field(default="", description="What was done about it, the last time.")
    count: PositiveInt = Field(default=1, description="How often it failed in this way.")
    first_at: Moment = Field(description="The first time, in UTC.", examples=["2026-01-31T12:00:00.000Z"])
    last_at: Moment = Field(description="The last time, in UTC.", examples=["2026-01-31T12:00:00.000Z"])


class ToolUse(Message):
    """A tool that the assistant used during a call."""

    name: str = Field(description="The tool, as the model calls it.", examples=["book_appointment"])
    calls: NonNegativeInt = Field(default=0, description="How often it was started.")
    failed: NonNegativeInt = Field(default=0, description="How often the assistant was told that it failed.")


class CallSummary(Message):
    """A call as lists show it. Its own record has the same fields with the same values, and more."""

    id: Token = Field(description="Id of the call.", examples=["call_01jd0000000000000000000000"])
    organization_id: Token = Field(description="Whose call it is.", examples=["org_01jd0000000000000000000000"])
    assistant_id: Token | None = Field(
        default=None, description="Which assistant answered.", examples=["asst_01jd0000000000000000000000"]
    )
    assistant_revision: int | None = Field(
        default=None, description="The revision of its document when the call began; later writes do not reach a call."
    )
    status: OpenEnum[CallStatus] = Field(description="Whether it rings, is under way, or has ended.")
    direction: OpenEnum[Direction] = Field(
        default=Direction.INBOUND, description="Whether the caller called, or was called."
    )
    from_number: str = Field(default="", description="Who called, as the carrier says.", examples=["+15550001111"])
    to_number: str = Field(default="", description="Which number was called.", examples=["+15550002222"])
    carrier: str = Field(default="", description="The carrier that connects the call.", examples=["twilio"])
    carrier_call_id: str = Field(
        default="", description="The carrier's own id of the call, for its console and support.", examples=["CA0123…"]
    )
    started_at: Moment | None = Field(
        default=None, description="When the carrier asked, in UTC.", examples=["2026-01-31T12:00:00.000Z"]
    )
    answered_at: Moment | None = Field(default=None, description="When its media flowed first.")
    ended_at: Moment | None = Field(
        default=None,
        description="When it ended, in UTC. The event `call.ended` comes later where closing took a while.",
        examples=["2026-01-31T12:00:17.200Z"],
    )
    ended_reason: OpenEnum[EndReason] | None = Field(default=None, description="Why it ended; absent until then.")
    ended_detail: str = Field(default="", description="What is known beyond the reason, in words.")
    refusal: str | None = Field(
        default=None,
        description="Why a call of `ended_reason` `refused` was not taken; stable. `ended_detail` says what to do.",
        examples=["signature"],
    )
    duration_ms: float | None = Field(
        default=None,
        description="From the first media to the end, in milliseconds; 0 when no media flowed.",
        examples=[17200],
    )
    turns: NonNegativeInt = Field(default=0, description="How many turns the caller took.")
    interruptions: NonNegativeInt = Field(default=0, description="How often the caller cut the assistant short.")
    takeovers: NonNegativeInt = Field(
        default=0,
        description="How often another worker had to go on with the call, after a crash or a deploy: each was a pause.",
    )
    longest_takeover_silence_ms: float | None = Field(
        default=None, description="The longest of these pauses, in milliseconds; absent without any.", examples=[480]
    )
    tools: tuple[ToolUse, ...] = Field(default=(), description="Tools that were used, by name.")
    problems: tuple[CallProblem, ...] = Field(
        default=(), description="Ways in which something failed, in the order of their first time; at most 20."
    )
    problem_count: NonNegativeInt = Field(
        default=0, description="How often something failed, also in ways that `problems` has no room for."
    )
    analysis_status: OpenEnum[AnalysisStatus] | None = Field(
        default=None,
        description="Absent until the work after the call is over. `failed`: a part could not be had, the other may be "
        "there. `skipped`: the caller said nothing.",
    )
    analysis_error: str | None = Field(default=None, description="Why summary or structured data are missing.")
    summary: str | None = Field(default=None, description="In the language of the caller.")
    event_count: NonNegativeInt = Field(default=0, description="How many of its events are recorded.")


class CallRecord(CallSummary):
    """What the API shows of a call: a projection of its events, rebuilt from them byte for byte."""

    structured_data: JsonValue = Field(
        default=None,
        description="What `custom_settings` of the assistant ask for, valid against its `structured_data_schema`.",
    )
    transcript: tuple[TranscriptLine, ...] = Field(
        default=(), description="What both sides said, as it was heard; of a very long call the first hours."
    )
    more_transcript_after: int | None = Field(
        default=None,
        description="There is more: ask `/transcript?after=` this sequence. Absent when all of it stands here.",
    )
    events: tuple[Event, ...] = Field(
        default=(), description="Its events after `?after=`, in order, as many as fit one answer."
    )
    more_events_after: int | None = Field(
        default=None, description="There are more: ask `/events?after=` this sequence. Absent when these are the last."
    )
    last_sequence: NonNegativeInt = Field(
        default=0,
        description="Events 1 to this one are all recorded. Below `event_count`: one in between is still on its way.",
    )


class CallEventPage(Message):
    """`next_after` is absent on the last page; of a call under way, go on after the last event that you have."""

    items: tuple[Event, ...] = Field(description="Events of the call, in their order.")
    next_after: int | None = Field(default=None, description="What to send as `after` for the next page.")
    last_sequence: NonNegativeInt = Field(
        default=0, description="Events 1 to this one are all recorded; one that is missing beyond is still on its way."
    )


class TranscriptPage(Message):
    """`next_after` is absent on the last page."""

    items: tuple[TranscriptLine, ...] = Field(description="What both sides said, in its order.")
    next_after: int | None = Field(default=None, description="What to send as `after` for the next page.")


def _moment(value: Any) -> Any:
    if not isinstance(value, datetime) and not is_rfc3339(value):
        words = (
            "must be a date and time with a time zone (RFC 3339), such as 2026-01-31T09:00:00Z; "
            "in a URL the + of a time zone is written %2B"
        )
        raise ValueError(words)
    return value


def _number(value: str) -> str:
    """In international form, or what carriers send instead of one, such as `anonymous`."""
    if not _NUMBER.fullmatch(value):
        meant = number_meant(value)
        words = f"must be a telephone number in international form, such as +15550001111{f': {meant}' if meant else ''}"
        raise ValueError(f"{words} (in a URL the + is written %2B)")
    return value


def _problem(value: str) -> str:
    if not _PROBLEM_WORD.fullmatch(value):
        words = "must be `any`, or one word: a stage such as llm, a provider or tool by name, or a reason such as key"
        raise ValueError(words)
    if value in _PROBLEM_WORDS or value.startswith(TOOL_PREFIX):
        return value
    if nearest := difflib.get_close_matches(value.lower(), _PROBLEM_WORDS, n=1, cutoff=_SLIP):
        raise ValueError(f"did you mean {nearest[0]}? A tool of this name is {TOOL_PREFIX}{value}")
    return value


_Filter = Annotated[AwareDatetime, BeforeValidator(_moment), AfterValidator(representable)]


class ListCalls(Message):
    """A page of calls, newest first. Filters narrow it together: a call is listed when all of them match."""

    limit: int = Field(default=50, ge=1, le=200, description="How many to show at most.")
    cursor: str | None = Field(default=None, max_length=200, description="`next_cursor` of the page before.")
    assistant_id: str | None = Field(default=None, description="Calls of this assistant.")
    status: CallStatus | None = Field(default=None, description="Calls that ring, are under way, or have ended.")
    ended_reason: EndReason | None = Field(default=None, description="Calls that ended for this reason.")
    number: Annotated[str, BeforeValidator(_number)] | None = Field(
        default=None,
        description="Calls from or to this number; `+` is written `%2B` in a URL.",
        examples=["+15550001111"],
    )
    problem: Annotated[str, BeforeValidator(_problem)] | None = Field(
        default=None,
        description="Calls in which something failed: `any`, a stage (`stt`, `llm`, `tts`, `carrier`, `tool`), "
        "a provider or tool by name, or a reason (`key`, `quota`, `deadline` …). A tool whose name resembles one of "
        "these words is written `tool:its_name`.",
        examples=["any", "llm", "openai", "key", "tool:book_appointment"],
    )
    since: _Filter | None = Field(default=None, description="Calls that began at this moment or later (RFC 3339).")
    until: _Filter | None = Field(default=None, description="Calls that began before this moment (RFC 3339).")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("until: must be later than `since`, else no call can match")
        return self


class CallPage(Message):
    """`next_cursor` is absent on the last page."""

    items: tuple[CallSummary, ...] = Field(description="The calls, newest first.")
    next_cursor: str | None = Field(default=None, description="What to send as `cursor` for the next page.")
