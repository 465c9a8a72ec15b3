"""What an assistant may do besides speaking: end the call, hand it over, ask an HTTP endpoint."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, JsonValue, SecretStr, StringConstraints, ValidationInfo, field_validator, model_validator

from calliope.contracts.base import E164, Request, was_stored
from calliope.contracts.document.headers import plain_headers
from calliope.contracts.document.types import Line, Scenarios, Url
from calliope.contracts.forms import Boolean, Form, Number
from calliope.contracts.schemas import a_tool_schema


class EndCallTool(Request):
    """Lets the model end the call."""

    enabled: Boolean = Field(default=False, description="Offer the model a tool that ends the call.")
    scenarios: Scenarios = Field(
        default=(),
        description="When the call should end, told to the model with the tool.",
        examples=[["the caller says goodbye"]],
    )
    custom_message: Line | None = Field(
        default=None,
        description="Said, and heard to its end, before the line drops. Left out: a short goodbye.",
        examples=["Thank you for calling. Goodbye."],
    )


class TransferCallTool(Request):
    """Lets the model hand the caller over, only to the numbers listed."""

    enabled: Boolean = Field(
        default=False, description="Offer the model a tool that connects the caller to a person; needs numbers."
    )
    scenarios: Scenarios = Field(
        default=(),
        description="When the caller should be connected, told to the model with the tool.",
        examples=[["the caller asks for a person"]],
    )
    transfer_numbers: tuple[E164, ...] = Field(
        default=(),
        max_length=50,
        description="Telephone numbers that calls may be transferred to, and no others.",
        examples=[["+15551234567"]],
    )
    custom_message: Line | None = Field(
        default=None,
        description="Said, and heard to its end, before the transfer. Left out: a short request to wait.",
        examples=["One moment, I am connecting you."],
    )

    @model_validator(mode="after")
    def _has_somewhere_to_go(self) -> Self:
        if self.enabled and not self.transfer_numbers:
            raise ValueError(
                "transfer_numbers: transfer_call is enabled, so name at least one number, such as +15551234567"
            )
        return self


class HttpMethod(StrEnum):
    """How a custom tool is called."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


class CustomTool(Request):
    """An HTTP endpoint that the model may call during the conversation.

    GET sends the arguments as query parameters, other methods as a JSON body. Every request carries an
    `Idempotency-Key`, so a repeated request can be recognised.
    """

    name: Annotated[
        str,
        StringConstraints(pattern=r"^[a-zA-Z][a-zA-Z0-9_]{0,62}$"),
        Form("a name of at most 63 letters, digits and underscores that begins with a letter", "book_appointment"),
    ] = Field(description="Name by which the model calls the tool; each tool of an assistant needs its own.")
    description: str = Field(
        min_length=1,
        max_length=1_000,
        description="What the tool does and when to use it, told to the model.",
        examples=["Books an appointment on a day that the caller agreed to."],
    )
    parameters: dict[str, JsonValue] = Field(
        default={"type": "object", "properties": {}},
        description="JSON Schema of the arguments, told to the model; what it then sends is checked against it.",
        examples=[{"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}],
    )
    url: Url = Field(
        description="Address that is asked. Public addresses only, unless the installation allows others.",
        examples=["https://example.com/appointments"],
    )
    method: HttpMethod = Field(
        default=HttpMethod.POST,
        description="`GET` sends the arguments as query parameters, the others as a JSON body.",
    )
    headers: dict[str, SecretStr] = Field(
        default_factory=dict,
        max_length=20,
        description="Headers sent with every request as they are written, also an `Accept` of your own. Each value is "
        "stored sealed and read as a mask; a mask that is written back keeps the value of the header of that name.",
        examples=[{"X-Practice": "bell"}],
    )
    auth_token: SecretStr | None = Field(
        default=None,
        description="Sent as `Authorization: Bearer …`. Stored sealed, read as a mask.",
        examples=["your-token"],
    )
    timeout_s: Number = Field(
        default=8.0, gt=0, le=30, description="Seconds for the whole answer; later the model is told that it failed."
    )
    speak_while_running: Line | None = Field(
        default=None,
        description="Said while the caller waits for the answer. Left out: silence.",
        examples=["One moment, I am looking that up."],
    )

    @field_validator("parameters")
    @classmethod
    def _an_object(cls, parameters: dict[str, JsonValue], info: ValidationInfo) -> dict[str, JsonValue]:
        return parameters if was_stored(info) else a_tool_schema(parameters)

    @field_validator("headers")
    @classmethod
    def _plain_headers(cls, headers: dict[str, SecretStr], info: ValidationInfo) -> dict[str, SecretStr]:
        return headers if was_stored(info) else plain_headers(headers)

    @model_validator(mode="after")
    def _one_authorization(self, info: ValidationInfo) -> Self:
        if was_stored(info) or self.auth_token is None:
            return self
        for name in self.headers:
            if name.lower() == "authorization":
                raise ValueError(f"headers: {name!r} is set by auth_token; keep one of them")
        return self


class ToolsSettings(Request):
    """What the model may do besides speaking."""

    end_call: EndCallTool = Field(default=EndCallTool(), description="Whether the assistant may end the call.")
    transfer_call: TransferCallTool = Field(
        default=TransferCallTool(), description="Whether, and to whom, the assistant may connect the caller."
    )
    custom_tools: tuple[CustomTool, ...] = Field(
        default=(), max_length=20, description="Addresses of yours that the model may ask during the conversation."
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [tool.name for tool in self.custom_tools]
        for name in names:
            if names.count(name) > 1 or name in {"end_call", "transfer_call"}:
                raise ValueError(f"custom_tools: the name {name!r} is taken; every tool needs its own")
        return self
