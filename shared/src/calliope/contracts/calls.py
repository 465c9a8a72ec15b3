"""Calls on the bus: carrier requests passed on raw, and the facts of a call (its journal).

Times named `_ms` inside a call are milliseconds since its media started, from a monotonic clock of the owning worker.
"""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Base64Bytes, Field, JsonValue, NonNegativeFloat, NonNegativeInt, PositiveInt

from calliope.contracts.base import E164, Message, Moment, Token
from calliope.contracts.open_enum import OpenEnum

MAX_CARRIER_BODY: Final = 64 * 1024

Header = tuple[str, str]


class CarrierRequest(Message):
    """An HTTP request of a carrier exactly as it came in; the worker verifies its signature, nobody else reads it."""

    carrier: Literal["twilio", "telnyx"]
    method: str
    path_and_query: str = Field(description="As received, byte for byte: `/telephony/twilio/voice?x=1`.")
    headers: tuple[Header, ...]
    body: Base64Bytes = Field(max_length=2 * MAX_CARRIER_BODY)
    asked_at: AwareDatetime | None = Field(
        default=None, description="When it came in; the same when another worker is asked about it."
    )


class CarrierResponse(Message):
    """What the carrier is answered, exactly."""

    status: int = Field(ge=200, le=599)
    content_type: str = "application/xml"
    body: str = ""


class Direction(StrEnum):
    """Who called whom."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class EndReason(StrEnum):
    """Why a call ended; always one of these, always true."""

    CALLER_HUNG_UP = "caller_hung_up"
    ASSISTANT_ENDED = "assistant_ended"
    TRANSFERRED = "transferred"
    IDLE = "idle"
    MAX_DURATION = "max_duration"
    PROVIDER_FAILED = "provider_failed"
    CARRIER_FAILED = "carrier_failed"
    NO_MEDIA = "no_media"
    WORKER_LOST = "worker_lost"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    REJECTED = "rejected"
    REFUSED = "refused"
    FAILED = "failed"
    OPERATOR_ENDED = "operator_ended"


class TurnKind(StrEnum):
    """Why the assistant spoke."""

    WELCOME = "welcome"
    REPLY = "reply"
    IDLE = "idle"
    GOODBYE = "goodbye"
    APOLOGY = "apology"
    RESUME = "resume"
    ASK_TO_REPEAT = "ask_to_repeat"


class Stage(StrEnum):
    """Which provider stage."""

    STT = "stt"
    LLM = "llm"
    TTS = "tts"
    CARRIER = "carrier"
    TOOL = "tool"


class FailureReason(StrEnum):
    """Why a provider failed."""

    KEY = "key"
    QUOTA = "quota"
    REFUSED = "refused"
    DECLINED = "declined"
    RATE_LIMITED = "rate_limited"
    DEADLINE = "deadline"
    DROPPED = "dropped"
    ERROR = "error"
    MALFORMED = "malformed"
    SKIPPED = "skipped"


class CallStarted(Message):
    """The carrier asked, a worker accepted. First fact of every call."""

    direction: OpenEnum[Direction]
    from_number: str
    to_number: str
    assistant_id: Token
    assistant_revision: PositiveInt
    carrier: str
    carrier_call_id: str
    worker_id: str
    accepted_at: Moment | None = Field(
        default=None,
        description="When the worker planned the call: the moment that its model is told as its beginning.",
    )


class CallAnswered(Message):
    """Media flows: for the first time, or again after another worker took the call over."""

    stream_id: str
    silence_ms: NonNegativeFloat | None = Field(
        default=None,
        description="After a takeover: how long the caller heard nothing, in milliseconds from the end of the media "
        "stream before this one. Absent when media flows for the first time.",
        examples=[480.0],
    )


class TurnStarted(Message):
    """The caller's words were committed as a turn; the assistant is thinking."""

    turn: PositiveInt
    text: str
    at_ms: NonNegativeFloat


class Interrupted(Message):
    """The caller cut the assistant short: when the deciding interim came, when `clear` left, what had been heard."""

    turn: NonNegativeInt
    at_ms: NonNegativeFloat
    reaction_ms: NonNegativeFloat
    words: NonNegativeInt
    heard_text: str
    cause: str = Field(
        default="words",
        description="`words`: enough of them; `phrase`: one that stops, however few; `dtmf`: a key; `superseded`: the "
        "next turn; `stalled`, `max_duration`: Calliope itself.",
    )


class ToolStarted(Message):
    """Written before the effect. After a crash it says: this may have happened; ask with the same key."""

    turn: PositiveInt
    tool_call_id: str
    name: str
    arguments: dict[str, JsonValue]
    idempotency_key: str


class ToolFinished(Message):
    """Written after the effect."""

    turn: PositiveInt
    tool_call_id: str
    name: str
    ok: bool
    result: str = Field(description="What the model is told, at most 8 KiB.")
    duration_ms: NonNegativeFloat


