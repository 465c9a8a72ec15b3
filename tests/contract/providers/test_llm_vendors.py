"""One suite for every language model: each adapter against its vendor's twin, over a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm.base import (
    Finished,
    LlmEvent,
    LlmRequest,
    TextDelta,
    ToolSpec,
    UserMessage,
)
from calliope_sandbox.answers import SHAPES
from support.model_vendors import VENDORS, Bench, Vendor, answer_of, calls_of, sandboxed, text_of
from support.waiting import until

BOOK = ToolSpec("book", "Books.", {"type": "object", "properties": {"name": {"type": "string"}}})
ASKED = LlmRequest("Be brief.", (UserMessage("Hello"),), tools=(BOOK,))
every_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with asyncio.timeout(20), sandboxed() as opened:
        yield opened


async def failure_of(bench: Bench, vendor: Vendor, key: str = "test-key") -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await answer_of(bench.model(vendor, key), ASKED)
    return caught.value


@every_vendor
async def test_a_whole_answer_is_text_and_one_end_with_its_tokens(bench: Bench, vendor: Vendor) -> None:
    bench.script({"say": "Hello, how can I help you?"})
    *said, end = await answer_of(bench.model(vendor), ASKED)
    assert text_of(said) == "Hello, how can I help you?"
    assert isinstance(end, Finished)
    assert end.reason == "stop"
    assert end.input_tokens
    assert end.output_tokens == 6


@every_vendor
@pytest.mark.parametrize("say", ["Γειά σου! 👋🏽", "您好 我可以帮您吗", "שלום"])  # noqa: RUF001
async def test_other_scripts_survive_writes_that_cut_characters(bench: Bench, vendor: Vendor, say: str) -> None:
    bench.script({"say": say, "variants": ["split_utf8", "crlf"]})
    assert text_of(await answer_of(bench.model(vendor), ASKED)) == say


@every_vendor
@pytest.mark.parametrize("say", ["Great 😀 see you at nine.", "😀👋🏽 hi", "Bye 👋"])
async def test_half_a_character_a_piece_costs_nothing(bench: Bench, vendor: Vendor, say: str) -> None:
    bench.script({"say": say, "variants": ["half_characters"]})
    assert text_of(await answer_of(bench.model(vendor), ASKED)) == say


REFUSED_OPTIONS = {"anthropic": ["stop_sequences", "thinking"], "gemini": ["temperature", "thinkingConfig"]}


async def test_what_was_refused_once_and_is_asked_for_later_is_sent_again(bench: Bench) -> None:
    """One odd refusal must not spoil a model for all requests to come."""
    claude = next(vendor for vendor in VENDORS if vendor.name == "anthropic")
    model = bench.model(claude)
    bench.script({"say": "Hello."})
    bench.sandbox.knobs.turn({"anthropic": {"refused_options": ["max_tokens"]}})
    with pytest.raises(ProviderError):
        await answer_of(model, ASKED)
    bench.sandbox.knobs.turn({"anthropic": {"refused_options": []}})
    assert text_of(await answer_of(model, ASKED)) == "Hello."


@every_vendor
async def test_what_is_refused_by_name_is_left_out_and_remembered(bench: Bench, vendor: Vendor) -> None:
    names = REFUSED_OPTIONS.get(vendor.twin, ["max_tokens", "temperature", "stream_options", "reasoning_effort"])
    bench.sandbox.knobs.turn({vendor.twin: {"refused_options": names}})
    bench.script({"say": "Hello."})
    model = bench.model(vendor)
    request = replace(ASKED, stop=("END",), temperature=0.4, tools=())
    for _ in range(2):
        assert text_of(await answer_of(model, request)) == "Hello."
    first, second = (record["request"] for record in bench.records())
    assert first == second
    assert not {*names} & {*first, *(first.get("generationConfig") or {})}
    assert "max_completion_tokens" in first or vendor.twin in REFUSED_OPTIONS


@every_vendor
async def test_an_empty_answer_is_an_end(bench: Bench, vendor: Vendor) -> None:
    bench.script({"say": ""})
    (end,) = await answer_of(bench.model(vendor), ASKED)
    assert isinstance(end, Finished)


@every_vendor
async def test_a_huge_answer_comes_whole(bench: Bench, vendor: Vendor) -> None:
    say = "word " * 900 + "x" * 300_000
    bench.script({"say": say})
    assert text_of(await answer_of(bench.model(vendor), ASKED)) == say


@every_vendor
async def test_an_answer_longer_than_allowed_says_so(bench: Bench, vendor: Vendor) -> None:
    bench.script({"say": "one two three four"})
    request = LlmRequest("", ASKED.messages, max_tokens=2)
    assert (await answer_of(bench.model(vendor), request))[-1].reason == "length"  # type: ignore[union-attr]


@every_vendor
async def test_an_answer_that_nobody_wants_any_more_is_cut_off_at_the_vendor(bench: Bench, vendor: Vendor) -> None:
    bench.script({"say": "one two three four five six", "per_token_ms": 50})
    async with bench.model(vendor).stream(ASKED) as events:
        assert isinstance(await anext(events), TextDelta)
    await until(lambda: bench.records()[0].get("aborted"))
    assert "finished_at_s" not in bench.records()[0]


@every_vendor
async def test_a_task_that_is_cancelled_leaves_no_connection_in_use(bench: Bench, vendor: Vendor) -> None:
    bench.script({"say": "never", "first_token_ms": 60_000})
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(answer_of(bench.model(vendor), ASKED))
        await until(lambda: len(bench.records()) == 1)
        asking.cancel()
    assert not bench.session.connector._acquired  # type: ignore[union-attr]


@every_vendor
async def test_answers_share_a_connection(bench: Bench, vendor: Vendor) -> None:
    bench.script({"say": "Hello."})
    model = bench.model(vendor)
    for _ in range(3):
        await answer_of(model, ASKED)
    assert bench.session.connector is not None
    assert sum(map(len, bench.session.connector._conns.values())) == 1


@every_vendor
async def test_one_tool_is_called(bench: Bench, vendor: Vendor) -> None:
    bench.script({"say": "One moment.", "tool_calls": [{"name": "book", "arguments": {"name": "Zoë"}}]})
    events = await answer_of(bench.model(vendor), ASKED)
    (call,) = calls_of(events)
    assert (call.name, json.loads(call.arguments)) == ("book", {"name": "Zoë"})
    assert text_of(events) == "One moment."
    assert events[-1].reason == "tool_calls"  # type: ignore[union-attr]


@every_vendor
async def test_parallel_tools_are_called_in_order_each_with_its_own_id(bench: Bench, vendor: Vendor) -> None:
    wanted = [{"name": f"book_{number}", "arguments": {"name": "x" * 50 * number}} for number in range(3)]
    bench.script({"tool_calls": wanted})
    calls = calls_of(await answer_of(bench.model(vendor), ASKED))
    assert [{"name": call.name, "arguments": json.loads(call.arguments)} for call in calls] == wanted
    assert len({call.id for call in calls}) == 3


@every_vendor
async def test_a_tool_without_arguments_gets_an_empty_object(bench: Bench, vendor: Vendor) -> None:
    bench.script({"tool_calls": [{"name": "book"}]})
    assert [call.arguments for call in calls_of(await answer_of(bench.model(vendor), ASKED))] == ["{}"]


SLOPPY = [
    *[
        ("openai", one)
        for one in ("two_ids", "no_index", "same_index", "whole_call", "one_chunk", "object_arguments", "no_id")
    ],
    *[("openai", one) for one in ("empty_finish", "stop_finish", "no_done", "usage_everywhere", "reasoning")],
    *[("openai", one) for one in ("null_delta", "comments", "crlf", "split_utf8", "no_usage", "x_groq")],
    *[("anthropic", one) for one in ("thinking", "pings", "unknown_events", "whole_call", "crlf", "split_utf8")],
    *[("gemini", one) for one in ("thoughts", "no_parts", "no_call_id", "crlf", "split_utf8")],
]


@pytest.mark.parametrize(("name", "variant"), SLOPPY)
async def test_every_documented_variant_reads_the_same(bench: Bench, name: str, variant: str) -> None:
    vendor = next(vendor for vendor in VENDORS if vendor.name == name)
    wanted = [{"name": "book", "arguments": {"n": number}} for number in range(2)]
    bench.script({"say": "Let me see.", "tool_calls": wanted, "variants": [variant]})
    events = await answer_of(bench.model(vendor), ASKED)
    assert text_of(events) == "Let me see."
    assert [{"name": call.name, "arguments": json.loads(call.arguments)} for call in calls_of(events)] == wanted


SCHEMA = {"type": "object", "properties": {"mood": {"enum": ["good", "bad"]}}, "required": ["mood"]}


@every_vendor
async def test_a_question_for_json_is_answered_by_json_as_text(bench: Bench, vendor: Vendor) -> None:
    """Without a script: the twin answers from the schema, so it must have arrived."""
    request = LlmRequest("Extract.", (UserMessage("I am happy."),), schema=SCHEMA)
    events = await answer_of(bench.model(vendor), request)
    assert json.loads(text_of(events)) == {"mood": "good"}
    assert not calls_of(events)
    assert events[-1].reason == "stop"  # type: ignore[union-attr]


@every_vendor
@pytest.mark.parametrize("schema", [{"type": "array", "items": {"type": "string"}}, {"anyOf": [SCHEMA, SCHEMA]}])
async def test_a_schema_that_is_no_plain_object_is_refused_by_none(
    bench: Bench, vendor: Vendor, schema: dict[str, Any]
) -> None:
    bench.script({"say": '["a"]'})
    assert text_of(await answer_of(bench.model(vendor), LlmRequest("", ASKED.messages, schema=schema))) == '["a"]'


@every_vendor
@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"guests": {"type": "array"}, "when": {}}, "required": ["guests", "phone"]},
        {
            "oneOf": [SCHEMA, {"properties": {"name": {"type": "string"}}}],
            "$schema": "http://json-schema.org/draft-07/schema#",
        },
        {"type": "object", "properties": {"pair": {"type": "array", "items": [{"type": "string"}, {"type": "null"}]}}},
        {"$ref": "#/definitions/mood", "definitions": {"mood": SCHEMA}},
        {},
    ],
    ids=["a list of anything", "a choice", "a pair", "a reference", "anything"],
)
async def test_what_developers_write_is_enforced_by_every_vendor_as_an_object(
    bench: Bench, vendor: Vendor, schema: dict[str, Any]
) -> None:
    """The emulators refuse what their vendors refuse; they answer from the schema, so it arrived."""
    text = text_of(await answer_of(bench.model(vendor), LlmRequest("Extract.", ASKED.messages, schema=schema)))
    assert isinstance(json.loads(text), dict)


@every_vendor
async def test_a_wrong_key_is_no_use_trying_again(bench: Bench, vendor: Vendor) -> None:
    error = await failure_of(bench, vendor, key="bad-key")
    assert (error.failure, error.fatal, error.provider) == (Failure.KEY, True, vendor.name)
    assert "bad-key" not in str(error)


@every_vendor
async def test_a_model_that_does_not_exist_is_refused(bench: Bench, vendor: Vendor) -> None:
    bench.script({"fail": {"status": 404}})
    assert (await failure_of(bench, vendor)).failure is Failure.REFUSED


@every_vendor
@pytest.mark.parametrize("shape", [None, *sorted(SHAPES)])
async def test_the_vendors_words_are_told_in_whatever_shape_they_come(
    bench: Bench, vendor: Vendor, shape: str | None
) -> None:
    bench.script({"fail": {"status": 400, "code": "odd", "message": "No soup today.", "shape": shape}})
    error = await failure_of(bench, vendor)
    assert (error.failure, error.fatal) == (Failure.REQUEST, False)
    assert error.detail.endswith("No soup today.")


@every_vendor
@pytest.mark.parametrize("shape", [None, *sorted(SHAPES)])
async def test_a_wrong_key_is_known_by_what_is_said_of_it(bench: Bench, vendor: Vendor, shape: str | None) -> None:
    message = "Incorrect API key provided: te***ey"
    bench.script({"fail": {"status": 400, "code": "odd", "message": message, "shape": shape}})
    error = await failure_of(bench, vendor)
    assert (error.failure, error.fatal) == (Failure.KEY, True)
    assert "***" not in error.detail


@every_vendor
async def test_a_refused_tool_call_is_no_verdict_on_the_model(bench: Bench, vendor: Vendor) -> None:
    bench.script({"fail": {"status": 400, "code": "odd", "message": "Failed to call a function."}})
    error = await failure_of(bench, vendor)
    assert (error.failure, error.fatal) == (Failure.BAD_CALL, False)


QUOTA = {"anthropic": {"status": 429, "code": "enforced_spend_limit_reached"}}


@every_vendor
async def test_a_used_up_quota_is_told_from_a_rate_limit(bench: Bench, vendor: Vendor) -> None:
    bench.script({"fail": QUOTA.get(vendor.twin, {"status": 429, "code": "insufficient_quota"})})
    assert (await failure_of(bench, vendor)).failure is Failure.QUOTA


@every_vendor
async def test_a_rate_limit_says_how_long_it_lasts(bench: Bench, vendor: Vendor) -> None:
    bench.script({"fail": {"status": 429, "retry_after_s": 17}})
    error = await failure_of(bench, vendor)
    assert (error.failure, error.retry_after_s) == (Failure.RATE_LIMITED, 17.0)


@every_vendor
@pytest.mark.parametrize(
    ("kind", "more", "failure"),
    [
        ("refuse", {}, Failure.ERROR),
        ("refuse", {"status": 529}, Failure.ERROR),
        ("rate_limited", {}, Failure.RATE_LIMITED),
        ("error", {"after": 2}, Failure.ERROR),
        ("drop", {"after": 2}, Failure.DROPPED),
        ("drop", {"after": 0}, Failure.DROPPED),
        ("garbage", {"after": 2}, Failure.MALFORMED),
    ],
)
async def test_a_fault_has_its_class(
    bench: Bench, vendor: Vendor, kind: str, more: dict[str, Any], failure: Failure
) -> None:
    bench.script({"say": "one two three four five", "per_token_ms": 5})
    bench.fault(vendor, kind, **more)
    assert (await failure_of(bench, vendor)).failure is failure


@every_vendor
async def test_an_error_after_http_200_is_a_failure_behind_what_was_said(bench: Bench, vendor: Vendor) -> None:
    bench.script({"say": "one two three", "per_token_ms": 2, "fail": {"status": 429, "after_tokens": 2}})
    said: list[LlmEvent] = []

    async def listen() -> None:
        async with bench.model(vendor).stream(ASKED) as events:
            async for event in events:
                said.append(event)

    with pytest.raises(ProviderError) as caught:
        await listen()
    assert text_of(said) == "one two"
    assert caught.value.failure is Failure.RATE_LIMITED


@every_vendor
async def test_a_vendor_that_falls_silent_is_left_by_its_caller(bench: Bench, vendor: Vendor) -> None:
    """Deadlines are the chain's; what the adapter owes is that it can be left, and leaves nothing open."""
    bench.script({"say": "one two three", "per_token_ms": 5})
    bench.fault(vendor, "silent", after=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await answer_of(bench.model(vendor), ASKED)
    assert not bench.session.connector._acquired  # type: ignore[union-attr]


@every_vendor
async def test_an_answer_that_drips_byte_by_byte_comes_whole(bench: Bench, vendor: Vendor) -> None:
    bench.script({"say": "Hi 👋 you", "tool_calls": [{"name": "book", "arguments": {"n": 1}}]})
    bench.fault(vendor, "slow_drip", ms=0)
    events = await answer_of(bench.model(vendor), ASKED)
    assert text_of(events) == "Hi 👋 you"
    assert [call.arguments for call in calls_of(events)] in (['{"n": 1}'], ['{"n":1}'])


@every_vendor
async def test_a_vendor_that_cannot_be_reached_is_dropped_at_once(
    bench: Bench, vendor: Vendor, unused_tcp_port: int
) -> None:
    model = vendor.make(bench.session, f"http://127.0.0.1:{unused_tcp_port}", "test-key")
    with pytest.raises(ProviderError) as caught:
        await answer_of(model, ASKED)
    assert caught.value.failure is Failure.DROPPED


@pytest.mark.parametrize(
    ("name", "finish"), [("anthropic", "refusal"), ("gemini", "SAFETY"), ("gemini", "block:PROHIBITED_CONTENT")]
)
async def test_a_model_that_declines_is_in_good_health(bench: Bench, name: str, finish: str) -> None:
    bench.script({"say": "", "finish": finish})
    error = await failure_of(bench, next(vendor for vendor in VENDORS if vendor.name == name))
    assert (error.failure, error.fatal) == (Failure.DECLINED, False)


@pytest.mark.parametrize("finish", ["MALFORMED_FUNCTION_CALL", "MISSING_THOUGHT_SIGNATURE"])
async def test_a_broken_call_of_gemini_is_malformed(bench: Bench, finish: str) -> None:
    bench.script({"say": "", "finish": finish})
    assert (await failure_of(bench, VENDORS[-1])).failure is Failure.MALFORMED
