"""Shapes that every contract shares: the CloudEvents envelope, the command and its reply."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    PositiveInt,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from calliope.contracts.errors import Problem
from calliope.contracts.forms import Form
from calliope.contracts.meant import number_meant

PayloadT = TypeVar("PayloadT", bound=BaseModel)

E164 = Annotated[
    str,
    StringConstraints(pattern=r"^\+[1-9][0-9]{1,14}$"),
    Form("a phone number in international form", "+15551234567", meant=number_meant),
]
"""A telephone number: `+`, then 2 to 15 digits (ITU-T E.164)."""

Token = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_+-]{1,128}$"),
    Form("an id of at most 128 letters, digits and _ + -", "call_01jd0000000000000000000000", in_schema=False),
]
"""An id that can stand in a bus subject."""


_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[AwareDatetime, PlainSerializer(_rfc3339, return_type=str, when_used="json")]
"""A moment in UTC, on the wire as RFC 3339 with milliseconds."""


def is_rfc3339(value: Any) -> bool:
    """Whether it is a text with date, time and zone. Numbers, and dates without these, could mean several things."""
    return isinstance(value, str) and _RFC3339.fullmatch(value) is not None


def _written(value: Any) -> Any:
    if isinstance(value, datetime) or is_rfc3339(value):
        return value
    raise ValueError('must be a date and time with its zone, such as "2030-01-31T12:00:00Z"')


def representable(value: datetime) -> datetime:
    """The same moment. Raises: ValueError, when it lies outside the years 1 to 9999 in UTC."""
    try:
        value.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("must lie in the years 1 to 9999 in UTC, such as 2026-01-31T12:00:00Z") from exc
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(representable)]
"""A moment that a client sends: RFC 3339 with any zone."""


class Message(BaseModel):
    """Something on the wire: frozen; readers ignore what they do not know, so that fields may be added within a v1."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Request(BaseModel):
    """Something a client sends: unknown fields are refused, because a misspelt option must not be silence.

    Null means "the default", so that a merge patch and a whole document read alike. JSON knows one kind of number, so
    3.0 is as whole as 3.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _as_json_means(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: _whole(value) for name, value in data.items() if value is not None}


STORED: Final = {"stored": True}
"""Context of validating what was accepted before: rules that came later do not take it back."""


def was_stored(info: ValidationInfo) -> bool:
    """Whether it was accepted before, maybe by an older version."""
    return isinstance(info.context, dict) and info.context.get("stored") is True


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Event(Message):
    """One fact, as a CloudEvents 1.0 envelope; the same bytes go to NATS, to server-sent events and to webhooks.

    `sequence` counts 1, 2, 3 … per `subject` without holes, so a receiver can prove that it missed nothing; `id` is the
    same however often the event is delivered. Source of the names: CloudEvents 1.0, extensions in lower case.
    """

    specversion: Literal["1.0"] = Field(default="1.0", description="Version of CloudEvents.")
    id: Token = Field(
        description="The same however often the event is delivered; also the header `webhook-id` of a webhook.",
        examples=["evt_01jd0000000000000000000000"],
    )
    type: str = Field(
        description="What happened, with the version of its data.", examples=["calliope.call.turn_committed.v1"]
    )
    source: str = Field(description="Which service saw it.", examples=["/calliope/call-worker"])
    subject: str = Field(
        description="What it is about: a call, an assistant, a number …",
        examples=["call/call_01jd0000000000000000000000"],
    )
    time: Moment = Field(description="When it happened, in UTC.", examples=["2026-01-31T12:00:00.000Z"])
    datacontenttype: Literal["application/json"] = Field(default="application/json", description="Form of `data`.")
    organization: Token = Field(description="Whose event it is.", examples=["org_01jd0000000000000000000000"])
    sequence: PositiveInt = Field(
        description="Counts the events of one subject: 1, 2, 3 … without holes, so that you can sort them and prove "
        "that none is missing.",
        examples=[7],
    )
    traceparent: str | None = Field(default=None, description="W3C trace context of what caused it.")
    data: dict[str, JsonValue] = Field(
        description="The facts, by `type`; their schemas stand in /asyncapi.json.",
        examples=[{"reason": "assistant_ended", "duration_ms": 17200, "detail": "", "turns": 4}],
    )

    @property
    def entity(self) -> str:
        """`call` of `call/call_9`."""
        return self.subject.partition("/")[0]

    @property
    def entity_id(self) -> str:
        """`call_9` of `call/call_9`."""
        return self.subject.partition("/")[2]

    @property
    def name(self) -> str:
        """`turn_committed` of `calliope.call.turn_committed.v1`."""
        return self.type.split(".")[2]


def event_type(entity: str, name: str, version: int = 1) -> str:
    """The CloudEvents `type`: `calliope.call.ended.v1`."""
    return f"calliope.{entity}.{name}.v{version}"


class CommandMessage(Message, Generic[PayloadT]):
    """A command on the bus. `command_id` is the client's idempotency key: twice the same has one effect, one reply."""

    organization: Token | None = None
    command_id: str | None = Field(default=None, max_length=255)
    payload: PayloadT


class Reply(Message):
    """What a command answers: `ok` with the result, or `error`."""

    ok: Any = None
    error: Problem | None = None
