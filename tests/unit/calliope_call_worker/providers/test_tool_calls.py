"""Tool calls of sloppy servers come together; one rule a test."""

from typing import Any

import orjson

from calliope_call_worker.providers.llm.base import ToolCall
from calliope_call_worker.providers.llm.toolcalls import ToolCallAccumulator


def collect(*deltas: Any) -> tuple[ToolCall, ...]:
    accumulator = ToolCallAccumulator()
    for delta in deltas:
        accumulator.feed(delta)
    return accumulator.calls()


def fragment(
    index: int | None = None, id_: str | None = None, name: str | None = None, arguments: Any = None
) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    whole = {"index": index, "id": id_, "function": {k: v for k, v in function.items() if v is not None}}
    return {k: v for k, v in whole.items() if v is not None}


def brief(calls: tuple[ToolCall, ...]) -> list[tuple[str, str]]:
    return [(call.name, call.arguments) for call in calls]


def test_fragments_of_one_index_are_one_call() -> None:
    calls = collect([fragment(0, "c1", "book", "")], [fragment(0, arguments='{"a"')], [fragment(0, arguments=":1}")])
    assert calls == (ToolCall("c1", "book", '{"a":1}'),)


def test_calls_may_interleave_by_index() -> None:
    calls = collect(
        [fragment(0, "c1", "book"), fragment(1, "c2", "look")],
        [fragment(1, arguments='{"b":'), fragment(0, arguments='{"a":')],
        [fragment(0, arguments="1}"), fragment(1, arguments="2}")],
    )
    assert brief(calls) == [("book", '{"a":1}'), ("look", '{"b":2}')]


def test_every_entry_of_a_delta_counts() -> None:
    calls = collect([fragment(0, "a", "x", "{}"), fragment(1, "b", "y", "{}"), fragment(2, "c", "z", "{}")])
    assert [call.name for call in calls] == ["x", "y", "z"]


def test_whole_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    calls = collect([fragment(id_="a", name="x", arguments='{"n":1}')], [fragment(id_="b", name="x", arguments="{}")])
    assert brief(calls) == [("x", '{"n":1}'), ("x", "{}")]


def test_parallel_calls_that_all_claim_index_zero_are_told_apart_by_their_ids() -> None:
    calls = collect([fragment(0, "a", "x", "{}"), fragment(0, "b", "y", "{}")])
    assert [call.id for call in calls] == ["a", "b"]


def test_parallel_calls_without_id_are_told_apart_by_their_names() -> None:
    calls = collect([fragment(0, name="x", arguments='{"n":1}')], [fragment(0, name="x", arguments='{"n":2}')])
    assert brief(calls) == [("x", '{"n":1}'), ("x", '{"n":2}')]


def test_a_missing_id_is_made_and_stays_unique() -> None:
    first, second = collect([fragment(0, name="x"), fragment(1, name="y")])
    assert first.id
    assert first.id != second.id


def test_a_late_id_belongs_to_the_call_that_has_none() -> None:
    calls = collect([fragment(0, name="x", arguments="{")], [fragment(0, "c9", arguments="}")])
    assert calls == (ToolCall("c9", "x", "{}"),)


def test_arguments_as_an_object_are_dumped() -> None:
    (call,) = collect([fragment(0, "a", "x", {"n": 1})])
    assert orjson.loads(call.arguments) == {"n": 1}


def test_no_arguments_are_an_empty_object() -> None:
    assert brief(collect([fragment(0, "a", "x")])) == [("x", "{}")]


def test_an_id_and_a_name_repeated_in_every_fragment_are_still_one_call() -> None:
    calls = collect([fragment(0, "a", "x", '{"n"')], [fragment(0, "a", "x", ":1}")])
    assert brief(calls) == [("x", '{"n":1}')]


def test_a_thought_signature_stays_with_its_call() -> None:
    (call,) = collect([fragment(id_="a", name="x") | {"extra_content": {"google": {"thought_signature": "s"}}}])
    assert call.opaque == '{"google":{"thought_signature":"s"}}'


def test_what_is_not_a_call_is_skipped() -> None:
    assert collect([None, "x", {"index": 0, "function": None}], None) == ()
