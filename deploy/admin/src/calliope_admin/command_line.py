"""The command line: `calliope-admin [--json] [--nats URL] <noun> <verb> …`, put together from `commands/`."""

import asyncio
import logging
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Final

import structlog

from calliope.errors import CalliopeError, CommandError
from calliope_admin.commands import calls, consumers, dead_letters, doctor, keys, numbers, organizations, secrets
from calliope_admin.errors import FAILED, AdminError, in_words
from calliope_admin.output import Output
from calliope_admin.parsing import Nouns, add_common, sentence

NOUNS: Final = (
    doctor.add,
    organizations.add,
    keys.add,
    numbers.add,
    calls.add,
    consumers.add,
    dead_letters.add,
    secrets.add,
)
"""One line per file of `commands/`."""
INTERRUPTED: Final = 130
_HELP: Final = "Look after an installation of Calliope: over its bus, so it works wherever the bus can be reached."
_EPILOG: Final = (
    "The bus: --nats, else CALLIOPE_NATS__URL (with CALLIOPE_NATS__USER and CALLIOPE_NATS__PASSWORD), else the one of "
    "`make up` in this folder. Exit status: 0 all is well, 1 something is wrong, 2 the command line is wrong."
)


def parser() -> ArgumentParser:
    """Everything that can be said."""
    whole = ArgumentParser(prog="calliope-admin", description=_HELP, epilog=_EPILOG)
    add_common(whole)
    nouns = Nouns(whole)
    for add in NOUNS:
        add(nouns)
    return whole


def run(arguments: Sequence[str]) -> int:
    """Say one thing; the exit status."""
    chosen = parser().parse_args(arguments, Namespace(json=False, nats=None, verbose=False))
    _quieten(verbose=chosen.verbose)
    try:
        output = asyncio.run(_answered(chosen))
        sys.stdout.write(output.rendered(as_json=chosen.json))
        sys.stdout.flush()
    except CommandError as exc:
        return _complain(in_words(exc))
    except AdminError as exc:
        return _complain(str(exc), exc.status)
    except CalliopeError as exc:
        return _complain(sentence(str(exc)))
    except BrokenPipeError:  # `calliope-admin … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return output.status


async def _answered(chosen: Namespace) -> Output:
    answered: Output = await chosen.command(chosen)
    return answered


def _complain(sentence: str, status: int = FAILED) -> int:
    sys.stderr.write(f"calliope-admin: {sentence}\n")
    return status


def _quieten(*, verbose: bool) -> None:
    """Logs of the libraries go to stderr, and only when they are wanted: stdout is the answer."""
    level = logging.INFO if verbose else logging.CRITICAL
    logging.basicConfig(level=level, stream=sys.stderr)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
