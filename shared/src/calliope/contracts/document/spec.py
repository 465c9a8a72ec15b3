"""The assistant document as a whole: every option a developer can set, its default and its limits.

A rule that needs only the document is checked here; what needs the world (a URL's address, a free name) is not.
Masked secrets: a read shows `"••••3f9a"`; writing that mask back keeps the stored secret.
"""

from typing import Annotated, Final, Self

from pydantic import Field, JsonValue, SecretStr, StringConstraints, ValidationInfo, field_validator, model_validator

from calliope.contracts.base import Request, was_stored
from calliope.contracts.document.llm import LlmFallbacks, LlmProvider, LlmProviderConfig, LlmSettings, check_llm
from calliope.contracts.document.messages import Messages
from calliope.contracts.document.stt import SttSettings
from calliope.contracts.document.time_zones import TimeZone
from calliope.contracts.document.tools import ToolsSettings
from calliope.contracts.document.tts import TtsSettings
from calliope.contracts.document.types import MAX_PROMPT, Line, Name, Phrases, Url
from calliope.contracts.document.variables import Variables
from calliope.contracts.forms import Boolean, Form, Integer, Number
from calliope.contracts.schemas import a_schema


class InterruptionSettings(Request):
    """When the caller may cut the assistant short."""

    interruption_threshold: Integer = Field(
        default=3,
        ge=0,
        le=50,
        description="Words that the caller must speak, while the assistant is heard, to interrupt it. 0 means 1: a "
        "noise without a word never interrupts. Fewer words are kept and answered with the next turn.",
    )
    interrupt_phrases: Phrases | None = Field(
        default=None,
        description="What a caller says to stop the assistant, such as `stop` or `hold on`: interrupts at once when an "
        "utterance begins with it, whatever the threshold. Left out: the usual phrases of `stt_settings.language`.",
    )
    ignore_phrases: Phrases | None = Field(
        default=None,
        description="What a caller says to show attention, such as `uh huh` or `okay`: while the assistant is heard it "
        "neither interrupts nor is answered on its own. Left out: the usual phrases of `stt_settings.language`.",
    )
    min_speaking_time: Number = Field(
        default=0.5,
        ge=0,
        le=30,
        description="Seconds for which the assistant must have been heard before it can be interrupted.",
    )
    interruption_cooldown: Number = Field(
        default=2.0,
        ge=0,
        le=60,
        description="Seconds after an interruption in which the assistant cannot be interrupted again, except by a "
        "phrase that stops it.",
    )

    resume_after_false_interruption: Boolean = Field(
        default=True,
        description="Whether the assistant goes on with the sentence that was cut, when 1.5 seconds later nothing is "
        "left of the words that interrupted it: a noise, or words that only show attention.",
    )

    @field_validator("interrupt_phrases", "ignore_phrases")
    @classmethod
    def _are_words(cls, phrases: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if any(not any(character.isalnum() for character in phrase) for phrase in phrases or ()):
            raise ValueError('a phrase needs a word that can be heard, such as "hold on"')
        return phrases


class CustomSettings(Request):
    """What is taken from the conversation after the call."""

    structured_data_prompt: str | None = Field(
        default=None,
        max_length=MAX_PROMPT,
        description="What the model is asked to take from the call when it is over. `{summary}` and `{schema}` in it "
        "stand for the call's summary and the schema below.",
        examples=["Note why the caller called and which day was agreed on."],
    )
    structured_data_schema: dict[str, JsonValue] | None = Field(
        default=None,
        description="JSON Schema of the data that is taken from the call; the answer is checked against it and shown "
        "as `structured_data` of the call. With a prompt alone any object is taken; without both, none.",
        examples=[{"type": "object", "properties": {"reason": {"type": "string"}}}],
    )

    @field_validator("structured_data_schema")
    @classmethod
    def _a_schema(cls, schema: dict[str, JsonValue] | None, info: ValidationInfo) -> dict[str, JsonValue] | None:
        return schema if was_stored(info) else a_schema(schema)


class TwilioConfig(Request):
    """Bring your own Twilio account."""

    account_sid: Annotated[
        str,
        StringConstraints(pattern=r"^AC[0-9a-fA-F]{32}$"),
        Form("a Twilio account SID of AC and 32 hexadecimal digits", "AC0123456789abcdef0123456789abcdef"),
    ] = Field(description="Account SID of your Twilio account: `AC` and 32 hexadecimal digits.")
    auth_token: SecretStr = Field(
        description="Auth token of that account. It verifies Twilio's requests and controls the call; stored sealed.",
        examples=["your-auth-token"],
    )


class TelnyxConfig(Request):
    """Bring your own Telnyx account; `connection_id` is the Call Control application."""

    api_key: SecretStr = Field(
        description="API key of your Telnyx account; controls the call. Stored sealed, read as a mask.",
        examples=["KEY0123-your-key"],
    )
    connection_id: str = Field(
        min_length=1,
        max_length=100,
        description="Id of the Call Control application that the number belongs to; hooks of another are refused.",
        examples=["1494404757140276705"],
    )
    public_key: str | None = Field(
        default=None,
        max_length=100,
        description="Public key of your Telnyx account (base64, Ed25519), which verifies Telnyx's requests. Left out: "
        "the key of the installation.",
        examples=["e5O1y1eqQ9Vw4bGyMRRm7p2ulQbrdhj3zZAXlLcxTnY="],
    )


class RagSettings(Request):
    """Retrieval over uploaded documents; this installation stores none, so it cannot be enabled."""

    enabled: Boolean = Field(
        default=False, description="Must be false: this version stores no documents to retrieve from.", examples=[False]
    )

    @field_validator("enabled")
    @classmethod
    def _not_here(cls, enabled: bool) -> bool:
        if enabled:
            raise ValueError("this version stores no documents to retrieve from; leave rag_settings out")
        return enabled


class AssistantSpec(Request):
    """What a developer writes. Every field acts on a call or is refused."""

    name: Name = Field(
        description="Name of the assistant, unique in your organization whatever its case. Callers do not hear it.",
        examples=["Reception"],
    )
    description: str | None = Field(
        default=None,
        max_length=2_000,
        description="What the assistant is for, as a note to yourselves; no effect on a call.",
        examples=["Answers outside opening hours."],
    )
    is_active: Boolean = Field(
        default=True, description="Whether it answers calls. False: its numbers are refused; calls under way go on."
    )
    time_zone: TimeZone | None = Field(
        default=None,
        description="Where the assistant is: the zone of the date and time that the model is told in every request, "
        "and of `{{now}}`. Left out: the zone of the installation, which is UTC unless that is set.",
    )
    variables: Variables = Field(
        default_factory=dict,
        description="Texts of your own for `{{name}}` in the prompt and the fixed lines, beside those of the call.",
        examples=[{"opening_hours": "nine to six, Monday to Saturday"}],
    )
    llm_provider: LlmProvider = Field(
        default=LlmProvider.OPENAI,
        description="Who runs the language model; `custom` is any server that speaks chat completions.",
    )
    llm_provider_config: LlmProviderConfig = Field(description="Credentials and model of the language model.")
    llm_settings: LlmSettings = Field(
        default=LlmSettings(), description="How the language model answers, whichever provider does."
    )
    llm_fallback_providers: LlmFallbacks = Field(
        default=LlmFallbacks(), description="Language models to turn to when the first one fails."
    )
    tts_settings: TtsSettings = Field(default=TtsSettings(), description="The voice that callers hear.")
    stt_settings: SttSettings = Field(default=SttSettings(), description="How callers are heard.")
    interruption_settings: InterruptionSettings = Field(
        default=InterruptionSettings(), description="When the caller may interrupt the assistant."
    )
    idle_message: Line | None = Field(
        default=None,
        description="Said when nobody has spoken for `idle_timeout` seconds. Left out: “Are you still there?”, in "
        "the language of `stt_settings.language`.",
        examples=["Are you still on the line?"],
    )
    messages: Messages = Field(
        default=Messages(), description="What is said when something ends or fails, in words of your own."
    )
    max_idle_messages: Integer = Field(
        default=3,
        ge=0,
        le=100,
        description="Idle messages in a row before a goodbye and the end of the call; the caller's words start the "
        "count anew. 0: goodbye at the first silence.",
    )
    idle_timeout: Integer | None = Field(
        default=None,
        ge=1,
        le=3_600,
        description="Seconds of silence on both sides before an idle message. Left out: silence never ends a call.",
        examples=[10],
    )
    max_call_duration: Integer = Field(
        default=3_600, ge=10, le=14_400, description="Seconds after which the assistant says goodbye and ends the call."
    )
    tools_settings: ToolsSettings = Field(
        default=ToolsSettings(), description="What the assistant may do besides speaking."
    )
    custom_settings: CustomSettings = Field(
        default=CustomSettings(), description="Which data are taken from a call when it is over."
    )
    twilio_config: TwilioConfig | None = Field(
        default=None, description="Your own Twilio account. Left out: the account of the installation."
    )
    telnyx_config: TelnyxConfig | None = Field(
        default=None, description="Your own Telnyx account. Left out: the account of the installation."
    )
    webhook_url: Url | None = Field(
        default=None,
        description="Where every event of this assistant and of its calls is sent, signed as Standard Webhooks says.",
        examples=["https://example.com/hooks/calls"],
    )
    sms_webhook_url: Url | None = Field(
        default=None,
        description="Where events about text messages are sent instead of `webhook_url`, signed in the same way.",
        examples=["https://example.com/hooks/sms"],
    )
    messaging_service_sid: (
        Annotated[
            str,
            StringConstraints(pattern=r"^MG[0-9a-fA-F]{32}$"),
            Form(
                "a Twilio Messaging Service SID of MG and 32 hexadecimal digits", "MG0123456789abcdef0123456789abcdef"
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="Twilio Messaging Service for text messages. Kept, and without effect: this version sends none.",
    )
    rag_settings: RagSettings = Field(
        default=RagSettings(), description="Retrieval over uploaded documents; this version has none."
    )
    journal_inputs: Boolean = Field(
        default=False,
        description="Keep what turn taking saw of each call in a file of the call-worker, to replay its decisions "
        "offline. It holds the caller's words, no audio.",
    )

    @model_validator(mode="after")
    def _provider_is_reachable(self) -> Self:
        check_llm("llm_provider_config", self.llm_provider, self.llm_provider_config)
        for index, fallback in enumerate(self.llm_fallback_providers.fallbacks):
            check_llm(f"llm_fallback_providers.fallbacks.{index}", fallback.provider, fallback)
        return self


SECRET_PATHS: Final = (
    ("llm_provider_config", "api_key"),
    ("llm_fallback_providers", "fallbacks", "*", "api_key"),
    ("tts_settings", "api_key"),
    ("tts_settings", "fallbacks", "*", "api_key"),
    ("stt_settings", "api_key"),
    ("tools_settings", "custom_tools", "*", "auth_token"),
    ("tools_settings", "custom_tools", "*", "headers", "*"),
    ("twilio_config", "auth_token"),
    ("telnyx_config", "api_key"),
)
"""Where the document holds secrets; `*` stands for every element of a list and every value of an object."""
URL_PATHS: Final = (
    ("llm_provider_config", "base_url"),
    ("llm_fallback_providers", "fallbacks", "*", "base_url"),
    ("tools_settings", "custom_tools", "*", "url"),
    ("webhook_url",),
    ("sms_webhook_url",),
)
"""Where the document holds URLs that Calliope will call; each passes the egress guard."""
FREE_FORM_PATHS: Final = (
    ("tools_settings", "custom_tools", "*", "parameters"),
    ("custom_settings", "structured_data_schema"),
)
"""Where the document holds JSON Schemas of the developer's own: large, and checked when they are written."""
TEXT_PATHS: Final = (
    ("llm_settings", "system_prompt"),
    ("llm_settings", "welcome_message"),
    ("idle_message",),
    *(("messages", name) for name in Messages.model_fields),
    ("tools_settings", "end_call", "custom_message"),
    ("tools_settings", "transfer_call", "custom_message"),
    ("tools_settings", "custom_tools", "*", "speak_while_running"),
)
"""Where the document holds texts in which `{{variables}}` are filled in when a call begins."""
