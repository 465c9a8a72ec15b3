"""The error a command answers with: a stable code, words for a person, and the fields that are to blame."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from calliope.contracts.open_enum import OpenEnum


class ErrorCode(StrEnum):
    """Stable codes of typed errors; the gateway maps each to one HTTP status."""

    INVALID = "invalid"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    PRECONDITION_FAILED = "precondition_failed"
    PRECONDITION_REQUIRED = "precondition_required"
    TOO_LARGE = "too_large"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    IN_PROGRESS = "in_progress"
    RATE_LIMITED = "rate_limited"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    INTERNAL = "internal"


class FieldProblem(BaseModel):
    """One field that was refused. `path` is dotted, list positions as numbers: `tools_settings.custom_tools.0.url`."""

    model_config = ConfigDict(frozen=True)

    path: str = Field(description="Dotted, list positions as numbers.", examples=["tools_settings.custom_tools.0.url"])
    message: str = Field(
        description="What is wrong with it, or what it must be, with an example.",
        examples=["must be a whole number from 0 to 100, such as 3"],
    )
    hint: str | None = Field(
        default=None, description="What was probably meant.", examples=["did you mean 'llm_settings.welcome_message'?"]
    )


class Problem(BaseModel):
    """Body of an error reply on the bus; the gateway turns it into `application/problem+json`."""

    model_config = ConfigDict(frozen=True)

    code: OpenEnum[ErrorCode]
    message: str
    fields: tuple[FieldProblem, ...] = ()
    retry_after_s: PositiveFloat | None = None
