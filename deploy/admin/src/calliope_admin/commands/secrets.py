"""`calliope-admin secrets …`: what an installation keeps secret. Needs no bus."""

from argparse import Namespace
from pathlib import Path
from typing import Final

from calliope_admin.installation_secrets import new_installation, write
from calliope_admin.output import Output
from calliope_admin.parsing import Nouns

KEEP: Final = (
    "# Secrets of a new installation, made on this machine just now and kept nowhere. Give each service only its own.\n"
    "# Keep a copy of the private keys: what was sealed to a lost one cannot be read by anybody.\n"
)


def add(nouns: Nouns) -> None:
    """Add the noun and its commands."""
    secrets = nouns.add("secrets", "what an installation keeps secret")
    new = secrets.add("new", made, "make sealing keys and passwords of the bus, as environment variables")
    new.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="add them to the environment files there, such as /etc/calliope, instead of printing them",
    )


async def made(arguments: Namespace) -> Output:
    """Secrets of a new installation."""
    files = new_installation()
    if arguments.folder is not None:
        paths = [str(path) for path in write(files, arguments.folder)]
        return Output({"written": paths}, "\n".join(f"{path} is written." for path in paths))
    sections = [f"# {file.name}: {file.read_by}\n{file.text()}" for file in files]
    data = {"files": {file.name: dict(file.variables) for file in files}}
    return Output(data, "\n".join([KEEP, *sections]).rstrip("\n"))
