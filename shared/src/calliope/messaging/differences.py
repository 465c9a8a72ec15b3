"""In which fields something on the bus is not as `streams.py` declares it. Pure.

Every field that the server knows is compared, so that one set by hand is seen, except for those named here.
"""

from dataclasses import fields
from enum import Enum
from typing import Any, Final

from nats.js.api import ConsumerConfig, StreamConfig

from calliope.messaging.streams import Durable, Stream

STREAM_IGNORED: Final = {
    "description": "words for people",
    "metadata": "the server writes its version there",
    "placement": "the installation's choice of servers",
    "compression": "the installation's choice of disk against CPU",
    "first_seq": "counts at its creation only",
    "template_owner": "older servers made streams from templates",
}
"""Fields of a stream that may differ, and why."""
DURABLE_IGNORED: Final = {
    "name": "is the durable's name",
    "description": "words for people",
    "metadata": "the server writes its version there",
    "max_waiting": "the server's default, which it fixes at creation",
    "pause_until": "an operator holds it up for a while",
    "sample_freq": "an operator samples acknowledgements",
}
"""Fields of a durable that may differ, and why."""


def stream_differences(actual: StreamConfig, declared: Stream, replicas: int | None = None) -> list[str]:
    """Fields in which a stream is not as declared. Without `replicas`, its copies are the installation's choice."""
    return _differences(actual, declared.config(replicas or 1), STREAM_IGNORED, replicas)


def durable_differences(actual: ConsumerConfig, declared: Durable, replicas: int | None = None) -> list[str]:
    """Fields in which a durable is not as declared. Without `replicas`, its copies are the installation's choice."""
    return _differences(actual, declared.config(replicas or 1), DURABLE_IGNORED, replicas)


def _differences(actual: Any, declared: Any, ignored: dict[str, str], replicas: int | None) -> list[str]:
    free = {*ignored, *(() if replicas else ("num_replicas",))}
    return [
        each.name
        for each in fields(declared)
        if each.name not in free and _plain(getattr(actual, each.name)) != _plain(getattr(declared, each.name))
    ]


def _plain(value: Any) -> Any:
    """A value as it can be compared: what is unset has many forms."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, list):
        value = sorted(map(str, value))
    if hasattr(value, "__dataclass_fields__"):
        value = {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        value = {name: inner for name, inner in value.items() if inner is not None}
    return None if value in (None, -1, 0, False, "", [], {}) else value
