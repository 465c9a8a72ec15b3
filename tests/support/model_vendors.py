"""Every vendor of language models against its twin, over a real socket: one row each."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession, DummyCookieJar, TCPConnector
from aiohttp.test_utils import TestServer

from calliope_call_worker.providers.llm import quirks
from calliope_call_worker.providers.llm.anthropic import Anthropic
from calliope_call_worker.providers.llm.base import LanguageModel, LlmEvent, LlmRequest, TextDelta, ToolCall
from calliope_call_worker.providers.llm.gemini import Gemini
from calliope_call_worker.providers.llm.openai import OpenAiChat
from calliope_sandbox.app import Sandbox, create_app

KEY = "test-key"
Make = Callable[[ClientSession, str, str], LanguageModel]


@dataclass(frozen=True, slots=True)
class Vendor:
    """One row: how its adapter is made from a session, the sandbox's address and a key; which twin answers it."""

    name: str
    twin: str
    make: Make = field(repr=False)


def _chat(vendor: quirks.Quirks, path: str, model: str) -> Make:
    return lambda session, url, key: OpenAiChat(session, vendor, url=url + path, model=model, api_key=key)


VENDORS = (
    Vendor("openai", "openai", _chat(quirks.OPENAI, "/openai/v1", "gpt-6-luna")),
    Vendor("groq", "groq", _chat(quirks.GROQ, "/groq/openai/v1", "openai/gpt-oss-120b")),
    Vendor("xai", "xai", _chat(quirks.XAI, "/xai/v1", "grok-4.20-non-reasoning")),
    Vendor("custom", "openai", _chat(quirks.CUSTOM, "/openai/v1", "gpt-4o")),
    Vendor(
        "anthropic",
        "anthropic",
        lambda session, url, key: Anthropic(session, url=f"{url}/anthropic", model="claude-haiku-5-5", api_key=key),
    ),
    Vendor(
        "gemini",
        "gemini",
        lambda session, url, key: Gemini(
            session, url=f"{url}/gemini/v1beta", model="gemini-3.5-flash-lite", api_key=key
        ),
    ),
)


@dataclass(slots=True)
class Bench:
    """A running sandbox and a client."""

    sandbox: Sandbox
    session: ClientSession
    url: str

    def model(self, vendor: Vendor, key: str = KEY) -> LanguageModel:
        """The vendor's adapter, asking its twin."""
        return vendor.make(self.session, self.url, key)

    def script(self, *rules: dict[str, Any]) -> None:
        """What the models answer, at full speed unless a rule says otherwise."""
        quick = {"first_token_ms": 0, "per_token_ms": 0}
        self.sandbox.scripts.put({"name": "test", "rules": [{**quick, **rule} for rule in rules]})

    def fault(self, vendor: Vendor, kind: str, **more: Any) -> None:
        """Arm a fault for the vendor's twin."""
        self.sandbox.faults.arm({"vendor": vendor.twin, "kind": kind, **more}, frozenset({vendor.twin}))

    def records(self) -> list[dict[str, Any]]:
        """What the twins were asked, oldest first."""
        return self.sandbox.records.listing("llm", {})


@asynccontextmanager
async def sandboxed() -> AsyncIterator[Bench]:
    """A fresh sandbox with every twin."""
    sandbox = Sandbox()
    async with (
        TestServer(create_app(sandbox)) as server,
        ClientSession(connector=TCPConnector(limit=0), cookie_jar=DummyCookieJar()) as session,
    ):
        yield Bench(sandbox, session, str(server.make_url("")).rstrip("/"))


async def answer_of(model: LanguageModel, request: LlmRequest) -> list[LlmEvent]:
    """All events of one answer."""
    async with model.stream(request) as events:
        return [event async for event in events]


def text_of(events: list[LlmEvent]) -> str:
    """What was said."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def calls_of(events: list[LlmEvent]) -> list[ToolCall]:
    """The tools that are to be called."""
    return [event for event in events if isinstance(event, ToolCall)]
