"""What the assistant says when the document does not say what: one place, so that a language can be added."""

from typing import Final

IDLE: Final = "Are you still there?"
GOODBYE: Final = "Thank you for calling. Goodbye."
GOODBYE_IDLE: Final = "I cannot hear you, so I will hang up now. Goodbye."
GOODBYE_TOO_LONG: Final = "We have reached the longest time a call may take. Goodbye."
TRANSFER: Final = "One moment please, I am connecting you."
APOLOGY: Final = "I am sorry, I have a technical problem. Please say that again."
APOLOGY_END: Final = "I am sorry, we have a technical problem. Please call again later. Goodbye."

_GOODBYES: Final = {
    "idle": GOODBYE_IDLE,
    "max_duration": GOODBYE_TOO_LONG,
    "provider_failed": APOLOGY_END,
}


def goodbye(reason: str) -> str:
    """The goodbye that belongs to an end reason."""
    return _GOODBYES.get(reason, GOODBYE)
