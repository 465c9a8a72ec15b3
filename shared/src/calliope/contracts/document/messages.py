"""What an assistant says when something ends or fails: the developer's words instead of those of Calliope."""

from pydantic import Field

from calliope.contracts.base import Request
from calliope.contracts.document.types import Line


class Messages(Request):
    """Fixed lines. What is left out is said in the language of `stt_settings.language`, where Calliope has it."""

    apology: Line | None = Field(
        default=None,
        description="Said when no language model answered a turn, and the caller may go on.",
        examples=["I am sorry, I did not get that. Could you say it again?"],
    )
    ask_to_repeat: Line | None = Field(
        default=None,
        description="Said when the call moved to another worker and nobody speaks: words of the caller may have been "
        "lost meanwhile.",
        examples=["Sorry, the line was bad for a moment. What did you say?"],
    )
    please_wait: Line | None = Field(
        default=None,
        description="Said when the language model takes long, no other is left to ask, and the caller waits.",
        examples=["Let me see."],
    )
    final_apology: Line | None = Field(
        default=None,
        description="Said before the call ends because models or recogniser have failed.",
        examples=["I am sorry, something is broken here. Please call us again in an hour. Goodbye."],
    )
    goodbye: Line | None = Field(
        default=None,
        description="Said before the call ends for any other reason, and by `end_call` when it has no "
        "`custom_message`.",
        examples=["Thank you for calling Bella. Goodbye."],
    )
    idle_goodbye: Line | None = Field(
        default=None,
        description="Said before the call ends because the caller has been silent through `max_idle_messages`.",
        examples=["I cannot hear you any more. Please call again. Goodbye."],
    )
    time_limit_goodbye: Line | None = Field(
        default=None,
        description="Said before the call ends at `max_call_duration`.",
        examples=["Our time is over. Please call again. Goodbye."],
    )
    last_resort: Line | None = Field(
        default=None,
        description="Said by the carrier's own voice before the call ends, when none of yours can speak.",
        examples=["We are sorry, we have a technical problem. Please write to hello@example.com."],
    )
    transfer_failed: Line | None = Field(
        default=None,
        description="Said by the carrier's own voice before the call ends, when nobody took a transferred call.",
        examples=["We are sorry, nobody is free to talk to you now. Please call again later."],
    )
