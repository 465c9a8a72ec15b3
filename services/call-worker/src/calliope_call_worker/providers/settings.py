"""Settings of the providers: where each vendor is, the installation's own key, and how long each may take."""

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr

from calliope.settings import Part


class DeepgramSettings(Part):
    """Deepgram's recogniser."""

    url: str = Field(
        default="wss://api.deepgram.com",
        description="Address of Deepgram; `wss://api.eu.deepgram.com` keeps audio in the EU, and there are "
        "api.au. and api.in.",
    )
    api_key: SecretStr | None = None
    handshake_deadline_s: PositiveFloat = 3.0


class ElevenLabsSettings(Part):
    """ElevenLabs' voices."""

    url: str = "wss://api.elevenlabs.io"
    api_key: SecretStr | None = None
    model: str = "eleven_flash_v2_5"
    voice: str = "rachel"
    handshake_deadline_s: PositiveFloat = 2.0
    inactivity_timeout_s: int = Field(
        default=180,
        ge=20,
        le=180,
        description="Seconds of silence after which ElevenLabs closes a connection; its own limit is 180.",
    )
    keep_alive_s: PositiveFloat = Field(
        default=15.0,
        description="Seconds without speech after which a sign of life is sent, so that the connection stays open.",
    )


class AuraSettings(Part):
    """Deepgram's voices; the voice is the model. The limits are the vendor's, for one connection."""

    url: str = Field(
        default="wss://api.deepgram.com",
        description="Address of Deepgram; `wss://api.eu.deepgram.com` keeps audio in the EU, and there are "
        "api.au. and api.in.",
    )
    api_key: SecretStr | None = Field(
        default=None, description="Key for Deepgram's voices. Unset: the key of Deepgram's recogniser."
    )
    voice: str = "thalia"
    handshake_deadline_s: PositiveFloat = 2.0
    lifetime_s: PositiveFloat = Field(
        default=3_300.0, description="Seconds after which a connection is replaced; Deepgram closes each after an hour."
    )
    flushes: int = Field(
        default=20,
        ge=3,
        description="Requests to speak that one connection may make within `limits_window_s`; Deepgram's limit.",
    )
    characters: int = Field(
        default=2_400,
        ge=2_000,
        description="Characters that one connection may speak within `limits_window_s`; Deepgram's limit.",
    )
    limits_window_s: PositiveFloat = Field(
        default=61.0,
        description="Seconds over which both limits are counted: Deepgram's minute and a second for the way.",
    )


class InworldSettings(Part):
    """Inworld's voices."""

    url: str = "wss://api.inworld.ai"
    api_key: SecretStr | None = Field(
        default=None,
        description="The installation's own key, for assistants that bring none; as Inworld's portal shows it, in "
        "base64.",
    )
    model: str = "inworld-tts-1.5-max"
    language_model: str = Field(
        default="inworld-tts-2", description="Voice model for assistants that name a language and no model."
    )
    voice: str = "hades"
    handshake_deadline_s: PositiveFloat = 2.0


class ResembleSettings(Part):
    """Resemble's voices. There is no voice that everybody has."""

    url: str = "wss://websocket.cluster.resemble.ai"
    api_url: str = Field(default="https://app.resemble.ai/api/v2", description="Where voices are looked up.")
    api_key: SecretStr | None = None
    model: str | None = None
    voice: str | None = None
    project_uuid: str | None = Field(
        default=None, description="Project for assistants that name none in `provider_config.project_uuid`."
    )
    handshake_deadline_s: PositiveFloat = 2.0


class ModelSettings(Part):
    """A vendor of language models. Model names expire within months: check them against the vendor's list."""

    url: str
    api_key: SecretStr | None = None
    model: str
    models: tuple[str, ...] = Field(
        default=(),
        description="Models that this server has, as a JSON list; for any other name `model` is asked for "
        "instead. Empty: all are asked for.",
    )
    chat_completions: bool = Field(
        default=False,
        description="Whether `url` is another server that answers in this vendor's place and speaks plain OpenAI chat "
        "completions, such as Ollama, LM Studio or vLLM.",
    )

    def model_for(self, wanted: str | None) -> str:
        """The model that is asked for when a document wants this one."""
        return wanted if wanted and (not self.models or wanted in self.models) else self.model


class OpenAiSettings(ModelSettings):
    """OpenAI."""

    url: str = "https://api.openai.com/v1"
    model: str = "gpt-6-luna"


