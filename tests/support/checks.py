"""Checks of assistants against the sandbox: the use case, the probes and the vendors' protocols over real sockets."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from yarl import URL

from calliope.contracts.assistants import PhoneNumber, PinnedAssistant, ResolvedNumber
from calliope.contracts.checks import AssistantCheck, VendorCheck
from calliope.contracts.document.spec import AssistantSpec
from calliope.secrets import Opener, generate_key
from calliope.settings import EgressSettings
from calliope_call_worker.checks.check import AssistantChecks
from calliope_call_worker.ports import Probes
from calliope_call_worker.providers.probes import VendorProbes
from calliope_call_worker.providers.registry import open_providers
from calliope_call_worker.providers.settings import (
    AnthropicSettings,
    AuraSettings,
    DeepgramSettings,
    ElevenLabsSettings,
    GeminiSettings,
    GroqSettings,
    InworldSettings,
    OpenAiSettings,
    ProvidersSettings,
    ResembleSettings,
    XaiSettings,
)
from calliope_call_worker.providers.telephony.base import CarrierProbe
from calliope_call_worker.providers.telephony.telnyx_probe import TelnyxProbe
from calliope_call_worker.providers.telephony.twilio_probe import TwilioProbe
from calliope_call_worker.settings import CheckSettings, WorkerSettings
from calliope_sandbox.app import FAULTY, Sandbox, create_app

PUBLIC_URL = "https://voice.example.com"
MINIMAL: dict[str, Any] = {"name": "Anna", "llm_provider_config": {"api_key": "sk-test", "model": "gpt-4o-mini"}}
LOOPBACK = EgressSettings(allow=("127.0.0.0/8",), allow_http=True)


@dataclass
class KnownAssistant:
    """A directory that knows one assistant, and the numbers that lead to it."""

    document: dict[str, Any]
    numbers: Sequence[PhoneNumber] = ()

    async def resolve(self, number: str) -> ResolvedNumber | None:
        """See `Directory`."""
        raise NotImplementedError

    async def pin(self, organization_id: str, assistant_id: str) -> PinnedAssistant | None:
        """See `Directory`. Secrets stand in clear: opening them is not what is tested."""
        if assistant_id != "asst_1":
            return None
        return PinnedAssistant(id=assistant_id, organization_id=organization_id, revision=3, document=self.document)

    async def of(self, organization_id: str, assistant_id: str) -> Sequence[PhoneNumber]:
        """See `AssignedNumbers`."""
        return self.numbers


def checks_of(
    probes: Probes, known: KnownAssistant, settings: CheckSettings | None = None, opener: Opener | None = None
) -> AssistantChecks:
    """The use case over these."""
    opener = opener or Opener([generate_key()])
    return AssistantChecks(
        directory=known, numbers=known, opener=opener, probes=probes, settings=settings or CheckSettings()
    )


def a_number(number: str, carrier: str = "twilio") -> PhoneNumber:
    return PhoneNumber(
        number=number,
        organization_id="org_1",
        assistant_id="asst_1",
        carrier=carrier,
        revision=1,
        updated_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@dataclass
class CheckedWorld:
    """A sandbox, and checks of documents against it."""

    sandbox: Sandbox
    url: str
    probes: VendorProbes
    numbers: list[PhoneNumber] = field(default_factory=list)

    async def check(self, document: dict[str, Any] | None = None, *, within_s: float = 5.0) -> AssistantCheck:
        """The whole answer."""
        whole = MINIMAL | {"stt_settings": {"api_key": "dg-key"}, "tts_settings": {"api_key": "xi-key"}}
        AssistantSpec.model_validate(whole | (document or {}))
        known = KnownAssistant(whole | (document or {}), self.numbers)
        settings = CheckSettings(deadline_s=within_s)
        return await checks_of(self.probes, known, settings).check("org_1", "asst_1")

    async def put(self, path: str, document: dict[str, Any]) -> int:
        """A switch of the sandbox."""
        async with ClientSession() as session, session.put(URL(self.url + path, encoded=True), json=document) as answer:
            return answer.status

    def arm(self, vendor: str, kind: str, **more: Any) -> None:
        """A fault before the first byte, that stays."""
        fault = {"vendor": vendor, "kind": kind, "after": None, "times": None, **more}
        if kind in {"refuse", "rate_limited"}:
            del fault["after"]
        self.sandbox.faults.arm(fault, FAULTY)


def told(check: AssistantCheck) -> dict[str, str]:
    """Every part of the answer on a line: path -> what it came to."""
    return {f"{one.path} {one.what}": _line(one) for one in check.checks}


def problems(check: AssistantCheck) -> dict[str, str]:
    """Those that failed."""
    assert check.ok == (not check.problems)
    return {one.path: one.reason for one in check.problems}


def _line(one: VendorCheck) -> str:
    return f"{one.outcome} {one.reason}".strip()


@asynccontextmanager
async def checked_world(
    *, installation_key: str | None = None, lists_at: str = "", **worker: Any
) -> AsyncIterator[CheckedWorld]:
    """Every vendor is a fresh sandbox; `installation_key` is the installation's for all of them.

    `lists_at`: another path, where Inworld and Resemble are looked for instead.
    """
    sandbox = Sandbox()
    async with TestServer(create_app(sandbox)) as server:
        url = str(server.make_url("")).rstrip("/")
        key = SecretStr(installation_key) if installation_key else None
        providers = ProvidersSettings(
            deepgram=DeepgramSettings(url=f"{url}/deepgram", api_key=key),
            aura=AuraSettings(url=f"{url}/deepgram"),
            elevenlabs=ElevenLabsSettings(url=f"{url}/elevenlabs", api_key=key),
            inworld=InworldSettings(url=url + (lists_at or "/inworld"), api_key=key),
            resemble=ResembleSettings(
                url=f"{url}/resemble", api_url=url + (lists_at or "/resemble/api/v2"), api_key=key
            ),
            openai=OpenAiSettings(url=f"{url}/openai/v1"),
            anthropic=AnthropicSettings(url=f"{url}/anthropic"),
            gemini=GeminiSettings(url=f"{url}/gemini/v1beta"),
            groq=GroqSettings(url=f"{url}/groq/openai/v1"),
            xai=XaiSettings(url=f"{url}/xai/v1"),
        )
        settings = WorkerSettings(providers=providers, public_url=PUBLIC_URL, **worker)
        async with open_providers(providers, LOOPBACK) as opened:
            session = opened._session
            carriers: dict[str, CarrierProbe] = {
                "twilio": TwilioProbe(session, f"{url}/twilio"),
                "telnyx": TelnyxProbe(session, f"{url}/telnyx/v2"),
            }
            yield CheckedWorld(sandbox, url, VendorProbes(opened, carriers, settings))
