"""Which number is called, and whether the sandbox can ring it. Knows what to say when not."""

import json
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from calliope_local.http import quoted
from calliope_local.running import Json, RunningStack

EXAMPLE_NUMBER: Final = "+15550002222"
MAX_SHOWN: Final = 20
LEAST_DIGITS: Final = 2
MOST_DIGITS: Final = 15
"""As the API takes numbers: E.164 with its country code."""
_NORTH_AMERICAN: Final = 10
"""Digits of a number there, without its country code 1."""
_WRITTEN: Final = "+ ()-./\u00a0"
"""What people write between digits."""
_ACCOUNTS: Final = {"twilio": ("twilio_config", "account_sid"), "telnyx": ("telnyx_config", "connection_id")}


class NumberError(RuntimeError):
    """A number that cannot be called; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Line:
    """A number, its carrier, and the assistant that answers it."""

    number: str
    carrier: str
    assistant: Json


def tidy(number: str) -> str:
    """`+1 (555) 000-2222` as `+15550002222`. Without + only 1 and ten digits are clear. Raises: NumberError."""
    digits = "".join(character for character in number if character in string.digits)
    stray = sorted({character for character in number.strip() if character not in f"{string.digits}{_WRITTEN}"})
    if not digits or stray or "+" in number.strip().removeprefix("+"):
        raise NumberError(f"“{number}” is no telephone number; one is written as {EXAMPLE_NUMBER}")
    if number.strip().startswith("+"):
        return _checked(number, digits)
    if len(digits) == _NORTH_AMERICAN + 1 and digits[0] == "1":
        return _checked(number, digits)
    raise NumberError(f"“{number}” has no + and country code: {_meant(digits)}")


def _checked(number: str, digits: str) -> str:
    if digits[0] == "0" or not LEAST_DIGITS <= len(digits) <= MOST_DIGITS:
        raise NumberError(
            f"“{number}” is no telephone number: after + comes a country code, then the rest, at most {MOST_DIGITS}"
            f" digits in all, such as {EXAMPLE_NUMBER}"
        )
    return f"+{digits}"


def _meant(digits: str) -> str:
    """What a number without + was likely to mean."""
    if digits.startswith("00") and len(digits) > _NORTH_AMERICAN and digits[2] != "0":
        return f"did you mean +{digits[2:]}?"
    if len(digits) == _NORTH_AMERICAN and digits[0] not in "01":
        return f"did you mean +1{digits}?"
    return f"write both, as in {EXAMPLE_NUMBER}"


def choose(stack: RunningStack, wanted: str | None) -> Line:
    """The number to call; without a wish the only one there is. Raises: NumberError, HttpError."""
    assigned, assistants = stack.numbers(), stack.assistants()
    names = {one["id"]: str(one["name"]) for one in assistants}
    number = None if wanted is None else tidy(wanted)
    found = [one for one in assigned if number in {None, one["number"]}]
    if not assigned:
        raise NumberError(_none_assigned(stack, assistants, number or EXAMPLE_NUMBER))
    if not found:
        raise NumberError(
            f"Nobody answers {number}.\n{_listed(assigned, names)}\n\n{_assign(stack, assistants, number)}"
        )
    if len(found) > 1:
        example = f"make call NUMBER={found[0]['number']}"
        raise NumberError(f"Which number? Say it, for example: {example}\n{_listed(assigned, names)}")
    one = found[0]
    assistant = next(each for each in assistants if each["id"] == one["assistant_id"])
    return Line(one["number"], one["carrier"], assistant)


def check_account(stack: RunningStack, line: Line) -> None:
    """Whether the sandbox's carrier signs hooks with the account that the call-worker expects. Raises: NumberError."""
    setting, name = _ACCOUNTS[line.carrier]
    own = (line.assistant.get(setting) or {}).get(name)
    listing = stack.box("GET", f"/{line.carrier}/numbers")
    known = listing["numbers"].get(line.number) or listing["others"]
    if known is None:
        raise NumberError(
            f"{line.number} rings at the real {line.carrier.capitalize()} on this stack, not in the sandbox: call it"
            " with a telephone, or start the stack without that key."
        )
    if own in {None, known["account"]}:
        return
    path = f"/assistants/{line.assistant['id']}"
    without = stack.curl(path, method="PATCH", body={setting: None})
    carrier = line.carrier.capitalize()
    raise NumberError(
        f"“{line.assistant['name']}” has a {carrier} account of its own ({own}), of which the sandbox does not know the"
        f" secret: its hooks would be signed with another one, and refused.\n\n"
        f"Either take the account out while you try it here:\n\n  {without}\n\n"
        f"or tell the sandbox whose {line.number} is:\n\n"
        f"  curl -s -X PUT {stack.sandbox}/sandbox/{line.carrier}/numbers/{quoted(line.number)}"
        f" -d '{_account(line.carrier, own, stack)}'"
    )


def _listed(assigned: Sequence[Json], names: dict[str, str]) -> str:
    rows = [f"  {one['number']:<16}  {one['carrier']}  {names.get(one['assistant_id'], '')}" for one in assigned]
    more = [f"  … and {len(rows) - MAX_SHOWN} more"] if len(rows) > MAX_SHOWN else []
    return "\n".join(["Assigned are:", "", *rows[:MAX_SHOWN], *more])


def _none_assigned(stack: RunningStack, assistants: Sequence[Json], number: str) -> str:
    if not assistants:
        return (
            "There is no assistant yet. Make one of a file, with a number:\n\n"
            f"  make assistant FILE=examples/reception.json NUMBER={number}"
        )
    return f"No number is assigned yet.\n\n{_assign(stack, assistants, number)}"


def _assign(stack: RunningStack, assistants: Sequence[Json], number: str | None) -> str:
    """The command that lets the newest assistant answer it."""
    newest = assistants[0]
    command = stack.curl(f"/phone-numbers/{number}", method="PUT", body={"assistant_id": newest["id"]})
    return f"To let “{newest['name']}” answer {number}:\n\n  {command}\n\nand then: make call NUMBER={number}"


def _account(carrier: str, own: str, stack: RunningStack) -> str:
    """What `PUT /sandbox/…/numbers/…` takes, with places for the secrets."""
    hook = f"{stack.gateway}/telephony/{carrier}/voice"
    if carrier == "twilio":
        return json.dumps({"account_sid": own, "auth_token": "<its auth token>", "voice_url": hook})
    secrets = {"api_key": "<its key>", "signing_key": "<seed of its public key, base64>"}
    return json.dumps({"connection_id": own} | secrets | {"webhook_url": hook})