class ProviderFailed(Message):
    """A provider, the carrier or a tool failed, and what was done about it. `detail` never holds a secret."""

    stage: OpenEnum[Stage]
    provider: str = Field(description="The vendor; of stage `tool` the tool's name.")
    reason: OpenEnum[FailureReason]
    detail: str = Field(default="", max_length=500)
    action: str = Field(default="", description="`retried`, `next: anthropic`, `apologised`, `reconnected` …")
    turn: NonNegativeInt | None = None


class DtmfReceived(Message):
    """A key was pressed."""

    digit: Annotated[str, Field(pattern=r"^[0-9*#A-D]$")]
    at_ms: NonNegativeFloat


class TurnTimings(Message):
    """Moments of one turn on the call clock; absent when the turn had no such moment.

    In order: the caller's last word ended, the recogniser's final arrived, the turn was committed, the model was asked,
    its first token, first text to the voice, its first byte, first audio sent to the carrier, first audio played.
    Where the caller was asked to wait for a late model, voice and audio are those of these words, and come before it.
    """

    last_word_ms: float | None = None
    final_ms: float | None = None
    committed_ms: float | None = None
    llm_asked_ms: float | None = None
    asked_to_wait_ms: float | None = None
    first_token_ms: float | None = None
    tts_asked_ms: float | None = None
    first_tts_byte_ms: float | None = None
    first_audio_sent_ms: float | None = None
    first_audio_played_ms: float | None = None
    done_ms: float | None = None

    @property
    def response_ms(self) -> float | None:
        """Caller's last word to first audio out."""
        return _gap(self.last_word_ms, self.first_audio_sent_ms)

    @property
    def waterfall(self) -> dict[str, float]:
        """The parts of `response_ms` in order, by what was waited for; each begins where the one before ended."""
        at, parts = self.last_word_ms, dict[str, float]()
        if at is None:
            return parts
        for name, end in (
            ("recogniser", self.final_ms),
            ("end_of_turn", self.committed_ms),
            ("request", self.llm_asked_ms),
            ("first_token", self.first_token_ms),
            ("first_text", self.tts_asked_ms),
            ("voice", self.first_tts_byte_ms),
            ("sending", self.first_audio_sent_ms),
        ):
            if end is not None and not self._is_behind_words_to_wait(name):
                parts[name] = max(0.0, end - at)
                at = max(at, end)
        return parts

    def _is_behind_words_to_wait(self, part: str) -> bool:
        return part == "first_token" and self.asked_to_wait_ms is not None

    @property
    def provider_wait_ms(self) -> float | None:
        """How much of `response_ms` was waiting for recogniser, model and voice. Overlaps are counted once."""
        spans = [
            (self.last_word_ms, self.final_ms),
            (self.llm_asked_ms, self.tts_asked_ms),
            (self.tts_asked_ms, self.first_tts_byte_ms),
        ]
        start, total = self.last_word_ms, 0.0
        if start is None:
            return None
        for begin, end in spans:
            if begin is not None and end is not None and end > start:
                total += end - max(begin, start)
                start = end
        return total

    @property
    def added_ms(self) -> float | None:
        """What Calliope itself added."""
        response, wait = self.response_ms, self.provider_wait_ms
        return None if response is None or wait is None else max(0.0, response - wait)


