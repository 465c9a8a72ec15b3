"""What keeps the calls of a number from being answered, as far as its assistant's document tells. Pure.

Only call-workers know which accounts the installation has of its own; who knows it too says so in `installation`.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from calliope.contracts.errors import FieldProblem

_ACCOUNT = {
    "twilio": ("Twilio", "account_sid and auth_token from the console's front page"),
    "telnyx": ("Telnyx", "api_key, connection_id of the Call Control application, and public_key"),
}


def unanswered(
    carrier: str, document: Mapping[str, Any], *, installation: Collection[str] | None = None
) -> tuple[FieldProblem, ...]:
    """Fields of a complete document, as JSON, because of which calls are refused; secrets may be masked or sealed.

    `installation`: the carriers at which the installation has an account; None when that is not known.
    """
    return (*_account(carrier, document, installation), *_inactive(document))


def _account(carrier: str, document: Mapping[str, Any], installation: Collection[str] | None) -> Iterator[FieldProblem]:
    config, (vendor, fields) = document[f"{carrier}_config"], _ACCOUNT[carrier]
    if installation is not None and carrier in installation:
        return
    unless = "" if installation is not None else ", unless the installation has {} of its own"
    if config is None:
        yield FieldProblem(
            path=f"{carrier}_config",
            message=f"the assistant has no {vendor} account, so calls to this number are refused"
            + unless.format("an account"),
            hint=f"set {carrier}_config of the assistant: {fields}",
        )
    elif carrier == "telnyx" and config["public_key"] is None:
        yield FieldProblem(
            path="telnyx_config.public_key",
            message="is not set, so no hook can be checked and calls are refused" + unless.format("one"),
            hint="set it to the public key under Keys & Credentials in Telnyx's portal",
        )


def _inactive(document: Mapping[str, Any]) -> Iterator[FieldProblem]:
    if not document["is_active"]:
        yield FieldProblem(
            path="is_active",
            message="the assistant is switched off, so calls to this number are refused",
            hint="set is_active of the assistant to true",
        )
