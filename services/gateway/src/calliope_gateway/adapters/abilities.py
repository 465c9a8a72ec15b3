"""What a gateway can do now, asked over the bus: read, write, have calls answered. For readiness only."""

from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError

from calliope.contracts.assistants import CheckStore, Nothing
from calliope.contracts.subjects import Command
from calliope.contracts.workers import WorkerDescription
from calliope.errors import CommandError, NotReadyError
from calliope.messaging.broker import Bus, ready
from calliope.messaging.probe import Answer, everybody
from calliope.observability.health import Check
from calliope_gateway.ports import Commands

STORE_S: Final = 1.6
WORKERS_S: Final = 1.0


def abilities(bus: Bus, commands: Commands) -> Mapping[str, Check]:
    """A check for each part of the readiness; every one has a deadline of its own."""

    async def store(*, writes: bool) -> None:
        try:
            await commands.call(Command.STORE_CHECK, CheckStore(writes=writes), reply_type=Nothing, timeout_s=STORE_S)
        except CommandError as exc:
            raise NotReadyError(exc.problem.message) from exc

    async def calls() -> None:
        found = await everybody(bus, Command.WORKERS_DESCRIBE, Nothing(), within_s=WORKERS_S, enough=_accepts)
        if not any(map(_accepts, found)):
            raise NotReadyError("every call-worker is full or draining" if found else "no call-worker answers")

    return {
        "bus": lambda: ready(bus),
        "reads": lambda: store(writes=False),
        "writes": lambda: store(writes=True),
        "calls": calls,
    }


def _accepts(answer: Answer) -> bool:
    try:
        return WorkerDescription.model_validate(answer.result).accepting
    except ValidationError:
        return False
