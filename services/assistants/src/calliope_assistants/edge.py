"""What every NATS edge of assistants does alike: answer as this service, and say for whom, and for which time."""

from collections.abc import Callable
from typing import Any, Final

from calliope.contracts.base import CommandMessage
from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope.idempotency import command_key
from calliope.messaging.broker import Bus
from calliope.messaging.commands import responder

SERVICE: Final = "assistants"


def on_command(bus: Bus) -> Callable[[Command], Callable[[Callable[..., Any]], Callable[..., Any]]]:
    """`@on(Command.…)` answers a command; replicas share the requests."""
    return lambda subject: responder(bus, subject, service=SERVICE)


def organization_of(command: CommandMessage[Any]) -> str:
    """For whom it speaks. Raises: CommandError `forbidden`, when for nobody."""
    if command.organization is None:
        raise CommandError(ErrorCode.FORBIDDEN, "this command speaks for an organization; it names none")
    return command.organization


def key_of(command: CommandMessage[Any], subject: str | None) -> str | None:
    """Its idempotency key, hashed; None without one, or for a command that changes nothing (no `subject`)."""
    if subject is None or command.command_id is None:
        return None
    return command_key(organization_of(command), subject, command.command_id)
