"""What differs between servers that speak OpenAI chat completions, as data."""

import re
from dataclasses import dataclass
from typing import Final

_PENALTIES: Final = frozenset({"frequency_penalty", "presence_penalty"})
_SAMPLING: Final = _PENALTIES | {"temperature", "top_p"}


@dataclass(frozen=True, slots=True)
class Family:
    """Models whose name fits `pattern`: how much they reason, and which parameters they refuse."""

    pattern: re.Pattern[str]
    reasoning_effort: str | None = None
    refuses: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Quirks:
    """One vendor. Of `families` the first that fits counts.

    `echoes_extra`: a call's `extra_content` goes back with it (Gemini's thought signatures); others refuse it.
    `describes_models`: `GET /models/{id}` needs the key and tells whether it may use that model.
    """

    name: str
    token_limit: str = "max_completion_tokens"  # noqa: S105 - a parameter's name
    stream_options: tuple[tuple[str, bool], ...] = (("include_usage", True),)
    families: tuple[Family, ...] = ()
    refuses: frozenset[str] = frozenset()
    echoes_extra: bool = False
    describes_models: bool = True

    def family(self, model: str) -> Family:
        """The family of a model; an ordinary one when none fits."""
        name = model.removeprefix("ft:")
        return next((family for family in self.families if family.pattern.match(name)), _ORDINARY)


_ORDINARY: Final = Family(re.compile(""))

OPENAI: Final = Quirks(
    "openai",
    stream_options=(("include_usage", True), ("include_obfuscation", False)),
    families=(
        Family(re.compile(r"gpt-[\d.]+-chat"), refuses=_SAMPLING),
        # tools on chat completions are refused from 5.6 on unless reasoning is off; for speech it is off anyway
        Family(re.compile(r"gpt-(5\.\d|6)"), "none", _SAMPLING | {"stop"}),
        Family(re.compile(r"gpt-5"), "minimal", _SAMPLING | {"stop"}),
        Family(re.compile(r"o\d"), "low", _SAMPLING | {"stop"}),
    ),
)
GROQ: Final = Quirks(
    "groq",
    families=(
        Family(re.compile(r"openai/gpt-oss"), "low"),  # takes low, medium, high; "none" is refused
        Family(re.compile(r"qwen/qwen3"), "none"),
    ),
    refuses=_PENALTIES,
)
XAI: Final = Quirks(
    "xai",
    families=(Family(re.compile(r"grok-(?!.*non-reasoning)(4|3-mini)"), refuses=_PENALTIES | {"stop"}),),
)
CUSTOM: Final = Quirks(
    "custom",
    token_limit="max_tokens",  # noqa: S106 - a parameter's name
    echoes_extra=True,
    describes_models=False,  # many servers do not, and those that do ask for no key
)
