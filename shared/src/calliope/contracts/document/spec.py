"""The assistant document as a whole: every option a developer can set, its default and its limits.

A rule that needs only the document is checked here; what needs the world (a URL's address, a free name) is not.
Masked secrets: a read shows `"••••3f9a"`; writing that mask back keeps the stored secret.
"""

from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, Field, JsonValue, SecretStr, StringConstraints, field_validator, model_validator

from calliope.contracts.base import Request
from calliope.contracts.document.llm import LlmFallbacks, LlmProvider, LlmProviderConfig, LlmSettings, check_llm
from calliope.contracts.document.stt import SttSettings
from calliope.contracts.document.tools import ToolsSettings
from calliope.contracts.document.tts import TtsSettings
from calliope.contracts.document.types import MAX_PROMPT, Line, Name, Url
from calliope.contracts.schemas import a_schema


class InterruptionSettings(Request):
    """When the caller may cut the assistant short."""

    interruption_threshold: int = Field(default=3, ge=0, le=50, description="Words a caller must speak.")
    min_speaking_time: float = Field(default=0.5, ge=0, le=30, description="Seconds the assistant must be audible.")
    interruption_cooldown: float = Field(default=2.0, ge=0, le=60, description="Seconds after an interruption.")


class CustomSettings(Request):
    """What is taken from the conversation after the call."""

    structured_data_prompt: str | None = Field(default=None, max_length=MAX_PROMPT)
    structured_data_schema: dict[str, JsonValue] | None = None

    _schema = field_validator("structured_data_schema")(a_schema)


class TwilioConfig(Request):
    """Bring your own Twilio account."""

    account_sid: Annotated[str, StringConstraints(pattern=r"^AC[0-9a-fA-F]{32}$")]
    auth_token: SecretStr


class TelnyxConfig(Request):
    """Bring your own Telnyx account; `connection_id` is the Call Control application."""

    api_key: SecretStr
    connection_id: str = Field(min_length=1, max_length=100)
    public_key: str | None = Field(default=None, max_length=100, description="Base64 Ed25519 key that signs hooks.")


class RagSettings(Request):
    """Retrieval over uploaded documents; this installation stores none, so it cannot be enabled."""

    enabled: bool = False

    @field_validator("enabled")
    @classmethod
    def _not_here(cls, enabled: bool) -> bool:
        if enabled:
            raise ValueError("this version stores no documents to retrieve from; leave rag_settings out")
        return enabled


class AssistantSpec(Request):
    """What a developer writes. Every field acts on a call or is refused."""

    name: Name
    description: str | None = Field(default=None, max_length=2_000)
    is_active: bool = True
    llm_provider: LlmProvider = LlmProvider.OPENAI
    llm_provider_config: LlmProviderConfig
    llm_settings: LlmSettings = LlmSettings()
    llm_fallback_providers: LlmFallbacks = LlmFallbacks()
    tts_settings: TtsSettings = TtsSettings()
    stt_settings: SttSettings = SttSettings()
    interruption_settings: InterruptionSettings = InterruptionSettings()
    idle_message: Line | None = None
    max_idle_messages: int = Field(default=3, ge=0, le=100)
    idle_timeout: int | None = Field(default=None, ge=1, le=3_600, description="Seconds of silence; absent: never.")
    max_call_duration: int = Field(default=3_600, ge=10, le=14_400, description="Seconds.")
    tools_settings: ToolsSettings = ToolsSettings()
    custom_settings: CustomSettings = CustomSettings()
    twilio_config: TwilioConfig | None = None
    telnyx_config: TelnyxConfig | None = None
    webhook_url: Url | None = None
    sms_webhook_url: Url | None = None
    messaging_service_sid: Annotated[str, StringConstraints(pattern=r"^MG[0-9a-fA-F]{32}$")] | None = None
    rag_settings: RagSettings = RagSettings()
    journal_inputs: bool = Field(default=False, description="Record what turn taking saw, to replay the call offline.")

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
    ("twilio_config", "auth_token"),
    ("telnyx_config", "api_key"),
)
"""Where the document holds secrets; `*` stands for every element of a list."""
URL_PATHS: Final = (
    ("llm_provider_config", "base_url"),
    ("llm_fallback_providers", "fallbacks", "*", "base_url"),
    ("tools_settings", "custom_tools", "*", "url"),
    ("webhook_url",),
    ("sms_webhook_url",),
)
"""Where the document holds URLs that Calliope will call; each passes the egress guard."""


def known_fields(path: tuple[str, ...], model: type[BaseModel] = AssistantSpec) -> tuple[str, ...]:
    """The field names at a place of the document, to suggest the nearest when an unknown one is refused."""
    here: type[BaseModel] | None = model
    for step in path:
        if here is None:
            return ()
        if step.isdigit():
            continue
        field = here.model_fields.get(step)
        here = _model_in(field.annotation) if field else None
    return tuple(here.model_fields) if here else ()


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (found := _model_in(argument)) is not None:
            return found
    return None
