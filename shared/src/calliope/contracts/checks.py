"""What an assistant's vendors said when they were asked whether a call could use them."""

from enum import StrEnum

from pydantic import Field, NonNegativeFloat, PositiveInt

from calliope.contracts.base import Message, Moment, Token
from calliope.contracts.calls import Stage
from calliope.contracts.open_enum import OpenEnum


class CheckedPart(StrEnum):
    """What was asked about. `vendor`: whether it answers at all; `address`: of a server of your own."""

    KEY = "key"
    MODEL = "model"
    VOICE = "voice"
    ACCOUNT = "account"
    APPLICATION = "application"
    NUMBER = "number"
    ADDRESS = "address"
    VENDOR = "vendor"


class CheckOutcome(StrEnum):
    """`unchecked`: this vendor gave no way to know; it is no problem, and no promise."""

    OK = "ok"
    FAILED = "failed"
    UNCHECKED = "unchecked"


class VendorCheck(Message):
    """One part of one vendor, as of now."""

    path: str = Field(
        description="The field of the document that it is about, as in an error; a number is "
        "`phone_numbers.+15550001111`.",
        examples=["llm_provider_config.api_key"],
    )
    stage: OpenEnum[Stage] = Field(
        description="What a call needs it for: hearing, thinking, speaking, or the line itself."
    )
    provider: str = Field(description="The vendor, as the document names it.", examples=["openai"])
    what: OpenEnum[CheckedPart] = Field(description="The part that this line is about.")
    outcome: OpenEnum[CheckOutcome] = Field(description="Whether a call could use it, as far as the vendor tells.")
    reason: str = Field(
        default="", description="Why it failed, as in `call.provider_failed`: `key`, `quota`, `refused`, `deadline` …"
    )
    detail: str = Field(default="", description="What the vendor said, or why it could not be checked. No secrets.")
    hint: str = Field(default="", description="What to do about it, or soon: vendors say when a model ends.")
    duration_ms: NonNegativeFloat = Field(description="How long the vendor took, for all its parts together.")


class AssistantCheck(Message):
    """Every vendor of an assistant, asked once with what a call would use."""

    assistant_id: Token = Field(description="The assistant whose vendors were asked.")
    revision: PositiveInt = Field(description="The revision of the document that was checked.")
    checked_at: Moment = Field(description="When the last vendor had answered.")
    ok: bool = Field(description="Nothing failed. What could not be checked stands in `checks`, as `unchecked`.")
    checks: tuple[VendorCheck, ...] = Field(description="A line for every part of every vendor.")
    problems: tuple[VendorCheck, ...] = Field(default=(), description="Those of `checks` that failed.")
