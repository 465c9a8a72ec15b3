"""How an assistant thinks: the language models, in the order in which they are asked, and how they answer."""

from enum import StrEnum

from pydantic import Field, PositiveInt, SecretStr

from calliope.contracts.base import Request
from calliope.contracts.document.types import MAX_PROMPT, Line, Url


class LlmProvider(StrEnum):
    """Who runs the language model. `custom` is any server that answers as OpenAI chat completions does."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"
    GROQ = "groq"
    XAI = "xai"
    CUSTOM = "custom"


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


def check_llm(where: str, provider: LlmProvider, config: LlmProviderConfig | LlmFallback) -> None:
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
