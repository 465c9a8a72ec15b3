"""What models, receivers and faults of a call file say; their meaning is the sandbox's. Pure."""

import difflib
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

Text = Annotated[str, StringConstraints(min_length=1)]
Count = Annotated[int, Field(ge=0)]
Duration = Annotated[float, Field(ge=0)]
Status = Annotated[int, Field(ge=100, le=599)]


def _compiles(text: str) -> str:
    try:
        re.compile(text)
    except re.error as exc:
        raise ValueError(
            f"is not a pattern of Python's re: {exc}; write plain words, or escape . * + ? ( ) [ ]"
        ) from exc
    return text


Pattern = Annotated[str, AfterValidator(_compiles)]


class Part(BaseModel):
    """An object of a call file: unknown fields are refused with the known ones, values are not converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=False)

    @model_validator(mode="before")
    @classmethod
    def _known_fields_only(cls, data: Any) -> Any:
        if isinstance(data, dict):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            if unknown := sorted(set(data) - set(known)):
                near = difflib.get_close_matches(unknown[0], known, n=1)
                meant = f", did you mean {near[0]}?" if near else ";"
                raise ValueError(f"unknown {', '.join(unknown)}{meant} known here are {', '.join(known)}")
        return data


class Fault(Part):
    """Something breaks: as `POST /sandbox/faults` takes it."""

    vendor: Literal[
        "anthropic", "deepgram", "deepgram_speak", "elevenlabs", "gemini", "groq", "inworld", "openai", "resemble",
        "telnyx", "tools", "twilio", "webhooks", "xai",
    ] = Field(description="Who fails. A carrier's fault strikes this call only.")  # fmt: skip
    kind: Literal[
        "refuse", "rate_limited", "silent", "error", "drop", "close", "garbage", "latency", "slow_drip",
        "stops_reading", "loses_marks",
    ] = Field(description="How it fails; `stops_reading` and `loses_marks`: carriers only.")  # fmt: skip
    after: Count | None = Field(
        default=None, description="Strikes once so many messages were sent; null: instead of any answer."
    )
    skip: Count = Field(default=0, description="So many moments pass before it strikes.")
    times: Count | None = Field(default=None, description="How often it strikes; null: for ever.")
    call: Text | None = Field(default=None, description="Only this call, by the id the carrier gave it.")
    key: Text | None = Field(default=None, description="Only requests with this API key.")
    status: Status | None = Field(default=None, description="HTTP status of a refusal.")
    code: str = Field(default="", description="The vendor's own error code.")
    ms: Duration = Field(default=0.0, description="Milliseconds of `latency`, `slow_drip` and `loses_marks`.")
    reason: str = Field(default="injected fault", description="What the vendor says.")
    headers: dict[str, str] = Field(default_factory=dict, description="Headers of a refusal, such as Retry-After.")


class ToolCall(Part):
    """The model calls a tool."""

    name: Text = Field(description="As in the assistant's document; also end_call and transfer_call.")
    arguments: dict[str, JsonValue] | str = Field(
        default_factory=dict, description="An object; as text it is sent as it is, valid JSON or not."
    )


class Failure(Part):
    """The model refuses to answer, or breaks off."""

    status: Status = 500
    code: str | None = None
    message: str = "scripted failure"
    type: str | None = None
    after_tokens: Count | None = Field(default=None, description="Say so many tokens first, then break off.")
    retry_after_s: Duration | None = None
    param: str | None = Field(default=None, description="The parameter that the refusal names, where its body has one.")
    shape: Literal["text", "list", "detail", "details", "message"] | None = Field(
        default=None, description="How the body of the refusal is built; unsaid, as its vendor does."
    )
    packed: bool = Field(default=False, description="Its body comes as gzip, asked for or not.")


class Rule(Part):
    """When a model answers, and what. The first rule answers of which all conditions hold."""

    match: Pattern | None = Field(default=None, description="Found in what the caller said last; a pattern.")
    system: Pattern | None = Field(
        default=None,
        description="Found in the system prompt; a pattern. `JSON Schema of your answer` and `Write the summary` are "
        "in the prompts of the work after the call.",
    )
    after_tool: Literal[True] | Text | None = Field(
        default=None, description="The tool that has just answered; true: any."
    )
    turn: Count | None = Field(default=None, description="Only in this turn of the caller; the first is 1.")
    times: Count | None = Field(default=None, description="Answers so often, then the next rule that holds does.")
    any_: bool | None = Field(
        default=None, alias="any", description="Marks a rule without conditions; changes nothing."
    )
    say: str | None = Field(default=None, description="The answer; {user_text} and {tool_result} are filled in.")
    tool_calls: list[ToolCall] | None = Field(default=None, description="Tools that are called after the words.")
    json_: JsonValue = Field(default=None, alias="json", description="The answer as JSON, such as structured data.")
    fail: Failure | None = None
    wait_ms: Duration = Field(default=0.0, description="Wait before anything is answered.")
    first_token_ms: Duration | None = Field(default=None, description="Time to the first token.")
    per_token_ms: Duration | None = Field(default=None, description="Time between tokens.")
    stall_after: Count | None = Field(default=None, description="So many tokens, then nothing more on an open stream.")
    finish: str | None = Field(default=None, description="The reason that the vendor gives for the end.")
    variants: list[str] = Field(default_factory=list, description="In which ways the stream is sloppy.")

    @model_validator(mode="after")
    def _answers(self) -> Self:
        answers = ("say", "tool_calls", "json_", "fail", "stall_after")
        if not any(name in self.model_fields_set for name in answers):
            raise ValueError(
                'needs an answer: one of say, tool_calls, json, fail, stall_after, such as {"say": "Yes."}'
            )
        return self


class Model(Part):
    """What the assistant's language models answer during this call and after it."""

    rules: list[Rule] = Field(
        min_length=1, description="Tried from the first on; when none holds, a receptionist answers."
    )
    model: Text | None = Field(default=None, description="Only requests for the model of this name.")
    system: Pattern | None = Field(default=None, description="Only requests with this in the system prompt; a pattern.")


class Answer(Part):
    """How a receiver answers a request."""

    status: Status = 200
    delay_ms: Duration = Field(default=0.0, description="Wait before the answer.")
    headers: dict[str, str] = Field(default_factory=dict)
    body: JsonValue = Field(default="", description="Text, or JSON.")
    drop: bool = Field(default=False, description="Reset the connection instead.")
    drip_ms: Duration = Field(default=0.0, description="Send a byte of the body at a time, so far apart.")
    redirect_to: str | None = Field(default=None, description="Redirect there.")
    big_body: Count = Field(default=0, description="A body of so many bytes.")


class Receiver(Part):
    """A receiver of HTTP requests at `http://127.0.0.1:8090/hooks/{name}`, such as the URL of a tool."""

    answer: Answer | None = Field(default=None, description="How it answers; 200 with an empty body unless given.")
    failure: Answer | None = Field(default=None, description="How it answers while it fails; 500 unless given.")
    fail_times: Count | None = Field(default=None, description="The first so many requests fail.")
    fail_times_each: Count | None = Field(
        default=None, description="The first so many requests of each webhook id fail."
    )
    secret: Text | None = Field(default=None, description="Verifies the signatures of webhooks.")
    secrets: list[Text] | None = Field(default=None, description="As `secret`, several.")
