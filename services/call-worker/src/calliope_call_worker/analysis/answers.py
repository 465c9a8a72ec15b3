"""Reading what a model wrote after a call: the JSON of the data, the words of the summary. Pure."""

import re
from typing import Any, Final

import orjson

from calliope_call_worker.pipeline.letters import has_speech
from calliope_call_worker.pipeline.machine_text import without_machine_text

_FENCE: Final = "```"
_FINAL: Final = "<|message|>"
"""Before it stand the marks of the model's format, and what it thought."""
_MARK: Final = r"(?:<[|\uff5c][\w\u2581/.-]{1,64}[|\uff5c]>|</?s>|</?(?:start|end)_of_turn>)"
_MARKS_AROUND: Final = re.compile(rf"\A(?:\s*{_MARK})+|(?:{_MARK}\s*)+\Z")


class NotJsonError(ValueError):
    """The answer is no JSON; the text is for the model."""


def read(text: str) -> Any:
    """The value; a code fence and the marks of a model's own format around it are forgiven. Raises: NotJsonError."""
    try:
        return orjson.loads(_bare(text))
    except orjson.JSONDecodeError as exc:
        raise NotJsonError(f"it is not JSON: {exc.msg} (line {exc.lineno}, column {exc.colno})") from exc


def inner(value: Any) -> Any:
    """The object or list of which a value is the text, as models write it that take an answer for words; else None."""
    try:
        found = read(value) if isinstance(value, str) else None
    except NotJsonError:
        return None
    return found if isinstance(found, dict | list) else None


def words(text: str) -> str:
    """What is meant for people in a text; nothing, when there is no word in it."""
    text = without_machine_text(text).strip()
    return text if has_speech(text) else ""


def _bare(text: str) -> str:
    text = _MARKS_AROUND.sub("", text.rpartition(_FINAL)[2]).strip()
    if text.startswith(_FENCE) and text.endswith(_FENCE):
        text = text.removesuffix(_FENCE).partition("\n")[2]
    return text
