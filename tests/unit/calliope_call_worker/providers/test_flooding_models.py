"""A model that floods: its answer is taken slowly, cut at a bound, and no step of the loop is long because of it."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from calliope_call_worker.providers.errors import EndlessAnswerError, ProviderError
from calliope_call_worker.providers.llm.base import Finished, LlmEvent, LlmRequest, TextDelta, UserMessage
from calliope_call_worker.providers.llm.breaker import Breaker
from calliope_call_worker.providers.llm.chain import MAX_CHARACTERS_PER_TOKEN, Link, LlmChain
from calliope_call_worker.providers.llm.pace import BURST_S, BYTES_PER_S, LINES_PER_S, MAX_BYTES, Pace
from calliope_call_worker.providers.settings import ThinkingSettings
from support.loop_steps import watched_steps
from support.model_servers import HEAD, a_model, chunk, words
from support.models import ScriptedModel

REQUEST = LlmRequest("Be brief.", (UserMessage("Are you there?"),))
LONGEST_STEP_S = 0.002


@dataclass(slots=True)
class Flood:
    """`sent` bytes of body, until the client hung up."""

    url: str = ""
    sent: int = 0


@contextmanager
def flooding(piece: bytes) -> Iterator[Flood]:
    """A server in a thread of its own that writes `piece` as fast as it is taken."""
    flood, framed = Flood(), chunk(piece)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        flood.url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        listening.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            connections = list[threading.Thread]()
            while not over.is_set():
                try:
                    connection = listening.accept()[0]
                except TimeoutError:
                    continue
                connections.append(threading.Thread(target=answer, args=(connection,), name="flood"))
                connections[-1].start()
            for thread in connections:
                thread.join()

        def answer(connection: socket.socket) -> None:
            with connection:
                connection.settimeout(0.1)
                try:
                    if connection.recv(65_536).startswith(b"HEAD"):
                        return
                    connection.sendall(HEAD)
                except OSError:
                    return
                while not over.is_set():
                    try:
                        connection.sendall(framed)
                        flood.sent += len(piece)
                    except TimeoutError:
                        continue
                    except OSError:
                        return

        thread = threading.Thread(target=serve, name="floods")
        thread.start()
        try:
            yield flood
        finally:
            over.set()
            thread.join()


async def taken(url: str, events: int) -> None:
    """Take so many events of an answer."""
    async with a_model(url) as model, model.stream(REQUEST) as stream:
        for _ in range(events):
            await anext(stream)


def test_whoever_stays_within_the_rate_and_its_burst_does_not_wait() -> None:
    pace = Pace()
    assert pace.wait_s(int(LINES_PER_S * BURST_S), 1, now=10.0) == 0
    assert [pace.wait_s(LINES_PER_S // 10, 1, now=10.0 + tenth / 10) for tenth in range(1, 50)] == [
        pytest.approx(0, abs=1e-6)
    ] * 49


@pytest.mark.parametrize(("lines", "size"), [(LINES_PER_S, 0), (0, BYTES_PER_S)])
def test_whoever_sends_more_waits_until_the_rate_allows_it(lines: int, size: int) -> None:
    pace, now = Pace(), 10.0
    for _ in range(20):
        now += pace.wait_s(lines, size, now)
    assert now == pytest.approx(10.0 + 20 - BURST_S)


@pytest.mark.parametrize(
    ("piece", "events"),
    [
        (words("and on ") * 500, 700),
        (b": nothing\n" * 500 + words("on "), 2),
        (b"\n" * 1_000 + words("on "), 2),
        (b'data: {"choices":\ndata: [], "x": 1}\n' * 500 + words("on "), 1),
    ],
    ids=["words", "comments", "blank", "split"],
)
async def test_three_models_that_flood_hold_the_loop_for_no_step_longer_than_others_may(
    piece: bytes, events: int
) -> None:
    longest = list[float]()
    with flooding(piece) as flood:
        for _ in range(2):
            async with asyncio.timeout(20):
                with watched_steps() as steps:
                    async with asyncio.TaskGroup() as tasks:
                        for _ in range(3):
                            tasks.create_task(taken(flood.url, events))
            longest.append(steps.longest_s)
    assert min(longest) < LONGEST_STEP_S


async def test_what_is_not_taken_yet_waits_at_the_server() -> None:
    """The buffers of both sides fill, and then nothing more is sent."""
    piece = words("and on ") * 500
    with flooding(piece) as flood:
        async with asyncio.timeout(20), a_model(flood.url) as model, model.stream(REQUEST) as stream:
            assert await anext(stream)
            before = -1
            while flood.sent != before:
                before = flood.sent
                await asyncio.to_thread(threading.Event().wait, 0.2)
    assert flood.sent < 2 * MAX_BYTES


async def test_an_answer_of_ten_megabytes_is_cut_with_the_reason_in_words() -> None:
    piece = b": " + b"x" * 8_000 + b"\n"
    with flooding(piece) as flood, pytest.MonkeyPatch.context() as patch:
        patch.setattr("calliope_call_worker.providers.llm.pace.BYTES_PER_S", 1e9)
        async with asyncio.timeout(20), a_model(flood.url) as model, model.stream(REQUEST) as stream:
            with pytest.raises(EndlessAnswerError, match=r"the answer went on beyond 4 MB and was cut"):
                await anext(stream)


async def heard(events: Sequence[LlmEvent], max_tokens: int) -> tuple[str, LlmEvent, list[tuple[ProviderError, str]]]:
    """What a chain passes on of a model's answer, its last event, and what it reports."""
    reported = list[tuple[ProviderError, str]]()
    links = [Link(ScriptedModel("custom", [*events]), Breaker(3, 60.0))]
    chain = LlmChain(links, ThinkingSettings(), lambda error, action: reported.append((error, action)))
    request = LlmRequest("Be brief.", (UserMessage("Are you there?"),), max_tokens=max_tokens)
    async with chain.stream(request, lambda: "") as stream:
        seen = [event async for event in stream]
    return "".join(event.text for event in seen if isinstance(event, TextDelta)), seen[-1], reported


async def test_an_answer_far_beyond_max_tokens_is_cut_and_the_record_says_so() -> None:
    text, last, reported = await heard([TextDelta("On and on. ")] * 1_000 + [Finished("stop")], max_tokens=50)
    assert len(text) <= 50 * MAX_CHARACTERS_PER_TOKEN
    assert last == Finished("length")
    ((error, action),) = reported
    assert (error.reason, action) == ("malformed", "cuts the answer there")
    assert error.detail == "the answer went on beyond 500 characters, with max_tokens at 50"


async def test_a_long_answer_within_max_tokens_is_whole() -> None:
    text, last, reported = await heard([TextDelta("On and on. ")] * 40 + [Finished("stop")], max_tokens=100)
    assert (text, last, reported) == ("On and on. " * 40, Finished("stop"), [])
