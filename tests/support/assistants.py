"""The assistants service as a real process for tests, and a client that asks it as the gateway does."""

import asyncio
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

from nats.errors import TimeoutError as NatsTimeoutError

from calliope import api_keys
from calliope.contracts.assistants import Assistant, AssistantRef, CreateAssistant
from calliope.contracts.base import Event
from calliope.contracts.subjects import Command, Entity, events_of
from calliope.ids import new_id
from calliope.messaging.broker import Bus, build_broker, start, stop
from calliope.messaging.command_client import CommandClient
from calliope.settings import NatsSettings
from support.processes import ChildProcess, free_port
from support.sealing import PUBLIC_KEYS

API_KEY: Final = api_keys.generate()
CANARY: Final = "canary-5d1c9a7e-never-shown"
_READY_S: Final = 40.0
PATIENCE_S: Final = 20.0
"""Above every deadline of the service: what answers late on a busy machine is no failure of it."""


class AssistantsProcess(ChildProcess):
    """`python -m calliope_assistants`, killed with -9 or stopped, with its log. Variables that are None are not set."""

    def __init__(self, folder: Path, nats_url: str, mongo_url: str, **variables: str | None) -> None:
        super().__init__(folder / "log")
        self.port = free_port()
        chosen = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ} | {
            "PYTHONUNBUFFERED": "1",
            "CALLIOPE_NATS__URL": nats_url,
            "CALLIOPE_MONGO__URL": mongo_url,
            "CALLIOPE_MONGO__DATABASE": new_id("t"),
            "CALLIOPE_HEALTH__PORT": str(self.port),
            "CALLIOPE_SEALING__CALLS_PUBLIC_KEY": PUBLIC_KEYS.calls_public_key,
            "CALLIOPE_SEALING__WEBHOOKS_PUBLIC_KEY": PUBLIC_KEYS.webhooks_public_key,
            "CALLIOPE_BOOTSTRAP_API_KEY": API_KEY,
            "CALLIOPE_LOG__LEVEL": "DEBUG",
            **variables,
        }
        self._environment = {name: value for name, value in chosen.items() if value is not None}

    @property
    def database(self) -> str:
        """For a replica: `CALLIOPE_MONGO__DATABASE=first.database`."""
        return self._environment["CALLIOPE_MONGO__DATABASE"]

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.launch()
        deadline = time.monotonic() + _READY_S
        while not self.is_ready():
            assert self.is_running, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def launch(self) -> None:
        self.run([sys.executable, "-m", "calliope_assistants"], environment=self._environment)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5.0) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5.0) as answer:
            return str(answer.read().decode())


class Asking:
    """What one organization asks, and the events it can see."""

    def __init__(self, bus: Bus, organization: str) -> None:
        self.bus = bus
        self.commands = CommandClient(bus)
        self.organization = organization

    async def ask(self, subject: Command, payload: Any, command_id: str | None = None) -> Any:
        return await self.commands.call(
            subject, payload, organization=self.organization, command_id=command_id, timeout_s=PATIENCE_S
        )

    async def create(self, command_id: str | None = None, **fields: Any) -> Assistant:
        answer = await self.ask(
            Command.ASSISTANTS_CREATE, CreateAssistant(document=a_document(**fields)), command_id=command_id
        )
        return Assistant.model_validate(answer)

    async def get(self, assistant_id: str) -> Assistant:
        answer = await self.ask(Command.ASSISTANTS_GET, AssistantRef(assistant_id=assistant_id))
        return Assistant.model_validate(answer)

    async def events(self, expected: int, entity: Entity | None = None) -> list[Event]:
        """The organization's events so far; waits until there are as many as expected."""
        filter_ = events_of(entity, organization=self.organization)
        subscription = await self.bus.jetstream.pull_subscribe(filter_, stream="EVENTS")
        found: list[Event] = []
        try:
            async with asyncio.timeout(2 * PATIENCE_S):
                while len(found) < expected:
                    try:
                        messages = await subscription.fetch(100, timeout=0.5)
                    except NatsTimeoutError:
                        continue
                    found += [Event.model_validate_json(message.data) for message in messages]
        finally:
            await subscription.unsubscribe()
        return found


def a_document(**fields: Any) -> dict[str, Any]:
    return {"name": "Anna", "llm_provider_config": {"api_key": f"sk-{CANARY}-3f9a"}, **fields}


def as_read(written: Assistant) -> Assistant:
    """As whoever reads it later is shown it: warnings are for the writer."""
    return written.model_copy(update={"warnings": None})


class a_bus:  # noqa: N801 - reads as a word in `async with`
    """A connected client."""

    def __init__(self, url: str) -> None:
        self._bus = build_broker(NatsSettings(url=url), "gateway", telemetry=False)

    async def __aenter__(self) -> Bus:
        await start(self._bus, within_s=10)
        return self._bus

    async def __aexit__(self, *_: object) -> None:
        await stop(self._bus)
