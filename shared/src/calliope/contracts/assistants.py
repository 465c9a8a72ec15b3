"""The assistant document: every option a developer can set, its default and its limits; and the commands around it.

A rule that needs only the document is checked here; what needs the world (a URL's address, a free name) is not.
Masked secrets: a read shows `"••••3f9a"`; writing that mask back keeps the stored secret.
"""

import re
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    Field,
    JsonValue,
    PositiveInt,
    SecretStr,
    StringConstraints,
    field_validator,
    model_validator,
)

from calliope.contracts.base import E164, Message, Moment, Request, Token
from calliope.contracts.schemas import a_live_schema, a_schema

MAX_PROMPT: Final = 32_000
MAX_LINE: Final = 2_000
MAX_KEYTERM_WORDS: Final = 500
MULTI: Final = "multi"
FLUX_MULTI: Final = "flux-general-multi"
_NOVA_ONLY: Final = ("punctuate", "smart_format", "filler_words", "endpointing", "utterance_end_ms")
_FLUX_ONLY: Final = ("eot_threshold", "eager_eot_threshold", "eot_timeout_ms")

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Line = Annotated[str, StringConstraints(max_length=MAX_LINE)]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s\x00-\x1f\x7f]+$", max_length=2_048)]
Scenarios = Annotated[tuple[Annotated[str, StringConstraints(min_length=1, max_length=500)], ...], Field(max_length=50)]


class LlmProvider(StrEnum):
    """Who runs the language model. `custom` is any server that answers as OpenAI chat completions does."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"
    GROQ = "groq"
    XAI = "xai"
    CUSTOM = "custom"


class TtsProvider(StrEnum):
    """Who speaks."""

    ELEVENLABS = "elevenlabs"
    DEEPGRAM = "deepgram"
    INWORLD = "inworld"
    RESEMBLE = "resemble"


class LlmRequestFormat(StrEnum):
    """What a `custom` server is asked with; it answers either as chat completions are streamed.

    `openai`: `POST {base_url}/chat/completions` with key, model and all settings. `call`: `POST {base_url}` with
    `{messages, phoneNumber: {number}, call: {phoneCallProviderId, customer: {number}}, tools?}`, and nothing else.
    """

    OPENAI = "openai"
    CALL = "call"


class LlmProviderConfig(Request):
    """Credentials and model of the primary language model."""

    api_key: SecretStr | None = Field(default=None, description="Key of the provider; required unless `custom`.")
    model: str | None = Field(default=None, max_length=200, description="e.g. `gpt-4o-mini`; default: the provider's.")
    base_url: Url | None = Field(default=None, description="Custom API base URL; required when `custom`.")
    request_format: LlmRequestFormat = Field(default=LlmRequestFormat.OPENAI, description="`custom` only.")


class LlmSettings(Request):
    """How the language model answers; the same for every provider of the chain."""

    temperature: float = Field(default=0.7, ge=0, le=2)
    max_tokens: PositiveInt = Field(default=1000, le=32_000, description="Longest answer, in tokens.")
    top_p: float | None = Field(default=None, gt=0, le=1)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    stop_sequences: tuple[str, ...] = Field(default=(), max_length=4)
    system_prompt: str = Field(
        default="You are a helpful assistant on a telephone call. Answer in one or two short spoken sentences.",
        max_length=MAX_PROMPT,
    )
    welcome_message: Line | None = Field(default=None, description="Said first; absent: the caller speaks first.")


class LlmFallback(Request):
    """One language model to turn to when those before it fail."""

    provider: LlmProvider
    model: str | None = Field(default=None, max_length=200)
    api_key: SecretStr | None = None
    base_url: Url | None = None
    request_format: LlmRequestFormat = Field(default=LlmRequestFormat.OPENAI, description="`custom` only.")


class LlmFallbacks(Request):
    """The ordered rest of the chain."""

    enabled: bool = False
    fallbacks: tuple[LlmFallback, ...] = Field(default=(), max_length=5)


class TtsProviderConfig(Request):
    """Options that only one speaking vendor knows."""

    project_uuid: str | None = Field(default=None, max_length=100, description="Resemble only.")
    language: str | None = Field(default=None, max_length=20, description="Inworld only, e.g. `en`.")


class Voice(Request):
    """One voice at one vendor."""

    provider: TtsProvider = TtsProvider.ELEVENLABS
    voice_id: str | None = Field(default=None, max_length=200, description="Vendor id or a nickname such as `rachel`.")
    model_id: str | None = Field(default=None, max_length=100, description="e.g. `eleven_flash_v2_5`.")
    stability: float | None = Field(default=None, ge=0, le=1, description="ElevenLabs only.")
    similarity_boost: float | None = Field(default=None, ge=0, le=1, description="ElevenLabs only.")
    style: float | None = Field(default=None, ge=0, le=1, description="ElevenLabs only.")
    use_speaker_boost: bool | None = Field(default=None, description="ElevenLabs only.")
    provider_config: TtsProviderConfig = TtsProviderConfig()
    api_key: SecretStr | None = Field(default=None, description="Default: the key of the installation.")

    @model_validator(mode="after")
    def _vendor_options_fit(self) -> Self:
        only_elevenlabs = {
            name
            for name in ("stability", "similarity_boost", "style", "use_speaker_boost")
            if getattr(self, name) is not None
        }
        if only_elevenlabs and self.provider is not TtsProvider.ELEVENLABS:
            raise ValueError(f"{', '.join(sorted(only_elevenlabs))}: only elevenlabs knows these, not {self.provider}")
        if self.provider_config.project_uuid is not None and self.provider is not TtsProvider.RESEMBLE:
            raise ValueError(f"provider_config.project_uuid: only resemble knows it, not {self.provider}")
        if self.provider_config.language is not None and self.provider is not TtsProvider.INWORLD:
            raise ValueError(f"provider_config.language: only inworld knows it, not {self.provider}")
        if self.provider is TtsProvider.DEEPGRAM and self.voice_id is not None and self.model_id is not None:
            raise ValueError("model_id: a voice of deepgram is its model; give one of voice_id and model_id")
        return self


class TtsSettings(Voice):
    """The assistant's voice, and voices to turn to when its vendor fails."""

    fallbacks: tuple[Voice, ...] = Field(default=(), max_length=3)


