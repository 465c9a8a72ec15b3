"""`make assistant FILE=my.json NUMBER=+1…`: the assistant of a file, by its name, on the running stack; its number."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from calliope.contracts.document.spec import AssistantSpec
from calliope_local.call.numbers import EXAMPLE_NUMBER, tidy
from calliope_local.call_report import say
from calliope_local.http import HttpError, field_line
from calliope_local.running import Json, RunningStack
from calliope_local.scenario import SANDBOX, read_object

CARRIERS: Final = ("twilio", "telnyx")
MASK: Final = "••••"
MOST_NUMBERS: Final = 9_000
WHICH: Final = "Which file? Say it, for example: make assistant FILE=examples/reception.json"
_SETTABLE: Final = AssistantSpec.model_fields.keys() - {"webhook_secret"}  # that one is made anew, not put back


class AssistantFileError(RuntimeError):
    """A document or number that was refused; the message says why."""


def main(arguments: list[str], file: Path) -> int:
    """Create it, or replace the one of this name, and assign the number; print what was done, and how by hand.

    `file` is the `local.json` of the stack. Raises: NotUpError, ScenarioError, AssistantFileError, NumberError,
    HttpError.
    """
    parser = argparse.ArgumentParser(prog="make assistant", description=__doc__)
    parser.add_argument("--file", type=Path, help="JSON of the assistant")
    parser.add_argument("--number", help=f"which it answers; absent: the one it has, else one such as {EXAMPLE_NUMBER}")
    parser.add_argument("--carrier", choices=CARRIERS, default=None, help=f"whose number it is; usually {CARRIERS[0]}")
    chosen = parser.parse_args(arguments)
    if chosen.file is None:
        raise AssistantFileError(WHICH)
    wanted = tidy(chosen.number) if chosen.number else None  # refused before anything is changed
    stack = RunningStack.of(file)
    document = read_object(chosen.file, stack.sandbox)
    try:
        others = stack.assistants()
        assistant = _write(stack, chosen.file, document, others)
        names = {str(one["id"]): str(one["name"]) for one in others}
        number = _assign(stack, assistant, wanted, chosen.carrier, names)
    except HttpError as exc:
        if exc.status == 0:
            raise
        raise AssistantFileError(f"{chosen.file}: {exc.sentences()}") from exc
    say(f"\nCall it:\n\n  make call NUMBER={number}")
    return 0


def _write(stack: RunningStack, file: Path, document: Json, others: Sequence[Json]) -> Json:
    """The assistant as it is now."""
    name = document.get("name")
    known = next((one for one in others if name is not None and one["name"] == name), None)
    method, path = ("POST", "/assistants") if known is None else ("PUT", f"/assistants/{known['id']}")
    written: Json = stack.api(method, path, document)
    what = "Created" if known is None else "Replaced"
    say(f"{what} “{written['name']}”, revision {written['revision']}: {written['id']}")
    _warn(written)
    if known is not None and (lost := put_back(known, written, document)):
        say(
            f"  Back at {'its default' if len(lost) == 1 else 'their defaults'}, as {file} does not have"
            f" {'it' if len(lost) == 1 else 'them'}: {', '.join(lost)}. What should stay belongs into the file."
        )
    if not str(written.get("webhook_secret") or MASK).startswith(MASK):
        say(f"  Its webhooks are signed with {written['webhook_secret']}, which is shown only now.")
    if stack.sandbox != SANDBOX and SANDBOX in file.read_text(encoding="utf-8"):
        say(f"  {SANDBOX} in {file} was read as {stack.sandbox}, where the sandbox is.")
    say(f"  {stack.curl(path, method=method if method == 'PUT' else '', file=file)}")
    return written


def put_back(before: Json, after: Json, document: Json) -> list[str]:
    """Fields that the document does not have, and that had another value before it replaced the whole assistant."""
    return sorted(
        name for name in _SETTABLE if name in before and name not in document and before[name] != after.get(name)
    )


def _assign(
    stack: RunningStack, assistant: Json, wanted: str | None, carrier: str | None, names: Mapping[str, str]
) -> str:
    """The number that it answers now. `names` are those of the assistants by their ids."""
    assigned = {one["number"]: one for one in stack.numbers()}
    own = [number for number, one in assigned.items() if one["assistant_id"] == assistant["id"]]
    number = wanted or (own[0] if own else _free(set(assigned)))
    before = assigned.get(number, {})
    data: Json = {"assistant_id": assistant["id"], "carrier": carrier or before.get("carrier") or CARRIERS[0]}
    answer = stack.api("PUT", f"/phone-numbers/{number}", data)
    say(f"It answers {number} ({data['carrier']}).")
    if before and before["assistant_id"] != assistant["id"]:
        previous = names.get(before["assistant_id"], before["assistant_id"])
        say(f"  {number} was answered by “{previous}” until now.")
    say(f"  {stack.curl(f'/phone-numbers/{number}', method='PUT', body=data)}")
    _warn(answer, but=f"{data['carrier']}_config")  # an account that the assistant lacks, this stack has
    return number


def _warn(answer: Json, *, but: str = "") -> None:
    """What was accepted and will not do as it is meant."""
    for warning in answer.get("warnings") or ():
        if warning["path"] != but:
            say(f"  Warning:{field_line(warning)[1:]}")


def _free(taken: set[str]) -> str:
    """An example number that nobody answers. Raises: AssistantFileError."""
    begin = int(EXAMPLE_NUMBER.removeprefix("+"))
    for number in range(begin, begin + MOST_NUMBERS):
        if f"+{number}" not in taken:
            return f"+{number}"
    raise AssistantFileError("every example number is taken; say which one: NUMBER=+1…")
