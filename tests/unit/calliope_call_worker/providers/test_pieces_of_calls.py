"""Pieces of a stream are put together by the right mark, and a bad character costs no more than itself."""

from typing import Any

import pytest

from calliope_call_worker.providers.llm.anthropic_answer import MessagesAnswer
from calliope_call_worker.providers.llm.lenient import Characters
from calliope_call_worker.providers.llm.sse import SseReader
from calliope_call_worker.providers.llm.toolcalls import ToolCallAccumulator


def piece(
    index: int | None = None, id_: str | None = None, name: str | None = None, arguments: str = ""
) -> dict[str, Any]:
    found = {"index": index, "id": id_, "function": {"name": name, "arguments": arguments}}
    return {key: value for key, value in found.items() if value is not None}


def put_together(*pieces: dict[str, Any]) -> list[tuple[str, str]]:
    accumulator = ToolCallAccumulator()
    for one in pieces:
        accumulator.feed([one])
    return [(call.name, call.arguments) for call in accumulator.calls()]


@pytest.mark.parametrize(
    "pieces",
    [
        (piece(0, "a", "pay", ""), piece(0, "b", None, '{"sum": '), piece(0, "b", None, "3}")),
        (piece(0, "a", "pay", ""), piece(0, "b", None, '{"sum": '), piece(0, "c", None, "3}")),
        (piece(None, "a", "pay", ""), piece(None, "b", None, '{"sum": '), piece(None, "c", None, "3}")),
        (piece(0, "a", "pay", '{"sum": '), piece(0, "b", "pay", "3}")),
        (piece(0, "a", None, ""), piece(0, "b", "pay", '{"sum": '), piece(0, None, None, "3}")),
        (piece(0, "a", "pay", '{"sum": '), piece(1, "a", None, "3}")),
        (piece(0, "a", "pay", '{"sum": '), piece(1, None, None, "3}")),
    ],
)
def test_one_call_is_one_call(pieces: tuple[dict[str, Any], ...]) -> None:
    assert put_together(*pieces) == [("pay", '{"sum": 3}')]


@pytest.mark.parametrize(
    "pieces",
    [
        (piece(0, "a", "pay", "{}"), piece(0, "b", "pay", '{"sum": 3}')),
        (piece(0, "a", "pay", ""), piece(0, "b", "pay", '{"sum": 3}')),
        (piece(0, "x", "pay", "{}"), piece(1, "x", "pay", '{"sum": 3}')),
        (piece(0, None, "pay", "{}"), piece(0, None, "pay", '{"sum": 3}')),
        (piece(0, "a", "pay"), piece(1, "b", "pay"), piece(0, "c", None, "{}"), piece(1, "d", None, '{"sum": 3}')),
    ],
)
def test_two_calls_stay_two(pieces: tuple[dict[str, Any], ...]) -> None:
    assert put_together(*pieces) == [("pay", "{}"), ("pay", '{"sum": 3}')]


def test_blocks_that_all_have_one_index_stay_apart() -> None:
    answer = MessagesAnswer("anthropic")
    for name, arguments in (("book", '{"n":1}'), ("pay", '{"n":2}')):
        block = {"type": "tool_use", "id": name, "name": name, "input": {}}
        answer.read({"type": "content_block_start", "index": 0, "content_block": block})
        delta = {"type": "input_json_delta", "partial_json": arguments}
        answer.read({"type": "content_block_delta", "index": 0, "delta": delta})
    calls = answer.ended()[:-1]
    assert [(call.name, call.arguments) for call in calls] == [("book", '{"n":1}'), ("pay", '{"n":2}')]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (rb'data: {"t":"\ud83d"}', "\ud83d"),
        (b'data: {"t":"a\xffb"}', "a\ufffdb"),
        (b'data: {"t":"a\tb"}', "a\tb"),
    ],
)
def test_a_bad_character_costs_no_more_than_itself(line: bytes, text: str) -> None:
    reader = SseReader()
    assert reader.feed(line + b'\n\ndata: {"t":2}\n\n') == [{"t": text}, {"t": 2}]


def test_halves_are_joined_and_a_lone_one_is_replaced() -> None:
    characters = Characters()
    pieces = ["Great ", "\ud83d", "\ude00", " see \ud83d", "you", "\ude00."]
    assert "".join(map(characters.feed, pieces)) == "Great 😀 see \ufffdyou\ufffd."
