"""How a file of `commands/` tells the command line what can be said.

def add(nouns: Nouns) -> None:
    numbers = nouns.add("numbers", "telephone numbers, and who answers them")
    listing = numbers.add("list", listed, "every number of an organization")
    add_organization(listing)
"""

from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Awaitable, Callable

from calliope_admin.output import Output

CommandFunction = Callable[[Namespace], Awaitable[Output]]
"""What a command does; raises AdminError or CommandError."""


class Verbs:
    """The commands of one noun."""

    def __init__(self, parser: ArgumentParser) -> None:
        self._verbs = parser.add_subparsers(metavar="VERB", required=True)

    def add(self, verb: str, command: CommandFunction, help_: str) -> ArgumentParser:
        """One command; its arguments are added to what this returns."""
        return _command(self._verbs.add_parser(verb, help=help_, description=sentence(help_)), command)


class Nouns:
    """What the operator can speak about."""

    def __init__(self, parser: ArgumentParser) -> None:
        self._nouns = parser.add_subparsers(metavar="NOUN", required=True)

    def add(self, noun: str, help_: str) -> Verbs:
        """A noun with verbs: `numbers list`."""
        return Verbs(self._nouns.add_parser(noun, help=help_, description=sentence(help_)))

    def add_command(self, word: str, command: CommandFunction, help_: str) -> ArgumentParser:
        """A command that is one word: `doctor`."""
        return _command(self._nouns.add_parser(word, help=help_, description=sentence(help_)), command)


def add_organization(parser: ArgumentParser) -> None:
    """`--organization`, read by `bus.organization_of`."""
    parser.add_argument(
        "--organization", metavar="ID", help="whose, such as org_01jd…; a local stack has one organization"
    )


def add_common(parser: ArgumentParser) -> None:
    """Options of every command, understood before the noun and behind the verb."""
    parser.add_argument(
        "--json", action="store_true", default=SUPPRESS, help="one JSON document on stdout instead of a table"
    )
    parser.add_argument(
        "--nats", metavar="URL", default=SUPPRESS, help="address of the bus, such as nats://bus.internal:4222"
    )
    parser.add_argument("--verbose", action="store_true", default=SUPPRESS, help="what the connection does, on stderr")


def _command(parser: ArgumentParser, command: CommandFunction) -> ArgumentParser:
    add_common(parser)
    parser.set_defaults(command=command)
    return parser


def sentence(words: str) -> str:
    """Words with a capital letter in front and a stop behind."""
    return f"{words[:1].upper()}{words[1:]}."
