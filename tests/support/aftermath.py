"""The world around the work after a call: ended calls on a real bus, their assistants, the sandbox's models."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from aiohttp.test_utils import TestServer
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError
from pydantic import SecretStr

from calliope.contracts.assistants import AssistantRef, PinnedAssistant, secret_context
from calliope.contracts.base import CommandMessage, Event, Message, event_type
from calliope.contracts.calls import (
    EVENT_NAMES,
    CallEnded,
    CallStarted,
    Direction,
    EndReason,
    TurnCommitted,
    TurnKind,
    TurnStarted,
)
from calliope.contracts.subjects import Command, Entity, events_of
from calliope.errors import not_found, unavailable
from calliope.ids import new_id
from calliope.messaging.broker import Bus, build_broker, start, stop
from calliope.messaging.commands import responder
from calliope.messaging.publish import EventPublisher
from calliope.messaging.streams import CALL_WORKER_ANALYSIS, EVENTS
from calliope.secrets import Sealer, generate_key, public_key_of
from calliope.settings import HealthSettings, NatsSettings
from calliope_call_worker.app import running
from calliope_call_worker.providers.settings import OpenAiSettings, ProvidersSettings
from calliope_call_worker.settings import AnalysisSettings, SealingSettings, WorkerSettings
from calliope_sandbox.app import Sandbox, create_app

ORGANIZATION: Final = "org_1"
BEGAN: Final = datetime(2026, 1, 2, 12, tzinfo=UTC)
PRIVATE_KEY: Final = generate_key()
KEY: Final = "sk-canary-77d1-never-shown"
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["people", "name"],
    "properties": {"people": {"type": "integer", "minimum": 1}, "name": {"type": "string"}},
    "additionalProperties": False,
}
TALK: Final = ("A table for two please, my name is Ada.", "Booked.", "Thank you, goodbye.", "Goodbye!")


class Aftermath:
    """Ended calls and who analyses them. `analysis` is what workers are started with."""

    def __init__(self, bus: Bus, nats: NatsSettings, sandbox: Sandbox, sandbox_url: str) -> None:
        self.bus = bus
        self.sandbox = sandbox
        self.analysis = AnalysisSettings(heartbeat_s=0.2)
        self.assistants: dict[str, PinnedAssistant] = {}
        self.assistants_are_away = False
        self._nats = nats
        self._models_url = f"{sandbox_url}/openai/v1"
        self._publisher = EventPublisher(bus)

    @property
    def questions(self) -> list[dict[str, Any]]:
        """What the models were asked so far, oldest first."""
        return list(self.sandbox.records.listing("llm", {}))

    def assistant(self, *, revision: int = 1, key: str = KEY, **custom: Any) -> PinnedAssistant:
        """A stored assistant; `custom` are its `custom_settings`."""
        context = secret_context(ORGANIZATION, "asst_1", ("llm_provider_config", "api_key"))
        sealed = Sealer(public_key_of(PRIVATE_KEY)).seal(key, context=context)
        pinned = PinnedAssistant(
            id="asst_1",
            organization_id=ORGANIZATION,
            revision=revision,
            document={
                "name": "Anna",
                "llm_provider_config": {"api_key": sealed.model_dump(), "model": "gpt-4o"},
                "custom_settings": custom,
            },
        )
        self.assistants[pinned.id] = pinned
        return pinned

    async def call(self, talk: Sequence[str] = TALK) -> str:
        """A call that has ended; `talk` is caller, assistant, caller, …"""
        call_id = new_id("call")
        facts: list[Message] = [
            CallStarted(
                direction=Direction.INBOUND, from_number="+15550001", to_number="+15550002", assistant_id="asst_1",
                assistant_revision=1, carrier="twilio", carrier_call_id="CA1", worker_id="worker_0",
            )
        ]  # fmt: skip
        for turn, (caller, assistant) in enumerate(zip(talk[::2], talk[1::2], strict=True), start=1):
            facts.append(TurnStarted(turn=turn, text=caller, at_ms=0))
            facts.append(TurnCommitted(turn=turn, kind=TurnKind.REPLY, user_text=caller, assistant_text=assistant))
        facts.append(CallEnded(reason=EndReason.CALLER_HUNG_UP, duration_ms=1, turns=len(talk) // 2))
        for sequence, fact in enumerate(facts, start=1):
            await self.tell(call_id, sequence, fact)
        return call_id

    async def tell(self, call_id: str, sequence: int, fact: Message) -> None:
        """One fact of a call."""
        await self._publisher.publish(an_event(call_id, sequence, fact))

    async def analyzed(self, call_id: str) -> Event:
        """The result, once it is there; the journal then ends with it, has no other, and no hole."""
        facts = await self.journal(call_id, until="analyzed")
        assert [fact.sequence for fact in facts] == list(range(1, len(facts) + 1))
        assert [fact.name for fact in facts].count("analyzed") == 1
        return facts[-1]

    async def journal(self, call_id: str, *, until: str) -> list[Event]:
        """All facts of a call, once that one is among them."""
        async with asyncio.timeout(20):
            while True:
                with suppress(NatsError):  # the bus may be away
                    facts = await self._facts(call_id)
                    if any(fact.name == until for fact in facts):
                        return facts
                await asyncio.sleep(0.02)

    async def _facts(self, call_id: str) -> list[Event]:
        """All that there is now. Raises: NatsError."""
        facts: list[Event] = []
        position, filter_ = 0, events_of(Entity.CALL, entity_id=call_id)
        with suppress(NotFoundError):
            while True:
                found = await self.bus.jetstream.get_msg(EVENTS.name, seq=position + 1, subject=filter_, next=True)
                facts.append(Event.model_validate_json(found.data or b""))
                position = int(found.seq or 0)
        return facts

    async def redelivered_after(self, ack_wait_s: float) -> None:
        """How long the server waits for a sign of life, for this test."""
        durable = CALL_WORKER_ANALYSIS
        await self.bus.jetstream.add_consumer(durable.stream, replace(durable, ack_wait_s=ack_wait_s).config())

    async def unfinished(self) -> int:
        """Messages that were delivered and are not settled, and those that wait."""
        info = await self.bus.jetstream.consumer_info(CALL_WORKER_ANALYSIS.stream, CALL_WORKER_ANALYSIS.name)
        return int(info.num_ack_pending or 0) + int(info.num_pending or 0)

    @asynccontextmanager
    async def workers(self, count: int = 1) -> AsyncIterator[None]:
        """Call-workers of this process."""
        settings = WorkerSettings(
            nats=self._nats,
            health=HealthSettings(port=0),
            analysis=self.analysis,
            sealing=SealingSettings(private_keys=(SecretStr(PRIVATE_KEY),)),
            providers=ProvidersSettings(openai=OpenAiSettings(url=self._models_url)),
            shutdown_timeout_s=0.5,
        )
        async with AsyncExitStack() as stack:
            for _ in range(count):
                await stack.enter_async_context(running(settings))
            yield

    @asynccontextmanager
    async def worker_process(self, folder: Path) -> AsyncIterator["subprocess.Popen[bytes]"]:
        """A call-worker to kill."""
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ} | {
            "CALLIOPE_NATS__URL": self._nats.url,
            "CALLIOPE_ANALYSIS__HEARTBEAT_S": str(self.analysis.heartbeat_s),
            "CALLIOPE_SEALING__PRIVATE_KEYS": f'["{PRIVATE_KEY}"]',
            "CALLIOPE_PROVIDERS__OPENAI__URL": self._models_url,
        }
        with (folder / "worker.log").open("wb") as output:
            process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
                [sys.executable, "-m", "calliope_call_worker"],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                yield process
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait(timeout=10)


def an_event(call_id: str, sequence: int, fact: Message) -> Event:
    """A fact of a call as its journal holds it."""
    return Event(
        id=new_id("evt"),
        type=event_type("call", EVENT_NAMES[type(fact)]),
        source="/calliope/call-worker",
        subject=f"call/{call_id}",
        time=BEGAN + timedelta(seconds=sequence),
        organization=ORGANIZATION,
        sequence=sequence,
        data=fact.model_dump(mode="json"),
    )


@asynccontextmanager
async def aftermath(nats: NatsSettings) -> AsyncIterator[Aftermath]:
    """Bus, sandbox, and an assistants service that knows what the test says."""
    sandbox = Sandbox()
    bus = build_broker(nats, "assistants", telemetry=False)
    async with TestServer(create_app(sandbox)) as server:
        house = Aftermath(bus, nats, sandbox, str(server.make_url("")).rstrip("/"))

        @responder(bus, Command.ASSISTANTS_PIN, service="assistants")
        async def pin(command: CommandMessage[AssistantRef]) -> PinnedAssistant:
            if house.assistants_are_away:
                raise unavailable("the store does not answer")
            known = house.assistants.get(command.payload.assistant_id)
            if known is None:
                raise not_found("assistant", command.payload.assistant_id)
            return known

        await start(bus, within_s=10)
        try:
            yield house
        finally:
            await stop(bus)
