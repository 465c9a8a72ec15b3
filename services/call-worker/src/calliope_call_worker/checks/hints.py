"""What to do about what a vendor said; a sentence a person can follow. Pure."""

from typing import Final

from calliope.contracts.checks import CheckedPart
from calliope_call_worker.providers.errors import Failure, ProviderError

_BY_PART: Final = {
    CheckedPart.MODEL: "choose a model that this key may use, or leave {field} out for the default",
    CheckedPart.VOICE: "choose a voice of this account, or leave {field} out for the default",
    CheckedPart.ACCOUNT: "look at the account in {provider}'s console",
    CheckedPart.APPLICATION: "copy the id of the Call Control application from {provider}'s console to {field}",
    CheckedPart.ADDRESS: "give an address that can be reached from the internet",
}
_BY_FAILURE: Final = {
    Failure.QUOTA: "add credit to the account at {provider}, or raise its limit",
    Failure.RATE_LIMITED: "check again in a minute; if it stays, ask {provider} for a higher limit",
    Failure.DEADLINE: "check again; a vendor that is this slow is skipped in a call",
    Failure.DROPPED: "check the address and whether {provider} is up; then check again",
    Failure.ERROR: "check again; if it stays, look at {provider}'s status page",
    Failure.MALFORMED: "check the address: what answers there does not speak {provider}'s protocol",
}


def hint_for(part: CheckedPart, error: ProviderError, field: str, *, own_key: bool) -> str:
    """What to do. `field` is the place in the document."""
    if error.failure is Failure.KEY and part in {CheckedPart.KEY, CheckedPart.VENDOR}:
        if own_key:
            return f"copy the key again from {error.provider}'s console, whole, to {field}"
        return f"it is the key of this installation: tell whoever runs it, or set {field} to a key of your own"
    words = _BY_PART.get(part) if error.reason == Failure.REFUSED else _BY_FAILURE.get(error.failure)
    return (words or "").format(field=field, provider=error.provider)
