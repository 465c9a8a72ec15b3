"""A fact that is too large for the bus is shortened: refused, it would be the last of its call. Pure."""

from typing import Final

from pydantic import JsonValue

from calliope.contracts.base import Event
from calliope.messaging.publish import encode

MAX_FACT_BYTES: Final = 64 * 1024
"""A quarter of what the bus takes: beside the longest transcript it still fits the answer that shows the record."""
CUT: Final = "… (shortened)"
_LONGEST_TEXTS: Final = (16_384, 4_096, 1_024, 256, 64)


def fitted_with_size(event: Event) -> tuple[Event, int]:
    """The event itself, or with its longest texts cut until it fits; and its size on the bus in bytes."""
    found, size = event, len(encode(event))
    for longest in _LONGEST_TEXTS:
        if size <= MAX_FACT_BYTES:
            break
        found = event.model_copy(update={"data": {key: _cut(value, longest) for key, value in event.data.items()}})
        size = len(encode(found))
    return found, size


def _cut(value: JsonValue, longest: int) -> JsonValue:
    if isinstance(value, str):
        return value if len(value) <= longest else value[:longest] + CUT
    if isinstance(value, dict):
        return {key: _cut(inner, longest) for key, inner in value.items()}
    return [_cut(inner, longest) for inner in value] if isinstance(value, list) else value