class AnthropicSettings(ModelSettings):
    """Anthropic."""

    url: str = "https://api.anthropic.com"
    model: str = "claude-haiku-5-5"


class GeminiSettings(ModelSettings):
    """Gemini. The flash-lite models think least before they speak."""

    url: str = "https://generativelanguage.googleapis.com/v1beta"
    model: str = "gemini-3.5-flash-lite"


class GroqSettings(ModelSettings):
    """Groq."""

    url: str = "https://api.groq.com/openai/v1"
    model: str = "openai/gpt-oss-120b"


class XaiSettings(ModelSettings):
    """xAI."""

    url: str = "https://api.x.ai/v1"
    model: str = "grok-4.20-non-reasoning"


class ListeningSettings(Part):
    """When a recogniser counts as failed."""

    silent_after_s: PositiveFloat = Field(
        default=2.5,
        description="Seconds of speech without any recognised word after which the recogniser counts as failed "
        "and is opened anew.",
    )
    silent_after_speech_s: PositiveFloat = Field(
        default=0.9, description="The same when the caller has paused, in seconds beyond the assistant's `endpointing`."
    )
    replay_s: PositiveFloat = Field(
        default=10.0, description="Seconds of audio at most that are sent again to a recogniser that was opened anew."
    )
    late_replay_s: PositiveFloat = Field(
        default=5.0,
        description="The same when opening it took more than 3 s: less, so that it catches up with the caller.",
    )


class ThinkingSettings(Part):
    """When a language model counts as failed."""

    first_token_deadline_s: PositiveFloat = Field(
        default=1.3,
        description="Seconds until the model's first word or tool call; then it is asked again, or the next model "
        "is. When there is no other, the caller is asked to wait (`messages.please_wait`). Raise it for slow models.",
    )
    inter_token_deadline_s: PositiveFloat = Field(
        default=1.5, description="Seconds between two words of the model; then it counts as stuck."
    )
    last_model_deadline_s: PositiveFloat = Field(
        default=5.0,
        description="Instead of both, when no other model can be asked: an apology would follow, and a late answer is "
        "better.",
    )
    answer_deadline_s: PositiveFloat = Field(
        default=60.0, description="Seconds that the model's whole answer may take."
    )
    analysis_deadline_s: PositiveFloat = Field(
        default=30.0, description="Seconds until the model's first word in work after the call, where nobody waits."
    )
    breaker_failures: PositiveInt = Field(
        default=3, description="Failures in a row after which a model is skipped and the next one asked at once."
    )
    breaker_cool_down_s: PositiveFloat = Field(
        default=15.0, description="Seconds for which it is skipped before it is tried again."
    )


class SpeakingSettings(Part):
    """When a voice counts as failed."""

    first_audio_deadline_s: PositiveFloat = Field(
        default=1.0,
        description="Seconds until the first audio of a reply; then the voice is tried once more, or the next "
        "voice is.",
    )
    next_audio_deadline_s: PositiveFloat = Field(
        default=0.6, description="The same for the next try, when one failed already."
    )
    stall_deadline_s: PositiveFloat = Field(
        default=2.0, description="Seconds between two pieces of audio; then the voice counts as stuck."
    )
    last_voice_deadline_s: PositiveFloat = Field(
        default=2.0,
        description="Instead of both, for the last try of the last voice: the call would end, and a late voice is "
        "better.",
    )


class ProvidersSettings(Part):
    """`CALLIOPE_PROVIDERS__DEEPGRAM__URL` and so on."""

    deepgram: DeepgramSettings = DeepgramSettings()
    elevenlabs: ElevenLabsSettings = ElevenLabsSettings()
    aura: AuraSettings = AuraSettings()
    inworld: InworldSettings = InworldSettings()
    resemble: ResembleSettings = ResembleSettings()
    openai: OpenAiSettings = OpenAiSettings()
    anthropic: AnthropicSettings = AnthropicSettings()
    gemini: GeminiSettings = GeminiSettings()
    groq: GroqSettings = GroqSettings()
    xai: XaiSettings = XaiSettings()
    listening: ListeningSettings = ListeningSettings()
    thinking: ThinkingSettings = ThinkingSettings()
    speaking: SpeakingSettings = SpeakingSettings()

    @property
    def deepgram_voice(self) -> AuraSettings:
        """Deepgram's voices, on the recogniser's account unless they have one of their own."""
        return self.aura.model_copy(update={"api_key": self.aura.api_key or self.deepgram.api_key})
