"""The grammar of a call file, `x.call.json`: who calls, what models and receivers answer, what is expected. Pure.

The JSON Schema of `CallFile` is `docs/call.schema.json`. The sandbox follows steps, rules, receivers and faults.
"""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    JsonValue,
    StringConstraints,
    Tag,
    ValidationError,
    WithJsonSchema,
)

from calliope.contracts.calls import CALL_EVENTS, EndReason
from calliope.validation.messages import FALLBACK, MESSAGES
from calliope_local.call_parts import Count, Duration, Fault, Model, Part, Receiver

SCHEMA_ID: Final = "https://json-schema.org/draft/2020-12/schema"
MAX_STEPS: Final = 500
WITHIN_S: Final = 20.0
"""How long a step may take that does not say so, as the sandbox has it."""
Words = Annotated[str, StringConstraints(pattern=r"\S")]


class Step(Part):
    """One thing that the caller does; the next begins when it is done."""

    within_s: Duration = Field(
        default=WITHIN_S,
        description="Seconds that the step may take; then the caller hangs up and the call has failed.",
    )


class Say(Step):
    """The caller speaks."""

    say: Words = Field(description="What the caller says.")


class IfAsked(Part):
    """What the caller says again when the assistant asks for it instead of going on."""

    heard: list[Words] = Field(min_length=1, description="Words of the assistant of which each asks for it.")
    say: Words = Field(description="What the caller says then.")


class WaitFor(Step):
    """The caller listens until something was heard."""

    wait_for: Words = Field(
        description="Words of the assistant since the caller spoke last; case, spaces and punctuation do not matter."
    )
    if_asked: IfAsked | None = None


class WaitForSilence(Step):
    """The caller waits until the assistant was heard and has been silent for a while."""

    wait_for_silence_ms: Duration = Field(description="Milliseconds of silence.")
    patience_s: Duration | None = Field(
        default=None, description="Goes on after so many seconds although nothing was heard."
    )


class Interruption(Part):
    """What cuts the assistant short, and when: one of `after_words` and `after_ms`."""

    say: Words = Field(description="What the caller says into the assistant's words.")
    after_words: Count | None = Field(default=None, description="After so many words of the assistant.")
    after_ms: Duration | None = Field(default=None, description="After the assistant spoke for so many milliseconds.")


class Interrupt(Step):
    """The caller cuts the assistant short."""

    interrupt: Interruption


class Dtmf(Step):
    """The caller presses keys."""

    dtmf: Words = Field(description="The keys, such as 12#.")


class Pause(Step):
    """The caller does nothing for a while."""

    pause_ms: Duration = Field(description="Milliseconds.")


class HangUp(Step):
    """The caller puts the phone down."""

    hang_up: Literal[True]


class ExpectHangUp(Step):
    """The caller waits for the other side to end the call, or to hand it over."""

    expect_hang_up: Literal[True]
    if_asked: IfAsked | None = None


class Faults(Step):
    """Something breaks at this moment."""

    faults: list[Fault]


def _kind_of(step: Any) -> str | None:
    """The one field of a step that says what it is; None when there is none, or more than one."""
    found = [kind for kind in KINDS if isinstance(step, Mapping) and kind in step]
    return found[0] if len(found) == 1 else None


AnyStep = Annotated[
    Annotated[Say, Tag("say")]
    | Annotated[WaitFor, Tag("wait_for")]
    | Annotated[WaitForSilence, Tag("wait_for_silence_ms")]
    | Annotated[Interrupt, Tag("interrupt")]
    | Annotated[Dtmf, Tag("dtmf")]
    | Annotated[Pause, Tag("pause_ms")]
    | Annotated[HangUp, Tag("hang_up")]
    | Annotated[ExpectHangUp, Tag("expect_hang_up")]
    | Annotated[Faults, Tag("faults")],
    Discriminator(_kind_of),
]
KINDS: Final = tuple(get_args(step)[1].tag for step in get_args(get_args(AnyStep)[0]))


def _is_event(name: str) -> str:
    if name not in CALL_EVENTS:
        raise ValueError(f"must be an event of a call: {', '.join(CALL_EVENTS)}")
    return name


EventName = Annotated[str, AfterValidator(_is_event), WithJsonSchema({"type": "string", "enum": list(CALL_EVENTS)})]


class Expect(Part):
    """What has to come of the call, beside what every call has to do."""

    ended_reason: EndReason | None = Field(default=None, strict=False, description="Why the call ends.")
    events: list[EventName] = Field(default_factory=list, description="Events that the call has to have, in any order.")
    heard: list[Words] = Field(default_factory=list, description="What the caller has to hear, in this order.")
    structured_data: dict[str, JsonValue] = Field(
        default_factory=dict, description="Fields and values that have to be in the data taken from the call."
    )


class CallFile(Part):
    """A call to the assistant of `x.json`, described in `x.call.json` beside it."""

    schema_: str | None = Field(default=None, alias="$schema", description="For editors; nobody else reads it.")
    caller: list[AnyStep] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_STEPS,
        description="What the caller does, step by step. Absent: a guest who asks for the opening hours and a table.",
    )
    model: Model | None = Field(
        default=None, description="What the language models answer. Absent: a receptionist built into the sandbox."
    )
    hooks: dict[str, Receiver] = Field(
        default_factory=dict, description="Receivers of HTTP requests by name, at http://127.0.0.1:8090/hooks/{name}."
    )
    expect: Expect = Field(default_factory=Expect, description="What has to come of the call.")


def schema() -> dict[str, Any]:
    """The JSON Schema of a call file."""
    return {"$schema": SCHEMA_ID, **CallFile.model_json_schema(by_alias=True)}


def problems(error: ValidationError) -> list[str]:
    """What is wrong with a call file, each with its place: `caller[1].within_s: must be …`."""
    return [
        f"{place}: {words}" if (place := _place(item["loc"])) else words
        for item in error.errors(include_url=False)
        for words in (_words(item),)
    ]


def _place(location: tuple[int | str, ...]) -> str:
    """As in JavaScript; without the kind of a step, which is no part of the file."""
    steps = [step for at, step in enumerate(location) if not (at == 2 and location[0] == "caller")]
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def _words(item: Mapping[str, Any]) -> str:
    kind, context = item["type"], item.get("ctx", {})
    match kind:
        case "value_error":
            return str(context["error"])
        case "union_tag_not_found" | "union_tag_invalid":
            return _no_step(item["input"])
        case "literal_error" | "enum":
            return f"must be {context['expected']}".replace("'", '"').replace("True", "true")
        case "string_pattern_mismatch":
            return "must be text that is not empty"
        case _:
            return MESSAGES.get(kind, FALLBACK).format_map(context)


def _no_step(given: Any) -> str:
    fields = given if isinstance(given, Mapping) else ()
    near = [found[0] for name in fields if (found := difflib.get_close_matches(str(name), KINDS, n=1))]
    meant = f" (did you mean {near[0]}?)" if near and near[0] not in fields else ""
    return f'is no step{meant}: it needs exactly one of {", ".join(KINDS)}, such as {{"say": "Hello"}}'
