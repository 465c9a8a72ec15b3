"""What the model is told of a tool's answer: unpacked, as text, and that it is a part when it is one."""

import asyncio
import gzip
import re
import tracemalloc
import zlib
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from aiohttp import web

from calliope import egress
from calliope.contracts.document.tools import CustomTool
from calliope.settings import EgressSettings
from calliope_call_worker.tools.http import MAX_RESULT_BYTES, HttpTools, ToolAnswer
from support.vendor_fakes import serving

LOOSE = EgressSettings.model_validate({"allow": ["127.0.0.0/8"], "allow_http": True})
BOOKED = '{"answer": "a table for four, outside"}'


async def answered(
    body: bytes, headers: Mapping[str, str], *, status: int = 200, sent: Mapping[str, str] | None = None
) -> tuple[ToolAnswer, Mapping[str, str]]:
    """What comes of one use through the guarded client, and the headers that the endpoint saw."""
    seen: list[Mapping[str, str]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers)
        return web.Response(status=status, body=body, headers=headers)

    async with serving("/tool", answer) as (_, url), egress.session(LOOSE, total_s=5) as guarded:
        tool = CustomTool.model_validate(
            {"name": "book", "description": "Books.", "url": f"{url}/tool", "headers": sent}
        )
        async with asyncio.timeout(5):
            return await HttpTools(guarded).run(tool, {}, idempotency_key="k"), seen[0]


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", lambda data: zlib.compress(data, wbits=-15))],
)
async def test_a_packed_answer_is_told_unpacked(encoding: str, pack: Any) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    answer, seen = await answered(pack(BOOKED.encode()), headers)
    assert (answer.ok, answer.text, answer.problem) == (True, BOOKED, None)
    assert seen["Accept-Encoding"] == "gzip, deflate"


async def test_a_packed_refusal_is_told_unpacked() -> None:
    answer, _ = await answered(gzip.compress(b"fully booked", mtime=0), {"Content-Encoding": "gzip"}, status=409)
    assert answer.text == "the tool answered with status 409: fully booked"


async def test_an_answer_in_another_charset_is_told_as_it_was_meant() -> None:
    answer, _ = await answered("geöffnet".encode("latin-1"), {"Content-Type": "text/plain; charset=ISO-8859-1"})
    assert answer.text == "geöffnet"


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        (b"x", {"Content-Encoding": "br"}, "is packed as br, which was not asked for and cannot be unpacked"),
        (b"noise", {"Content-Encoding": "gzip"}, "says that it is packed as gzip, and is not, or is damaged"),
        (
            gzip.compress(BOOKED.encode(), mtime=0)[:-9],
            {"Content-Encoding": "gzip"},
            "is packed and breaks off in the middle",
        ),
        (b"%PDF-1.7\0\xe2", {"Content-Type": "application/pdf"}, "is no text: application/pdf, 10 bytes"),
    ],
)
async def test_an_answer_that_cannot_be_read_is_told_in_words_and_is_a_problem(
    body: bytes, headers: dict[str, str], words: str
) -> None:
    answer, _ = await answered(body, headers)
    assert answer.ok
    assert answer.text == f"the tool answered with status 200; the answer {words}"
    assert answer.problem is not None
    assert answer.problem.failure == "malformed"


async def test_an_answer_that_unpacks_to_very_much_costs_no_more_than_the_limit() -> None:
    bomb = gzip.compress(b"a" * 100_000_000, mtime=0)
    tracemalloc.start()
    answer, _ = await answered(bomb, {"Content-Encoding": "gzip"})
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(answer.text) < MAX_RESULT_BYTES + 300
    assert "more than" in answer.text
    assert most < 20_000_000


def missing_of(text: str) -> int:
    found = re.search(r"(\d+) bytes after it are missing", text)
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("packed", [False, True])
async def test_a_long_list_is_cut_between_two_records_and_the_model_is_told_how_much_is_missing(packed: bool) -> None:
    records = [{"room": f"Zimmer {number}, süd", "beds": [1, 2]} for number in range(400)]
    whole = orjson.dumps({"rooms": records, "more": False})
    headers = {"Content-Type": "application/json"} | ({"Content-Encoding": "gzip"} if packed else {})
    answer, _ = await answered(gzip.compress(whole, mtime=0) if packed else whole, headers)
    part, _, note = answer.text.rpartition("\n")
    assert len(part.encode()) <= MAX_RESULT_BYTES
    assert orjson.loads(f"{part}]}}")["rooms"] == records[: len(orjson.loads(f"{part}]}}")["rooms"])]
    assert len(part.encode()) + missing_of(note) == len(whole)
    assert answer.problem is None


async def test_a_long_text_is_cut_between_two_words() -> None:
    words = "größer als neun " * 3_000
    answer, _ = await answered(words.encode(), {"Content-Type": "text/plain; charset=utf-8"})
    part, _, note = answer.text.rpartition("\n")
    assert part.split()[-1] in {"größer", "als", "neun"}
    assert len(part.encode()) + missing_of(note) == len(words.encode())


async def test_an_answer_at_the_limit_is_told_as_it_is() -> None:
    answer, _ = await answered(b"x" * MAX_RESULT_BYTES, {"Content-Type": "text/plain"})
    assert answer.text == "x" * MAX_RESULT_BYTES


async def test_headers_of_a_tool_are_sent_as_they_were_written() -> None:
    wished = {"accept": "application/vnd.hotel.v2+json", "User-Agent": "hotel/2", "x_api_key": "k"}
    _, seen = await answered(b"ok", {}, sent=wished)
    assert seen.getall("Accept") == ["application/vnd.hotel.v2+json"]  # type: ignore[attr-defined]
    assert (seen["User-Agent"], seen["x_api_key"]) == ("hotel/2", "k")