class Keyword(Request):
    """A word to listen for (nova-2 and older)."""

    keyword: str = Field(min_length=1, max_length=100)
    intensifier: float | None = Field(default=None, ge=-10, le=10)


class SttSettings(Request):
    """How the caller is heard (Deepgram). Nova and older models hear pauses, flux models hear turns."""

    model: str = Field(default="nova-3", min_length=1, max_length=100)
    language: str = Field(
        default="en-US",
        max_length=20,
        pattern=r"^[A-Za-z]{2,5}(-[A-Za-z0-9]{2,8})*$",
        description="`multi` hears several; flux-general-multi takes another as a hint, and `multi` when left out.",
    )
    keywords: tuple[Keyword, ...] = Field(default=(), max_length=100)
    keyterms: tuple[Annotated[str, StringConstraints(min_length=1, max_length=200)], ...] = Field(
        default=(), max_length=100
    )
    punctuate: bool = True
    smart_format: bool = False
    numerals: bool = Field(default=False, description="`5` instead of `five`.")
    profanity_filter: bool = False
    filler_words: bool = Field(default=False, description="Also hear `uh` and `um`; English only, not with flux.")
    redact: tuple[Literal["pci", "ssn", "numbers"], ...] = Field(default=(), max_length=3)
    endpointing: int | None = Field(
        default=None, ge=10, le=5_000, description="ms of silence that end an utterance; default 300, 100 with `multi`."
    )
    utterance_end_ms: int = Field(default=1_000, ge=1_000, le=5_000)
    eot_threshold: float | None = Field(default=None, ge=0.5, le=1, description="Flux only: how sure a turn is over.")
    eager_eot_threshold: float | None = Field(
        default=None, ge=0.3, le=0.9, description="Flux only: how sure, to prepare a reply early; absent: never early."
    )
    eot_timeout_ms: int | None = Field(default=None, ge=500, le=60_000, description="Flux only: silence ends a turn.")
    mip_opt_out: bool = Field(default=False, description="Keep the audio out of Deepgram's model improvement.")
    api_key: SecretStr | None = Field(default=None, description="Default: the key of the installation.")

    @property
    def is_flux(self) -> bool:
        """Whether the model judges turns itself."""
        return self.model.startswith("flux")

    @property
    def takes_keyterms(self) -> bool:
        """nova-3 and flux boost `keyterms`; everything older boosts `keywords`. Source: Deepgram's documentation."""
        return self.model.startswith(("nova-3", "flux"))

    @property
    def pause_ms(self) -> int:
        """Silence that ends an utterance. Callers who switch languages are heard better in shorter windows (vendor)."""
        return self.endpointing or (100 if self.language == MULTI else 300)

    @model_validator(mode="before")
    @classmethod
    def _multilingual_flux_hears_all(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("model") == FLUX_MULTI and "language" not in given:
            return {**given, "language": MULTI}
        return given

    @model_validator(mode="after")
    def _boosts_fit_model(self) -> Self:
        if self.keywords and self.takes_keyterms:
            raise ValueError(f"keywords: {self.model} does not know them; use keyterms, or a nova-2 model")
        if self.keyterms and not self.takes_keyterms:
            raise ValueError(f"keyterms: {self.model} does not know them; use keywords, or a nova-3 model")
        if sum(len(term.split()) for term in self.keyterms) > MAX_KEYTERM_WORDS:
            raise ValueError(f"keyterms: at most {MAX_KEYTERM_WORDS} words in all")
        if not self.model.startswith("base") and any((word.intensifier or 0) < 0 for word in self.keywords):
            raise ValueError(f"keywords: only base models suppress words; {self.model} takes intensifiers from 0")
        return self

    @model_validator(mode="after")
    def _language_fits_model(self) -> Self:
        if self.language == MULTI and not self.model.startswith(("nova-2", "nova-3", FLUX_MULTI)):
            raise ValueError(f"language: {self.model} hears one language; multi needs nova-2, nova-3 or {FLUX_MULTI}")
        if self.is_flux and self.model != FLUX_MULTI and not self.language.lower().startswith("en"):
            raise ValueError(f"language: {self.model} hears English only; use {FLUX_MULTI}")
        return self

    @model_validator(mode="after")
    def _options_fit_model(self) -> Self:
        own, others = ("a flux model", _NOVA_ONLY) if self.is_flux else ("a nova or older model", _FLUX_ONLY)
        fields = type(self).model_fields
        if unfit := [name for name in others if getattr(self, name) != fields[name].default]:
            raise ValueError(f"{', '.join(unfit)}: {self.model} is {own} and does not know this")
        if self.is_flux and set(self.redact) - {"numbers"}:
            raise ValueError(f"redact: {self.model} knows only numbers")
        if self.eager_eot_threshold is not None and self.eager_eot_threshold > (self.eot_threshold or 0.7):
            raise ValueError("eager_eot_threshold: must not be above eot_threshold (0.7 when left out)")
        return self


class InterruptionSettings(Request):
    """When the caller may cut the assistant short."""

    interruption_threshold: int = Field(default=3, ge=0, le=50, description="Words a caller must speak.")
    min_speaking_time: float = Field(default=0.5, ge=0, le=30, description="Seconds the assistant must be audible.")
    interruption_cooldown: float = Field(default=2.0, ge=0, le=60, description="Seconds after an interruption.")


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
        _check_llm("llm_provider_config", self.llm_provider, self.llm_provider_config)
        for index, fallback in enumerate(self.llm_fallback_providers.fallbacks):
            _check_llm(f"llm_fallback_providers.fallbacks.{index}", fallback.provider, fallback)
        return self


def _check_llm(where: str, provider: LlmProvider, config: LlmProviderConfig | LlmFallback) -> None:
    if provider is not LlmProvider.CUSTOM:
        if config.api_key is None:
            raise ValueError(f"{where}.api_key: required when the provider is {provider}")
        if config.request_format is not LlmRequestFormat.OPENAI:
            raise ValueError(f"{where}.request_format: only custom servers can be asked so, not {provider}")
        return
    if config.base_url is None:
        raise ValueError(f"{where}.base_url: required when the provider is custom")
    if config.model is None and config.request_format is LlmRequestFormat.OPENAI:
        raise ValueError(f"{where}.model: required when the provider is custom")


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


class SealedSecret(Message):
    """A secret that only the holder of the private key can read. `last4` is empty for short secrets."""

    v: int = 1
    key_id: str
    sealed: str = Field(description="base64 of the sealed bytes.")
    last4: str = ""


class Assistant(Message):
    """A stored assistant as the API shows it: the document with secrets masked, and what the server knows."""

    id: Token
    organization_id: Token
    revision: PositiveInt = Field(description="Counts writes; the ETag of the document.")
    created_at: Moment
    updated_at: Moment
    document: dict[str, JsonValue] = Field(description="The fields of `AssistantSpec`, secrets masked.")
    webhook_secret: str | None = Field(default=None, description="`whsec_…`: shown in full once, then masked.")

    def flat(self) -> dict[str, JsonValue]:
        """The HTTP shape: document fields beside the server's own."""
        server = self.model_dump(mode="json", exclude={"document"})
        return {**server, **self.document}


class CreateAssistant(Message):
    """Store a new assistant. `document` has the shape of `AssistantSpec` and is validated by its owner."""

    document: dict[str, Any]


class AssistantRef(Message):
    """One assistant by id."""

    assistant_id: str = Field(max_length=128)


class UpdateAssistant(AssistantRef):
    """JSON merge patch (RFC 7396): objects merge, null clears, everything else replaces."""

    patch: dict[str, Any]
    if_revision: int | None = Field(default=None, description="Write only onto this revision.")


class ReplaceAssistant(AssistantRef):
    """Replace the whole document."""

    document: dict[str, Any]
    if_revision: int | None = None


class DeleteAssistant(AssistantRef):
    """Delete; the name is free again. Calls that are live go on with what they pinned."""

    if_revision: int | None = None


class ListAssistants(Message):
    """A page of assistants, newest first."""

    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=200)


