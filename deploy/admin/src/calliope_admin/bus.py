"""Where the bus is, and a connection to it for the length of one command. No store, no HTTP: only commands.

async with open_bus(arguments) as bus:
    page = await bus.ask(Command.PHONE_NUMBERS_LIST, ListPhoneNumbers(), PhoneNumberList, organization="org_1")
"""

import json
import os
from argparse import Namespace
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, SecretStr

from calliope.contracts.catalogue import command_shape
from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.errors import CalliopeError, CommandError
from calliope.ids import new_id
from calliope.messaging.broker import Bus, build_broker, start, stop
from calliope.messaging.command_client import CommandClient
from calliope.settings import NatsSettings
from calliope_admin.errors import MISUSED, AdminError

LOCAL: Final = Path(".calliope") / "local.json"
LOCAL_ORGANIZATION: Final = "org_local"
CONNECT_WITHIN_S: Final = 5.0
ANSWER_WITHIN_S: Final = 5.0
STOP_WITHIN_S: Final = 2.0

ReplyT = TypeVar("ReplyT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Place:
    """A bus: how to reach it, who said so, and the organization that a local installation has."""

    nats: NatsSettings
    found: str
    organization: str | None = None


class AdminBus:
    """The bus as the commands of this package see it."""

    def __init__(self, bus: Bus, place: Place) -> None:
        self.bus = bus
        self.place = place
        self._commands = CommandClient(bus)

    async def ask(
        self,
        command: Command,
        payload: BaseModel | Mapping[str, Any],
        reply_type: type[ReplyT],
        *,
        organization: str | None = None,
        timeout_s: float = ANSWER_WITHIN_S,
    ) -> ReplyT:
        """One command, one reply. Raises: CommandError, when it was refused; AdminError, when nobody answered."""
        try:
            return await self._commands.call(
                command,
                payload,
                reply_type=reply_type,
                organization=organization,
                command_id=new_id("admin"),
                timeout_s=timeout_s,
            )
        except CommandError as exc:
            if exc.code not in {ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT}:
                raise
            owner = command_shape(command).owner
            raise AdminError(
                f"The {owner} service cannot answer ({exc}): is it running, and is its store there?"
            ) from exc


@asynccontextmanager
async def open_bus(arguments: Namespace) -> AsyncIterator[AdminBus]:
    """The bus that the arguments, the environment or a local installation name. Raises: AdminError."""
    place = place_of(arguments.nats, os.environ, LOCAL)
    bus = build_broker(place.nats, "admin", telemetry=False, graceful_timeout_s=STOP_WITHIN_S)
    try:
        await start(bus, within_s=CONNECT_WITHIN_S)
    except CalliopeError as exc:
        await stop(bus, within_s=STOP_WITHIN_S)
        raise AdminError(
            f"The bus does not answer at {place.nats.url} ({place.found}): is it running, and is that its address?"
        ) from exc
    try:
        yield AdminBus(bus, place)
    finally:
        await stop(bus, within_s=STOP_WITHIN_S)


def place_of(address: str | None, environment: Mapping[str, str], local: Path) -> Place:
    """`--nats` first, then `CALLIOPE_NATS__URL`, then the local stack's own file. Raises: AdminError."""
    user, password = environment.get("CALLIOPE_NATS__USER"), environment.get("CALLIOPE_NATS__PASSWORD")
    named, found = (address, "from --nats") if address else (environment.get("CALLIOPE_NATS__URL"), "")
    if named:
        secret = SecretStr(password) if password else None
        nats = NatsSettings(url=named, user=user or None, password=secret, replicas=_replicas(environment))
        return Place(nats, found or "from CALLIOPE_NATS__URL")
    description = _local(local)
    if description is None:
        raise AdminError(
            f"No bus is named: give --nats nats://host:4222, set CALLIOPE_NATS__URL, or stand where `make up` runs "
            f"(there is no {local} here).",
            status=MISUSED,
        )
    organization = description.get("organization", LOCAL_ORGANIZATION)
    return Place(NatsSettings(url=description["nats"]), f"from {local}", organization)


def organization_of(arguments: Namespace, bus: AdminBus) -> str:
    """Whose things a command is about; a local installation has one organization. Raises: AdminError."""
    chosen = arguments.organization or bus.place.organization
    if chosen is None:
        raise AdminError("Say whose: --organization org_…", status=MISUSED)
    return str(chosen)


def _replicas(environment: Mapping[str, str]) -> int | None:
    """What the provisioner makes; a value that is wrong is told by the checks of settings."""
    text = environment.get("CALLIOPE_NATS__REPLICAS", "")
    return int(text) if text.isdecimal() and int(text) else None


def _local(file: Path) -> dict[str, str] | None:
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
        return {str(key): str(value) for key, value in description.items()} if description["nats"] else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise AdminError(f"{file} cannot be read as what `make up` writes: start `make up` anew.") from exc
