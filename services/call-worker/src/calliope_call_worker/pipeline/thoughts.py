"""The marks between which models think aloud: one list, for the voice and for whoever joins two answers. Pure."""

import re
from typing import Final

NAMES: Final = (
    "think|thinking|thoughts?|reasoning|scratchpad|reflection|analysis|inner[_-]?monologue|chain[_-]of[_-]thought|"
    "ant[_-]?thinking"
)
_IN_BRACKETS: Final = "think|thinking|thoughts?|reasoning|scratchpad"  # "[analysis]" may be a heading
_IN_TOKENS: Final = r"[\w▁]*(?:think|thought|reason)[\w▁]*"
_NAMESPACE: Final = r"(?:[\w.-]{1,24}:)?"
_FLAGS: Final = re.IGNORECASE | re.DOTALL
_OPEN: Final = (
    rf"<{_NAMESPACE}(?:{NAMES})(?:\s[^<>]*)?>|\[(?:{_IN_BRACKETS})\]|◁(?:{NAMES})▷"
    rf"|<[|｜](?!/)(?!end){_IN_TOKENS}[|｜]>"  # noqa: RUF001 - as models of DeepSeek write it
)
_CLOSE: Final = (
    rf"</{_NAMESPACE}(?:{NAMES})\s*>|\[/(?:{_IN_BRACKETS})\]|◁/(?:{NAMES})▷"
    rf"|<[|｜](?:/|end){_IN_TOKENS}[|｜]>"  # noqa: RUF001
)
OPEN: Final = re.compile(_OPEN, _FLAGS)
CLOSE: Final = re.compile(_CLOSE, _FLAGS)
CLOSED: Final = re.compile(rf"(?:{_CLOSE})\Z", _FLAGS)
"""A text that ends where a thought does."""
_THOUGHT: Final = re.compile(rf"(?:{_OPEN}).*?(?:(?:{_CLOSE})|\Z)", _FLAGS)


def without_thoughts(text: str) -> str:
    """The text without inline reasoning, closed or not."""
    return _THOUGHT.sub("", text) if "<" in text or "[" in text or "◁" in text else text
