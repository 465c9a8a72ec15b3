"""A conversation that moves from vendor to vendor: each twin takes what the others left behind, and loses nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from calliope_call_worker.providers.errors import ProviderError
from calliope_call_worker.providers.llm.base import (
    AssistantMessage,
    LlmRequest,
    Message,
    ToolCall,
    ToolResult,
    ToolSpec,
    UserMessage,
)
from calliope_call_worker.providers.llm.breaker import Breaker
from calliope_call_worker.providers.llm.chain import Link, LlmChain
from calliope_call_worker.providers.llm.gemini_body import FOREIGN_CALL
from calliope_call_worker.providers.llm.history import CANCELLED
from calliope_call_worker.providers.settings import ThinkingSettings
from support.model_vendors import VENDORS, Bench, Vendor, answer_of, calls_of, sandboxed, text_of

TOOLS = tuple(ToolSpec(name, "A tool.", {"type": "object"}) for name in ("book", "look_up"))
TWO_CALLS = [{"name": "look_up", "arguments": {"q": "Anna"}}, {"name": "book", "arguments": {"n": 2}}]
every_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with asyncio.timeout(20), sandboxed() as opened:
        yield opened


def ask(*messages: Message) -> LlmRequest:
    return LlmRequest("Be brief.", messages, tools=TOOLS)


async def a_turn(bench: Bench, vendor: Vendor, *before: Message) -> tuple[Message, ...]:
    """A turn at this vendor: two tools at once, one of them answered, and half of the last sentence heard."""
    bench.script({"after_tool": True, "say": "A table for two"}, {"say": "Let me see.", "tool_calls": TWO_CALLS})
    asked: tuple[Message, ...] = (*before, UserMessage("A table, please."))
    events = await answer_of(bench.model(vendor), ask(*asked))
    called = (
        AssistantMessage(text_of(events), tuple(calls_of(events))),
        ToolResult(calls_of(events)[1].id, "book", "ok"),
    )
    after = await answer_of(bench.model(vendor), ask(*asked, *called))
    return (*asked, *called, AssistantMessage(text_of(after).removesuffix(" for two")))


def seen(request: dict[str, Any]) -> str:
    """Everything that a request says, without its vendor's shape."""
    return json.dumps(request, ensure_ascii=False).replace("\\", "")


@pytest.mark.parametrize(
    ("first", "second"), list(permutations(VENDORS, 2)), ids=lambda vendor: vendor.name if vendor else ""
)
async def test_a_conversation_moves_to_another_vendor_without_loss(bench: Bench, first: Vendor, second: Vendor) -> None:
    history = await a_turn(bench, first)
    bench.script({"match": "tomorrow", "say": "Gladly."})
    answer = await answer_of(bench.model(second), ask(*history, UserMessage("And tomorrow?")))
    assert text_of(answer) == "Gladly."
    said = seen(bench.records()[-1]["request"])
    for words in (
        "Be brief.",
        "A table, please.",
        "Let me see.",
        "look_up",
        "Anna",
        "ok",
        CANCELLED,
        "A table",
        "And tomorrow?",
    ):
        assert words in said


async def test_a_conversation_that_went_round_all_vendors_is_taken_by_each(bench: Bench) -> None:
    history: tuple[Message, ...] = ()
    for vendor in (*VENDORS, *reversed(VENDORS)):
        history = await a_turn(bench, vendor, *history)
    bench.script({"say": "Goodbye."})
    for vendor in VENDORS:
        answer = await answer_of(bench.model(vendor), ask(*history, UserMessage("That is all.")))
        assert text_of(answer) == "Goodbye."


@every_vendor
@pytest.mark.parametrize("other", VENDORS, ids=lambda vendor: vendor.name)
async def test_a_tool_result_is_read_by_a_vendor_that_did_not_call_it(
    bench: Bench, vendor: Vendor, other: Vendor
) -> None:
    """The turn is still open: here Gemini wants its signatures, and Claude a result for each call."""
    bench.script({"after_tool": "book", "say": "Heard: {tool_result}"}, {"say": "A moment.", "tool_calls": TWO_CALLS})
    events = await answer_of(bench.model(vendor), ask(UserMessage("A table.")))
    results = [ToolResult(call.id, call.name, f"{call.name} done") for call in calls_of(events)]
    called = AssistantMessage(text_of(events), tuple(calls_of(events)))
    answer = await answer_of(bench.model(other), ask(UserMessage("A table."), called, *results))
    assert text_of(answer) == "Heard: book done"


