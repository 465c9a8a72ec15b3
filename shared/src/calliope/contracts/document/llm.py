"""How an assistant thinks: the language models, in the order in which they are asked, and how they answer."""

from enum import StrEnum

from pydantic import Field, SecretStr

from calliope.contracts.base import Request
from calliope.contracts.document.types import MAX_PROMPT, Line, Url
from calliope.contracts.forms import Boolean, Integer, Number


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

    api_key: SecretStr | None = Field(
        default=None,
        description="Your key at the provider; required unless that is `custom`. Stored sealed, read as a mask.",
        examples=["sk-your-key"],
    )
    model: str | None = Field(
        default=None,
        max_length=200,
        description="Model name as the provider spells it. Left out: the installation's default for that provider; "
        "required when `llm_provider` is `custom`.",
        examples=["gpt-4o-mini"],
    )
    base_url: Url | None = Field(
        default=None,
        description="Address of the API, for a server of your own or a regional host; required when `llm_provider` is "
        "`custom`. Public addresses only, unless the installation allows others.",
        examples=["https://llm.example.com/v1"],
    )
    request_format: LlmRequestFormat = Field(
        default=LlmRequestFormat.OPENAI,
        description="How a `custom` server is asked: `openai` as chat completions, `call` with the messages and the "
        "call's numbers. Other providers take `openai` only.",
    )


class LlmSettings(Request):
    """How the language model answers; the same for every provider of the chain."""

    temperature: Number = Field(
        default=0.7,
        ge=0,
        le=2,
        description="How freely words are chosen: 0 is the most predictable. Anthropic takes 1 at most; models that "
        "take no temperature are asked without.",
    )
    max_tokens: Integer = Field(
        default=1000, ge=1, le=32_000, description="Longest answer of one turn, in tokens; a longer one is cut off."
    )
    top_p: Number | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Share of the likeliest words that are chosen from; models that do not take it are asked without.",
        examples=[0.9],
    )
    frequency_penalty: Number | None = Field(
        default=None,
        ge=-2,
        le=2,
        description="Above 0: words that were said often become less likely. OpenAI, xAI and `custom` only; others "
        "are asked without.",
        examples=[0.5],
    )
    presence_penalty: Number | None = Field(
        default=None,
        ge=-2,
        le=2,
        description="Above 0: words that were said at all become less likely. OpenAI, xAI and `custom` only; others "
        "are asked without.",
        examples=[0.5],
    )
    stop_sequences: tuple[str, ...] = Field(
        default=(),
        max_length=4,
        description="The answer ends before the first of these texts. Models that take none are asked without.",
        examples=[["END"]],
    )
    system_prompt: str = Field(
        default="You are a helpful assistant on a telephone call. Answer in one or two short spoken sentences.",
        max_length=MAX_PROMPT,
        description="Who the assistant is and how it behaves; sent to the model before the conversation in every turn.",
    )
    welcome_message: Line | None = Field(
        default=None,
        description="Said first, as soon as the call is answered. Left out: the caller speaks first.",
        examples=["Hello, this is the practice of Dr. Bell. How can I help you?"],
    )


class LlmFallback(Request):
    """One language model to turn to when those before it fail."""

    provider: LlmProvider = Field(description="Who runs this model.")
    model: str | None = Field(
        default=None,
        max_length=200,
        description="Model name as this provider spells it. Left out: the installation's; required for `custom`.",
        examples=["claude-haiku-4-5"],
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="Your key at this provider; required unless it is `custom`. Stored sealed, read as a mask.",
        examples=["sk-your-key"],
    )
    base_url: Url | None = Field(
        default=None,
        description="Address of this API; required for `custom`.",
        examples=["https://llm.example.com/v1"],
    )
    request_format: LlmRequestFormat = Field(
        default=LlmRequestFormat.OPENAI,
        description="How a `custom` server is asked: `openai` as chat completions, `call` with the messages and the "
        "call's numbers.",
    )


class LlmFallbacks(Request):
    """The ordered rest of the chain."""

    enabled: Boolean = Field(
        default=False, description="Turn to `fallbacks` when the model fails or does not answer in time."
    )
    fallbacks: tuple[LlmFallback, ...] = Field(
        default=(), max_length=5, description="Models to turn to, in this order, within the same turn."
    )


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