class AssistantPage(Message):
    """`next_cursor` is absent on the last page."""

    items: tuple[Assistant, ...]
    next_cursor: str | None = None


class Deleted(Message):
    """The thing is gone."""

    id: str


class PhoneNumberSpec(Request):
    """Which assistant answers a number. `carrier` decides whose credentials sign its hooks."""

    assistant_id: Token
    carrier: Annotated[str, StringConstraints(pattern=r"^(twilio|telnyx)$")] = "twilio"


class AssignPhoneNumber(Message):
    """Let an assistant answer a number; moves it when another of the same organization had it."""

    number: E164
    spec: dict[str, Any]


class PhoneNumber(Message):
    """A number and who answers it."""

    number: E164
    organization_id: Token
    assistant_id: Token
    carrier: str
    revision: PositiveInt
    updated_at: Moment


class PhoneNumberRef(Message):
    """One number."""

    number: str = Field(max_length=32)


class PhoneNumberList(Message):
    """Every number of the organization, at most 1000."""

    items: tuple[PhoneNumber, ...]


class Nothing(Message):
    """No parameters."""


class PinnedAssistant(Message):
    """An assistant as a call pins it: secrets sealed to the call workers. A later change does not reach the call."""

    id: Token
    organization_id: Token
    revision: PositiveInt
    document: dict[str, JsonValue] = Field(description="`AssistantSpec` with a `SealedSecret` for each secret.")


class ResolvedNumber(Message):
    """Who answers a number, and everything the call needs."""

    number: E164
    carrier: str
    assistant: PinnedAssistant


class Endpoints(Message):
    """Where the events of one assistant go. The signing secret is sealed to the webhooks service."""

    assistant_id: Token
    webhook_url: str | None = None
    sms_webhook_url: str | None = None
    signing_secrets: tuple[SealedSecret, ...] = Field(default=(), description="Newest first; sign with all of them.")


def secret_context(organization_id: str, document_id: str, path: tuple[str, ...]) -> str:
    """What a sealed secret is bound to, so that a ciphertext moved elsewhere does not open."""
    return "|".join((organization_id, document_id, ".".join(path)))


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
