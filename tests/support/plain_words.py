"""What a person who never saw the code must not meet in an answer: patterns, class names, Python's types."""

import re
from typing import Final

from calliope.contracts import assistants, calls, errors, facts, identity, webhooks
from calliope.contracts.base import Message, Request

_OWN_MODULES: Final = (assistants, calls, errors, facts, identity, webhooks)


def _class_names() -> set[str]:
    left: list[type] = [Message, Request]
    names: set[str] = set()
    while left:
        model = left.pop()
        names.add(model.__name__.partition("[")[0])
        left.extend(model.__subclasses__())
    return {name for name in names if re.search(r"[a-z][A-Z]", name)}


_PATTERNS: Final = (r"\^", r"\\[dwsSxu]", r"\[[^\]]*[a-z0-9]-[a-z0-9][^\]]*\]", r"\(\?", r"\{\d+,\d*\}")
_PYTHON: Final = (
    r"pydantic", r"[Ii]nput should", r"\bdict", r"NoneType", r"\bNone\b", r"\bTrue\b", r"\bFalse\b", r"\bstr\b",
    r"\bint\b", r"\bfloat\b", r"\bbool\b", r"\btuple\b", r"\blist\[", r"\bValueError\b", r"Value error", r"Errno",
    r"Traceback", r"<class", r"orjson", r"aiohttp", r"SecretStr", r"StrEnum", r"E\.164\b",
)  # fmt: skip
_TOLD: Final = re.compile(
    r"(such as|for example|one of|must be (twilio|telnyx)|known here:|did you mean|parts belong|/docs) ?.*", re.DOTALL
)


def riddles(text: str) -> list[str]:
    """What is in an answer that only its programmers understand."""
    names = [rf"\b{name}\b" for name in sorted(_class_names())]
    return [found[0] for pattern in (*_PATTERNS, *_PYTHON, *names) if (found := re.search(pattern, text))]


def tells_what_is_taken(message: str) -> bool:
    """Whether a refusal has an example, or says what is known."""
    return _TOLD.search(message) is not None
