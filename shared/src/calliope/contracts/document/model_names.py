"""Names of models as their vendors form them: families, so that the next model of a known family is known, too."""

import difflib
import re
from dataclasses import dataclass
from typing import Final

from calliope.contracts.document.llm import LlmProvider
from calliope.contracts.document.tts import TtsProvider


@dataclass(frozen=True, slots=True)
class ModelNames:
    """Of one vendor: how its names begin, words that stand in them, and some that are in use, to suggest the nearest.

    Versions, dates and words that resemble no known one are free: they may be the next model's.
    """

    family: re.Pattern[str]
    examples: tuple[str, ...]
    words: frozenset[str]

    def knows(self, name: str) -> bool:
        """Whether the name belongs to a family of this vendor, and has no misspelt word."""
        return self.forms(name) and self.corrected(name) is None

    def forms(self, name: str) -> bool:
        """Whether the name begins like those of this vendor."""
        return self.family.match(name) is not None

    def corrected(self, name: str) -> str | None:
        """The name with known words for those that are almost known; None, when there are none of these."""
        if _OF_ONES_OWN.search(name) or len(name) > _LONGEST_NAME:
            return None
        mended = _WORD.sub(lambda found: self._nearest(found[0]), name)
        return mended if mended != name else None

    def _nearest(self, word: str) -> str:
        if word in self.words:
            return word
        return next(iter(difflib.get_close_matches(word, sorted(self.words), n=1, cutoff=_MISSPELT)), word)


_WORD: Final = re.compile(r"(?<![A-Za-z0-9])[a-z]{3,}(?![A-Za-z0-9])")
_OF_ONES_OWN: Final = re.compile(r"^(ft:|tunedModels/)|^[0-9a-f]{8}-[0-9a-f-]{27}$")
_MISSPELT: Final = 0.8
_LONGEST_NAME: Final = 80


def _names(family: str, *examples: str, words: str = "") -> ModelNames:
    return ModelNames(re.compile(family), examples, frozenset(words.split()))


LANGUAGE_MODELS: Final = {
    LlmProvider.OPENAI: _names(
        r"(ft:)?(gpt-|chatgpt-|codex-|o\d)",
        "gpt-4o",
        "gpt-4o-mini",
        "gpt-4.1",
        "gpt-4.1-mini",
        "gpt-6-luna",
        words="gpt chatgpt codex mini nano turbo preview chat latest audio realtime pro search instruct vision "
        "transcribe image luna oss deep research max spark api",
    ),
    LlmProvider.ANTHROPIC: _names(
        r"claude-",
        "claude-haiku-5-5",
        "claude-sonnet-5-5",
        "claude-haiku-4-5",
        words="claude haiku sonnet opus instant latest",
    ),
    LlmProvider.GEMINI: _names(
        r"(models/)?(gemini|gemma|learnlm)-|tunedModels/",
        "gemini-3.5-flash-lite",
        "gemini-3.8-flash",
        words="models gemini gemma learnlm flash lite live pro ultra preview exp experimental thinking latest image "
        "tts native audio dialog embedding robotics computer use customtools nano banana",
    ),
    # a host of others' models: most names are `maker/model`
    LlmProvider.GROQ: _names(
        r".+/.+|(llama|gemma|mixtral|mistral|deepseek|qwen|kimi|compound|allam)",
        "openai/gpt-oss-120b",
        "openai/gpt-oss-20b",
        "qwen/qwen3.6-27b",
    ),
    LlmProvider.XAI: _names(
        r"grok-",
        "grok-4.20-non-reasoning",
        "grok-4.3",
        words="grok mini fast beta latest code vision reasoning non image multi agent experimental",
    ),
}
"""A custom server's names are its own."""

RECOGNISERS: Final = _names(
    r"nova(-[2-4])?(-[A-Za-z-]+)?$|flux-|(enhanced|base)(-|$)|whisper(-(tiny|base|small|medium|large))?$|"
    r"[0-9a-f]{8}-[0-9a-f-]{27}$",  # the last: a model of one's own
    "nova-3",
    "nova-3-medical",
    "nova-2",
    "nova-2-phonecall",
    "flux-general-en",
    "flux-general-multi",
    words="nova flux enhanced base whisper general meeting phonecall voicemail finance conversationalai video "
    "automotive drivethru atc medical tiny small medium large multi",
)
VOICE_MODELS: Final = {
    TtsProvider.ELEVENLABS: _names(
        r"eleven_([a-z]+_)*v\d|(flash|turbo|multilingual)$",
        "eleven_flash_v2_5",
        "eleven_turbo_v2_5",
        "eleven_multilingual_v2",
        words="eleven flash turbo multilingual monolingual english sts ttv conversational realtime preview",
    ),
    TtsProvider.DEEPGRAM: _names(r"aura-|flux-|[A-Za-z]+$", "aura-2-thalia-en"),  # a bare word is a nickname
    TtsProvider.INWORLD: _names(r"inworld-tts", "inworld-tts-1.5-max", "inworld-tts-1.5-mini", "inworld-tts-2"),
    TtsProvider.RESEMBLE: _names(r"chatterbox|resemble", "chatterbox", "chatterbox-turbo"),
}
