"""`calliope-admin numbers …`: telephone numbers, and who answers them."""

from argparse import Namespace

from calliope.contracts.assistants import Nothing, PhoneNumberList
from calliope.contracts.subjects import Command
from calliope_admin.bus import open_bus, organization_of
from calliope_admin.output import Output, moment, table
from calliope_admin.parsing import Nouns, add_organization


def add(nouns: Nouns) -> None:
    """Add the noun and its commands."""
    numbers = nouns.add("numbers", "telephone numbers, and who answers them")
    add_organization(numbers.add("list", listed, "list every number of an organization"))


async def listed(arguments: Namespace) -> Output:
    """Every number of an organization."""
    async with open_bus(arguments) as bus:
        organization = organization_of(arguments, bus)
        held = await bus.ask(Command.PHONE_NUMBERS_LIST, Nothing(), PhoneNumberList, organization=organization)
    rows = [(each.number, each.carrier, each.assistant_id, moment(each.updated_at)) for each in held.items]
    none = f"{organization} has no numbers; PUT /api/v1/phone-numbers/+1… gives it one."
    return Output(held, table(("NUMBER", "CARRIER", "ASSISTANT", "CHANGED (UTC)"), rows, none=none))