def _gap(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start


class TurnUsage(Message):
    """Who did the work of a turn and how much: enough to compute a bill."""

    llm_provider: str | None = None
    llm_model: str | None = None
    llm_requests: NonNegativeInt = Field(
        default=0, description="Requests to models that became this answer: one for each round of tools and fallback."
    )
    input_tokens: NonNegativeInt | None = None
    output_tokens: NonNegativeInt | None = None
    tokens_estimated: bool = Field(
        default=False, description="Some tokens were not told, because a request was broken off: one for four bytes."
    )
    discarded_requests: NonNegativeInt = Field(
        default=0, description="Requests to models that were made for this turn and thrown away: the caller went on."
    )
    discarded_input_tokens: NonNegativeInt = Field(default=0, description="Their tokens, told or estimated.")
    discarded_output_tokens: NonNegativeInt = Field(default=0, description="As far as they arrived.")
    tts_provider: str | None = None
    tts_voice: str | None = None
    tts_characters: NonNegativeInt = 0
    stt_provider: str | None = None
    stt_audio_ms: NonNegativeFloat = 0


class TurnCommitted(Message):
    """A turn is over. `assistant_text` is what the caller heard, to the word, not what was generated."""

    turn: NonNegativeInt
    kind: OpenEnum[TurnKind]
    user_text: str = ""
    assistant_text: str = ""
    interrupted: bool = False
    estimated: bool = Field(
        default=False,
        description="Whether a part of `assistant_text` is what must have been heard by then: the worker that said it "
        "did not live to say so.",
    )
    backchannel: tuple[str, ...] = Field(
        default=(),
        description="What the caller said while the assistant was heard, that neither interrupted nor was answered on "
        "its own; it stands in front of the caller's next turn.",
    )
    timings: TurnTimings = TurnTimings()
    usage: TurnUsage = TurnUsage()
    messages: tuple[dict[str, JsonValue], ...] = Field(
        default=(), description="The turn as the model saw it, with tool calls and results."
    )


class TransferStarted(Message):
    """The carrier was told to connect the caller to someone else."""

    to_number: E164


class Resumed(Message):
    """Another worker goes on with the call: the one before died, was replaced, or lost the caller's media.

    The caller hears a pause from then until the next `answered`, mostly below a second. Nothing is wrong with the call.
    """

    worker_id: str = Field(description="Who goes on: a name for logs, which means nothing to others.")
    previous_worker_id: str = Field(description="Who had the call before.")
    reason: str = Field(description="What was known when it was taken over, in words.")
    media_ended_at: Moment | None = Field(
        default=None, description="When the caller's media had ended, as far as was known when it was taken over."
    )


class HandedOver(Message):
    """The worker let the call go, because it is stopped or an operator said so; another one goes on."""

    between_turns: bool = Field(
        description="Whether nobody spoke or waited for an answer. False: the time for that was over."
    )


class CallAbandoned(Message):
    """A worker gave up a call that it had just begun or taken over, before it said or did anything.

    `resumed` follows when another one goes on with it; else the call `ended`.
    """

    worker_id: str = Field(description="Who gave it up.")
    reason: str = Field(description="Why, in words.")


class CallEnded(Message):
    """The call is over. Last fact before analysis."""

    reason: OpenEnum[EndReason]
    duration_ms: NonNegativeFloat = Field(
        description="From the first media to the end, in milliseconds; 0 when no media flowed."
    )
    detail: str = Field(default="", max_length=500)
    turns: NonNegativeInt = 0
    ended_at: Moment | None = Field(
        default=None,
        description="When the call ended, in UTC. The event's own `time` is later where closing took a while, such as "
        "for a tool that was still running, or where it was found out later: the last sign of life of a call whose "
        "worker died. Absent: as `time`.",
        examples=["2026-01-31T12:00:17.200Z"],
    )


class Refusal(StrEnum):
    """Why Calliope did not take a call. Stable; match on it. The words beside it say what to do."""

    NO_ACCOUNT = "no_account"
    SIGNATURE = "signature"
    OTHER_ACCOUNT = "other_account"
    WRONG_CARRIER = "wrong_carrier"
    INACTIVE = "inactive"
    DOCUMENT = "document"
    FULL = "full"
    UNKNOWN_NUMBER = "unknown_number"


class CallRefused(Message):
    """A call was not taken. The only fact of its id: the same call, asked about again and taken, has another."""

    code: str = Field(description="Stable: `no_account`, `signature`, `inactive` …", examples=["signature"])
    detail: str = Field(max_length=500, description="Why, and what to do about it.")
    genuine: bool = Field(
        description="Whether the carrier's signature was right. Else a stranger may have made this call up."
    )
    direction: OpenEnum[Direction]
    from_number: str = Field(max_length=128)
    to_number: str = Field(max_length=128)
    assistant_id: Token
    assistant_revision: PositiveInt
    carrier: str
    carrier_call_id: str = Field(max_length=128)
    worker_id: str


class AnalysisStatus(StrEnum):
    """How the work after the call went."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class CallAnalyzed(Message):
    """Summary and structured data; `status` says honestly when there is none. Follows `ended`, once per call."""

    status: OpenEnum[AnalysisStatus] = Field(
        description="`failed`: a part could not be had, the other may be there. `skipped`: the caller said nothing."
    )
    summary: str | None = Field(default=None, description="In the language of the caller.")
    structured_data: JsonValue = Field(
        default=None, description="What `custom_settings` of the assistant ask for, valid against its schema."
    )
    error: str | None = Field(default=None, max_length=500, description="Why something is missing; holds no secret.")


CALL_EVENTS: Final[dict[str, type[Message]]] = {
    "refused": CallRefused,
    "started": CallStarted,
    "answered": CallAnswered,
    "turn_started": TurnStarted,
    "interrupted": Interrupted,
    "tool_started": ToolStarted,
    "tool_finished": ToolFinished,
    "provider_failed": ProviderFailed,
    "dtmf_received": DtmfReceived,
    "turn_committed": TurnCommitted,
    "transfer_started": TransferStarted,
    "handed_over": HandedOver,
    "resumed": Resumed,
    "abandoned": CallAbandoned,
    "ended": CallEnded,
    "analyzed": CallAnalyzed,
}
"""Every event of entity `call`, by the last token of its subject."""

EVENT_NAMES: Final[dict[type[Message], str]] = {model: name for name, model in CALL_EVENTS.items()}
