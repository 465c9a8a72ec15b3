"""The fault matrix of sloppy models: every vendor in every kind of misbehaviour, and a spare model that behaves.

What is said and called is what was meant, whatever the first model made of it.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

import pytest

from calliope_call_worker.pipeline.speakable import spoken
from calliope_call_worker.providers.llm.base import LlmEvent, LlmRequest, ToolSpec, UserMessage
from calliope_call_worker.providers.llm.breaker import Breaker
from calliope_call_worker.providers.llm.chain import Link, LlmChain
from calliope_call_worker.providers.settings import ThinkingSettings
from calliope_call_worker.tools.arguments import read_object
from calliope_sandbox.answers import Answer, CallTool
from calliope_sandbox.conversations import Conversation
from calliope_sandbox.sloppiness import NO_SUCH_TOOL, Request, is_owed, misbehaviours
from support.model_vendors import VENDORS, Bench, Vendor, calls_of, sandboxed, text_of

SAID: Final = "A table for two, tomorrow at seven. Is it well so?"
PARAMETERS: Final = {"type": "object", "properties": {"people": {"type": "integer"}}, "required": ["people"]}
BOOK: Final = ToolSpec("book_table", "Books.", PARAMETERS)
ASKED: Final = LlmRequest("Be brief.", (UserMessage("A table for two"),), tools=(BOOK,))
RULE: Final = {"say": SAID, "tool_calls": [{"name": BOOK.name, "arguments": {"people": 2}}]}
WORDS_ONLY: Final = {"say": SAID}
ANSWER: Final = Answer(SAID, (CallTool(BOOK.name, '{"people": 2}'),))
CALLING: Final = sorted(misbehaviours(Request("openai", Conversation(), ANSWER, ("no_id",))))
SPEAKING: Final = ("nothing_to_say",)
SEEDS: Final = (1, 2, 3)

every_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with asyncio.timeout(20), sandboxed() as opened:
        yield opened


async def answer(bench: Bench, vendor: Vendor, kind: str, seed: int, request: LlmRequest = ASKED) -> list[LlmEvent]:
    """Of a chain whose first model misbehaves at every request."""
    bench.sandbox.knobs.turn({"sloppy": {"share": 1.0, "seed": seed, "kinds": [kind]}})
    links = [Link(bench.model(vendor, key), Breaker(9, 1.0)) for key in ("sloppy-key", "spare-key")]
    chain = LlmChain(links, ThinkingSettings(), lambda *_: None)
    text = ""
    async with chain.stream(request, lambda: text) as events:
        return [event async for event in events]


@every_vendor
@pytest.mark.parametrize("kind", [*CALLING, "refused_option"])
async def test_what_was_meant_is_said_and_called(bench: Bench, vendor: Vendor, kind: str) -> None:
    for seed in SEEDS:
        bench.script(RULE)
        events = await answer(bench, vendor, kind, seed)
        assert re.sub(r"\s+", " ", spoken(text_of(events), (BOOK.name,))) == SAID
        (call,) = calls_of(events)
        if is_owed(kind) and vendor.twin in struck(bench, kind):
            assert call.name == NO_SUCH_TOOL or not call.arguments.endswith("}")
        else:
            assert (call.name, read_object(call.arguments)) == (BOOK.name, {"people": 2})


@every_vendor
@pytest.mark.parametrize("kind", SPEAKING)
async def test_an_answer_of_which_nothing_can_be_said_is_none(bench: Bench, vendor: Vendor, kind: str) -> None:
    bench.script(WORDS_ONLY)
    events = await answer(bench, vendor, kind, 1, replace(ASKED, tools=()))
    assert re.sub(r"\s+", " ", spoken(text_of(events))) == SAID
    assert struck(bench, kind) == {vendor.twin}


def struck(bench: Bench, kind: str) -> set[str]:
    """Which emulators misbehaved so."""
    return {entry["vendor"] for entry in bench.records() if entry.get("sloppy") == kind}
