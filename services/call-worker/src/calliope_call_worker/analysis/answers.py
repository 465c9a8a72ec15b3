"""Reading the JSON that a model wrote. Pure."""

from typing import Any, Final

import orjson

_FENCE: Final = "```"


class NotJsonError(ValueError):
    """The answer is no JSON; the text is for the model."""


def read(text: str) -> Any:
    """The value; a code fence around it is forgiven. Raises: NotJsonError."""
    text = text.strip()
    if text.startswith(_FENCE) and text.endswith(_FENCE):
        text = text.removesuffix(_FENCE).partition("\n")[2]
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise NotJsonError(f"it is not JSON: {exc.msg} (line {exc.lineno}, column {exc.colno})") from exc
