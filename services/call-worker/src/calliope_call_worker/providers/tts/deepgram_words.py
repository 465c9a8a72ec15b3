"""The words of Deepgram's speaking protocol, /v1/speak: its voices by nickname, why it closes. Pure."""

from typing import Any, Final

from calliope_call_worker.providers.errors import Failure

NAME: Final = "deepgram"
MOST_CHARS: Final = 2_000  # in one Speak
FLUSH: Final[dict[str, Any]] = {"type": "Flush"}
CLEAR: Final[dict[str, Any]] = {"type": "Clear"}
CLOSE: Final = '{"type":"Close"}'

_AURA_2: Final = (
    "amalthea andromeda apollo arcas aries asteria athena atlas aurora callista cora cordelia delia draco electra"
    " harmonia helena hera hermes hyperion iris janus juno jupiter luna mars minerva neptune odysseus ophelia orion"
    " orpheus pandora phoebe pluto saturn selene thalia theia vesta zeus"
)
_AURA_1: Final = "angus helios perseus stella"  # have no successor of the same name
NICKNAMES: Final = {name: f"aura-2-{name}-en" for name in _AURA_2.split()} | {
    name: f"aura-{name}-en" for name in _AURA_1.split()
}
_CLOSES: Final = {"DATA-0001": Failure.RATE_LIMITED, "DATA-0000": Failure.REFUSED, "BIG-": Failure.REFUSED}


def speak(text: str) -> dict[str, Any]:
    """A piece of text: spoken when its sentence is whole, or at a flush."""
    return {"type": "Speak", "text": text}


def failure_of_close(code: int | None, reason: str) -> Failure:
    """What a close means that nobody asked for; most often a connection that has lived long enough."""
    return next((failure for mark, failure in _CLOSES.items() if mark in reason), Failure.DROPPED)
