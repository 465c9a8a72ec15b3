"""`calliope-admin numbers …`: telephone numbers, and who answers them."""

import re
from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence
from typing import Any, Final

from calliope.contracts.assistants import (
    ListPhoneNumbers,
    PhoneNumber,
    PhoneNumberList,
    ResolvedNumber,
    ResolveNumber,
)
from calliope.contracts.subjects import Command
from calliope.contracts.workers import WorkerDescription
from calliope.messaging.probe import anybody
from calliope_admin.answering import Reason, hook_hints, reasons, unresolved
from calliope_admin.bus import AdminBus, open_bus, organization_of
from calliope_admin.doctor.services import workers as look_at_workers
from calliope_admin.output import Output, moment, table
from calliope_admin.parsing import Nouns, add_organization

ANSWER_S: Final = 8.0
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{1,14}")


def add(nouns: Nouns) -> None:
    """Add the noun and its commands."""
    numbers = nouns.add("numbers", "telephone numbers, and who answers them")
    add_organization(numbers.add("list", listed, "list every number of an organization"))
    check = numbers.add("check", checked, "say whether a number would be answered, and if not, why and what to do")
    check.add_argument("number", metavar="+1…", type=_number, help="the number, such as +15550002222")


async def listed(arguments: Namespace) -> Output:
    """Every number of an organization."""
    async with open_bus(arguments) as bus:
        organization = organization_of(arguments, bus)
        held = await _all(bus, organization)
    rows = [(each.number, each.carrier, each.assistant_id, moment(each.updated_at)) for each in held.items]
    none = f"{organization} has no numbers; PUT /api/v1/phone-numbers/+1… gives it one."
    return Output(held, table(("NUMBER", "CARRIER", "ASSISTANT", "CHANGED (UTC)"), rows, none=none))


async def _all(bus: AdminBus, organization: str) -> PhoneNumberList:
    numbers: list[PhoneNumber] = []
    cursor = None
    while True:
        wanted = ListPhoneNumbers(cursor=cursor)
        page = await bus.ask(Command.PHONE_NUMBERS_LIST, wanted, PhoneNumberList, organization=organization)
        numbers += page.items
        cursor = page.next_cursor
        if cursor is None:
            return PhoneNumberList(items=tuple(numbers))


async def checked(arguments: Namespace) -> Output:
    """Whether a number would be answered; status 1 when not."""
    number = str(arguments.number)
    async with open_bus(arguments) as bus:
        payload = ResolveNumber(number=number, also_inactive=True)
        answer = await anybody(bus.bus, Command.PHONE_NUMBERS_RESOLVE, payload, within_s=ANSWER_S)
        _, workers = await look_at_workers(bus.bus)
    if answer.problem is not None:
        return _told(number, [unresolved(number, answer.problem)], None, workers)
    resolved = ResolvedNumber.model_validate(answer.result)
    return _told(number, reasons(resolved, workers), resolved, workers)


def _told(
    number: str, why_not: list[Reason], resolved: ResolvedNumber | None, workers: Sequence[WorkerDescription]
) -> Output:
    hooks = hook_hints(resolved, workers) if resolved else []
    lines = [f"{number} would not be answered:" if why_not else f"{number} would be answered."]
    for reason in why_not:
        lines += [f"- {reason.sentence}", f"  {reason.advice[:1].upper()}{reason.advice[1:]}."]
    data: dict[str, Any] = {
        "number": number,
        "answered": not why_not,
        "reasons": [{"sentence": reason.sentence, "advice": reason.advice} for reason in why_not],
        "hooks": hooks,
    }
    if resolved is not None:
        pinned = resolved.assistant
        data |= {"carrier": resolved.carrier, "assistant_id": pinned.id, "organization_id": pinned.organization_id}
        free, slots = sum(each.free for each in workers), sum(each.slots for each in workers)
        lines += [
            f"  assistant  {pinned.document.get('name')} ({pinned.id}) of {pinned.organization_id}",
            f"  carrier    {resolved.carrier}",
            f"  workers    {len(workers)}, with {free} of {slots} slots free",
        ]
    lines += [f"{hint}." for hint in hooks]
    return Output(data, "\n".join(lines), status=1 if why_not else 0)


def _number(text: str) -> str:
    plain = re.sub(r"[ ().-]", "", text)
    if not _NUMBER.fullmatch(plain):
        raise ArgumentTypeError(f"{text} is not a telephone number in international form, such as +15550002222")
    return plain
