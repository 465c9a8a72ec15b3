"""Why calls are not taken, in words that say what to do. Pure."""

from dataclasses import dataclass
from typing import Final

from calliope.contracts.calls import Refusal
from calliope.errors import PermanentError
from calliope_call_worker.accounts import NoAccountError
from calliope_call_worker.providers.telephony.base import VoiceHook

_SHOWN: Final = 64
_ACCOUNT: Final = {"twilio": ("ACCOUNT_SID", "AUTH_TOKEN"), "telnyx": ("CONNECTION_ID", "API_KEY", "PUBLIC_KEY")}
_COMPARE: Final = {
    "twilio": "compare twilio_config.auth_token with the primary token in Twilio's console, and CALLIOPE_PUBLIC_URL "
    "with the start of the URL that the number calls there",
    "telnyx": "compare telnyx_config.public_key with the one under Keys & Credentials in Telnyx's portal",
}


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a call is not taken; `genuine` when the carrier's signature was right."""

    code: Refusal
    detail: str
    genuine: bool = False


def no_account(carrier: str, error: PermanentError) -> Refused:
    """Its calls cannot be verified: there is no account, or the assistant's does not open."""
    if isinstance(error, NoAccountError):
        variables = " and ".join(f"CALLIOPE_CARRIERS__{carrier.upper()}__{name}" for name in _ACCOUNT[carrier])
        words = f"{error}: set {carrier}_config of the assistant, or {variables} of the call-worker"
        return Refused(Refusal.NO_ACCOUNT, words)
    return Refused(Refusal.DOCUMENT, f"the assistant's {carrier}_config cannot be used: {error}. Write it again")


def bad_document(error: PermanentError) -> Refused:
    """The carrier signed, and the assistant cannot take calls."""
    words = f"the assistant's document cannot be used: {error}. Write it again"
    return Refused(Refusal.DOCUMENT, words, genuine=True)


def wrong_carrier(carrier: str, assigned: str) -> Refused:
    """The number is said to be another carrier's."""
    words = f"the hook came to the URL for {carrier}, but the number is assigned with carrier {assigned}: correct"
    return Refused(Refusal.WRONG_CARRIER, f"{words} the number's hook at the carrier, or `carrier` of the number here")


def unsigned(carrier: str, hook: VoiceHook, account_id: str, hook_url: str, *, has_key: bool) -> Refused:
    """The signature is wrong; which of the usual causes it is cannot be known, so all are named."""
    if carrier == "telnyx":
        words = "the hook is not signed with the public key of the Telnyx account"
        if not has_key:
            words = "hooks cannot be checked, as no public key of the Telnyx account is known"
        return Refused(Refusal.SIGNATURE, f"{words}: {_COMPARE[carrier]}")
    words = f"the hook is not signed with the account's auth token for {hook_url}: {_COMPARE[carrier]}"
    if hook.account_id != account_id:
        words = f"the hook names the account {hook.account_id[:_SHOWN]}, the assistant has {account_id}; {words}"
    return Refused(Refusal.SIGNATURE, words)


def other_account(carrier: str, hook: VoiceHook, account_id: str) -> Refused:
    """Signed rightly, for something else of the same owner."""
    what = {"twilio": ("account", "account_sid"), "telnyx": ("application", "connection_id")}[carrier]
    words = f"the number rings the {what[0]} {hook.account_id[:_SHOWN]}, the assistant has {account_id}: set"
    return Refused(Refusal.OTHER_ACCOUNT, f"{words} {carrier}_config.{what[1]} of the assistant to it", genuine=True)


INACTIVE: Final = Refused(Refusal.INACTIVE, "the assistant is switched off: set its is_active to true", genuine=True)
FULL: Final = Refused(
    Refusal.FULL, "no worker had a free slot: start more call-workers, or raise CALLIOPE_SLOTS", genuine=True
)
