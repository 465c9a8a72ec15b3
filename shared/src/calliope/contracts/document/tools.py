"""What an assistant may do besides speaking: end the call, hand it over, ask an HTTP endpoint."""

import re
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, JsonValue, SecretStr, StringConstraints, field_validator, model_validator

from calliope.contracts.base import E164, Request
from calliope.contracts.document.types import Line, Scenarios, Url
from calliope.contracts.schemas import a_live_schema


class EndCallTool(Request):
    """Lets the model end the call."""

    enabled: bool = False
    scenarios: Scenarios = ()
    custom_message: Line | None = Field(default=None, description="Said before the line drops.")


class TransferCallTool(Request):
    """Lets the model hand the caller over, only to the numbers listed."""

    enabled: bool = False
    scenarios: Scenarios = ()
    transfer_numbers: tuple[E164, ...] = Field(default=(), max_length=50)
    custom_message: Line | None = Field(default=None, description="Said before the transfer.")

    @model_validator(mode="after")
    def _has_somewhere_to_go(self) -> Self:
        if self.enabled and not self.transfer_numbers:
            raise ValueError("transfer_numbers: transfer_call is enabled, so name at least one E.164 number")
        return self


class HttpMethod(StrEnum):
    """How a custom tool is called."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


_FORBIDDEN_HEADERS: Final = frozenset(
    {"host", "content-length", "connection", "transfer-encoding", "idempotency-key", "content-type", "cookie"}
)


class CustomTool(Request):
    """An HTTP endpoint that the model may call during the conversation.

    GET sends the arguments as query parameters, other methods as a JSON body. Every request carries an
    `Idempotency-Key`, so a repeated request can be recognised.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z][a-zA-Z0-9_]{0,62}$")]
    description: str = Field(min_length=1, max_length=1_000)
    parameters: dict[str, JsonValue] = Field(
        default={"type": "object", "properties": {}}, description="JSON Schema of the arguments."
    )
    url: Url
    method: HttpMethod = HttpMethod.POST
    headers: dict[str, str] = Field(default_factory=dict, max_length=20)
    auth_token: SecretStr | None = Field(default=None, description="Sent as `Authorization: Bearer …`.")
    timeout_s: float = Field(default=8.0, gt=0, le=30)
    speak_while_running: Line | None = Field(default=None, description="Said while the caller waits.")

    _schema = field_validator("parameters")(a_live_schema)

    @field_validator("headers")
    @classmethod
    def _plain_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not re.fullmatch(r"[A-Za-z0-9-]{1,100}", name) or name.lower() in _FORBIDDEN_HEADERS:
                raise ValueError(f"{name!r} cannot be set; it is malformed or set by Calliope itself")
            if not re.fullmatch(r"[\x20-\x7e]{0,1000}", value):
                raise ValueError(f"the value of {name!r} must be printable ASCII of at most 1000 characters")
        return headers


class ToolsSettings(Request):
    """What the model may do besides speaking."""

    end_call: EndCallTool = EndCallTool()
    transfer_call: TransferCallTool = TransferCallTool()
    custom_tools: tuple[CustomTool, ...] = Field(default=(), max_length=20)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [tool.name for tool in self.custom_tools]
        for name in names:
            if names.count(name) > 1 or name in {"end_call", "transfer_call"}:
                raise ValueError(f"custom_tools: the name {name!r} is taken; every tool needs its own")
        return self