@every_vendor
async def test_an_answer_that_broke_off_is_continued(bench: Bench, vendor: Vendor) -> None:
    """The chain asks the next model to go on; no vendor may take that for a prefill or refuse its shape."""
    broken = {"say": "We are open from nine", "fail": {"status": 500, "after_tokens": 4}, "times": 1, "per_token_ms": 2}
    bench.script(broken, {"say": "We are open from nine to six."})
    links = [Link(bench.model(one), Breaker(3, 15.0)) for one in (VENDORS[0], vendor)]
    chain = LlmChain(links, ThinkingSettings(), lambda error, action: None)
    async with chain.stream(ask(UserMessage("When?")), lambda: "") as events:
        answer = [event async for event in events]
    assert text_of(answer) == "We are open from nine to six."


@every_vendor
@pytest.mark.parametrize(
    "messages",
    [
        (),
        (AssistantMessage("Welcome!"),),
        (AssistantMessage("Welcome!"), UserMessage("Hi"), AssistantMessage(" "), UserMessage("")),
        (UserMessage("Hi"), AssistantMessage("Hello"), AssistantMessage("Still there?"), UserMessage("Yes")),
        (UserMessage("Hi"), ToolResult("gone", "book", "ok"), UserMessage("Yes")),
    ],
)
async def test_no_history_of_a_real_call_is_refused(
    bench: Bench, vendor: Vendor, messages: tuple[Message, ...]
) -> None:
    bench.script({"say": "Fine."})
    if vendor.twin not in {"anthropic", "gemini"} and not messages:
        messages = (UserMessage("Hi"),)
    assert text_of(await answer_of(bench.model(vendor), ask(*messages))) == "Fine."


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
@pytest.mark.parametrize(
    "arguments", ['{"day": "fri', "null", '""', "[1]", "7", '"{\\"day\\": 1}"', '{"x": "\\ud83d"}', "\ud83d"]
)
@pytest.mark.parametrize(("name", "id_"), [("book", "c1"), ("book a table!", ""), ("9" * 200, "c 1/é"), ("", " ")])
async def test_what_a_model_wrote_badly_is_taken_back_by_every_vendor(
    bench: Bench, vendor: Vendor, arguments: str, name: str, id_: str
) -> None:
    bench.sandbox.knobs.turn({vendor.twin: {"reads_old_calls": True}})
    bench.script({"say": "Once more, please."})
    call = ToolCall(id_, name, arguments)
    messages = (UserMessage("A table."), AssistantMessage("", (call, call)), ToolResult(id_, name, "not JSON"))
    assert text_of(await answer_of(bench.model(vendor), LlmRequest("", messages))) == "Once more, please."
    assert "not JSON" in json.dumps(bench.records()[-1]["request"])


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
async def test_ids_that_servers_repeat_or_spell_in_their_own_way_are_taken(bench: Bench, vendor: Vendor) -> None:
    call, bad = ToolCall("functions.book:0", "book", '{"n": 1}'), ToolCall("functions.book:0", "book", "{not json")
    turn = (UserMessage("Book."), AssistantMessage("", (call, bad)), ToolResult(call.id, "book", "first"))
    bench.script({"say": "Done."})
    assert text_of(await answer_of(bench.model(vendor), ask(*turn, *turn, UserMessage("And?")))) == "Done."
    assert "{not json" in seen(bench.records()[-1]["request"])


async def test_geminis_signature_comes_back_with_its_call_and_stands_in_for_others(bench: Bench) -> None:
    gemini = next(vendor for vendor in VENDORS if vendor.name == "gemini")
    bench.script({"say": "", "tool_calls": TWO_CALLS})
    calls = tuple(calls_of(await answer_of(bench.model(gemini), ask(UserMessage("Book.")))))
    bench.script({"say": "Done."})
    for made in (calls, tuple(replace(call, opaque=None) for call in calls)):
        results = [ToolResult(call.id, call.name, "ok") for call in made]
        await answer_of(bench.model(gemini), ask(UserMessage("Book."), AssistantMessage("", made), *results))
    own, foreign = (entry["request"]["contents"][1]["parts"] for entry in bench.records()[-2:])
    assert own[0]["thoughtSignature"] not in {None, FOREIGN_CALL}
    assert foreign[0]["thoughtSignature"] == FOREIGN_CALL
    assert "thoughtSignature" not in own[1] | foreign[1]


@every_vendor
async def test_one_refused_tool_call_is_asked_once_more_and_the_next_turn_is_asked_too(
    bench: Bench, vendor: Vendor
) -> None:
    refused = {"status": 400, "code": "tool_use_failed", "message": "Failed to call a function."}
    bench.script({"fail": refused, "times": 3}, {"say": "For four, gladly."})
    reports: list[str] = []
    link = Link(bench.model(vendor), Breaker(3, 10.0))
    chain = LlmChain([link], ThinkingSettings(), lambda error, _: reports.append(error.reason))

    async def said() -> str:
        async with chain.stream(ask(UserMessage("Four people.")), str) as events:
            return text_of([event async for event in events])

    with pytest.raises(ProviderError):
        await said()
    assert not chain.hopeless
    assert await said() == "For four, gladly."
    assert reports == ["malformed"] * 3
