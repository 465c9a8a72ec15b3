"""Reads JSON as servers and models write it: half a character, a raw line break, a byte that is none. Pure."""

import json
from typing import Any, Final

import orjson

_MAX_UNPACKED: Final = 3
"""So often an object may be written as a text of JSON."""


def read_json(data: bytes | str) -> Any:
    """The value; one bad character costs no more than itself. Raises: ValueError, when it is not JSON.

    A text may hold one half of a surrogate pair, whose other half comes in the next one: see `whole_characters`.
    """
    try:
        return orjson.loads(data)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        text = data.decode(errors="replace") if isinstance(data, bytes) else data
        if not text.rstrip().endswith(("}", "]", '"')):
            raise ValueError("not JSON") from None
    try:
        return json.loads(text, strict=False, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("not JSON") from None


def whole_characters(text: str) -> str:
    """The text with its surrogate pairs joined and what is half a pair replaced, so that it can be written again."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def read_arguments(text: str) -> Any:
    """The arguments of a tool call: an object, wherever only one can be meant. Raises: ValueError, when not JSON.

    Nothing, `null` and an empty text are an object without properties; an object may be written as a text of JSON.
    """
    value: Any = text
    for _ in range(_MAX_UNPACKED):
        if isinstance(value, str):
            value = _whole_json(whole_characters(value)) if value.strip() else None
    return {} if value is None else value


def _whole_json(text: str) -> Any:
    """The value with whole characters only, which JSON that orjson takes has anyway. Raises: ValueError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return _clean(read_json(text))


class Characters:
    """Feed the pieces of a text; get whole characters. Half a one waits for its other half, which may never come."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        """More of the text."""
        text, self._half = self._half + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return whole_characters(text)


def _clean(value: Any) -> Any:
    """The value with whole characters only."""
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, list):
        return [_clean(one) for one in value]
    if isinstance(value, dict):
        return {whole_characters(name): _clean(one) for name, one in value.items()}
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
