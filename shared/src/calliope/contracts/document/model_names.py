"""Names of models as their vendors form them: families, so that the next model of a known family is known, too."""

import re
from dataclasses import dataclass
from typing import Final

from calliope.contracts.document.llm import LlmProvider
from calliope.contracts.document.tts import TtsProvider


@dataclass(frozen=True, slots=True)
class ModelNames:
    """Of one vendor: how its names begin, and some that are in use, to suggest the nearest."""

    family: re.Pattern[str]
    examples: tuple[str, ...]

    def knows(self, name: str) -> bool:
        """Whether the name belongs to a family of this vendor."""
        return self.family.match(name) is not None


def _names(family: str, *examples: str) -> ModelNames:
    return ModelNames(re.compile(family), examples)


LANGUAGE_MODELS: Final = {
    LlmProvider.OPENAI: _names(
        r"(ft:)?(gpt-|chatgpt-|codex-|o\d)", "gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-6-luna"
    ),
    LlmProvider.ANTHROPIC: _names(r"claude-", "claude-haiku-5-5", "claude-sonnet-5-5", "claude-haiku-4-5"),
    LlmProvider.GEMINI: _names(
        r"(models/)?(gemini|gemma|learnlm)-|tunedModels/", "gemini-3.5-flash-lite", "gemini-3.8-flash"
    ),
    # a host of others' models: most names are `maker/model`
    LlmProvider.GROQ: _names(
        r".+/.+|(llama|gemma|mixtral|mistral|deepseek|qwen|kimi|compound|allam)",
        "openai/gpt-oss-120b",
        "openai/gpt-oss-20b",
        "qwen/qwen3.6-27b",
    ),
    LlmProvider.XAI: _names(r"grok-", "grok-4.20-non-reasoning", "grok-4.3"),
}
"""A custom server's names are its own."""

RECOGNISERS: Final = _names(
    r"nova(-|$)|flux-|(enhanced|base|whisper)(-|$)|[0-9a-f]{8}-[0-9a-f-]{27}$",  # the last: a model of one's own
    "nova-3",
    "nova-3-medical",
    "nova-2",
    "nova-2-phonecall",
    "flux-general-en",
    "flux-general-multi",
)
VOICE_MODELS: Final = {
    TtsProvider.ELEVENLABS: _names(
        r"eleven_|(flash|turbo|multilingual)$", "eleven_flash_v2_5", "eleven_turbo_v2_5", "eleven_multilingual_v2"
    ),
    TtsProvider.DEEPGRAM: _names(r"aura-|flux-|[A-Za-z]+$", "aura-2-thalia-en"),  # a bare word is a nickname
    TtsProvider.INWORLD: _names(r"inworld-tts", "inworld-tts-1.5-max", "inworld-tts-1.5-mini", "inworld-tts-2"),
    TtsProvider.RESEMBLE: _names(r"chatterbox|resemble", "chatterbox", "chatterbox-turbo"),
}
