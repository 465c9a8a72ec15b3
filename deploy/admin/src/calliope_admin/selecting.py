"""What several commands let an operator choose: a durable consumer by name, and whether to go on."""

import asyncio
import difflib
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace

from calliope.messaging.streams import DURABLES, Durable, durable_named
from calliope_admin.errors import MISUSED, AdminError


def durable(text: str) -> Durable:
    """The durable consumer of that name. Raises: ArgumentTypeError, with the nearest name, else with all."""
    found = durable_named(text)
    if found is not None:
        return found
    names = [each.name for each in DURABLES]
    near = difflib.get_close_matches(text, names, n=1)
    advice = f"did you mean {near[0]}?" if near else f"take one of {', '.join(names)}"
    raise ArgumentTypeError(f"there is no durable consumer {text!r}: {advice}")


def add_yes(parser: ArgumentParser) -> None:
    """`--yes`, read by `agreed`."""
    parser.add_argument("--yes", action="store_true", help="do it without asking")


async def agreed(arguments: Namespace, what: str) -> bool:
    """Whether to do what `what` says, a sentence without its stop; people are asked. Raises: AdminError for scripts."""
    if arguments.yes:
        return True
    if not sys.stdin.isatty():
        raise AdminError(f"{what}. Nothing was done: say --yes to do it.", status=MISUSED)
    sys.stderr.write(f"{what}. Do it? [y/N] ")
    sys.stderr.flush()
    answer = await asyncio.to_thread(sys.stdin.readline)
    return answer.strip().lower() in {"y", "yes"}
