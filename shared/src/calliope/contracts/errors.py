"""The error a command answers with: a stable code, words for a person, and the fields that are to blame."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, PositiveFloat


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

    path: str
    message: str
    hint: str | None = None


class Problem(BaseModel):
    """Body of an error reply on the bus; the gateway turns it into `application/problem+json`."""

    model_config = ConfigDict(frozen=True)

    code: ErrorCode
    message: str
    fields: tuple[FieldProblem, ...] = ()
    retry_after_s: PositiveFloat | None = None
