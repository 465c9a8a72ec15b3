"""A tool's endpoint that fails is a problem of the call; what the model is told is another matter."""

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any, cast

import pytest
from aiohttp import ClientSession, web

from calliope import egress
from calliope.contracts.calls import ProviderFailed, Stage, ToolFinished
from calliope.contracts.document.tools import CustomTool, ToolsSettings
from calliope.settings import EgressSettings
from calliope_call_worker.ports import Journal
from calliope_call_worker.providers.llm.base import ToolCall
from calliope_call_worker.tools.http import HttpTools, ToolAnswer
from calliope_call_worker.tools.toolbox import NOT_JOURNALLED, Toolbox
from support.vendor_fakes import serving
from support.whole_call import TwinJournal, checked_here


class BrokenTools(HttpTools):
    """A bug of ours."""

    async def run(self, tool: CustomTool, arguments: dict[str, Any], *, idempotency_key: str) -> ToolAnswer:
        raise LookupError("t0ps3cret")


async def used(http: HttpTools, url: str, **wishes: Any) -> tuple[list[ProviderFailed], ToolFinished, str]:
    """The problems that a call has after one use of a tool, what is written of the use, what the model is told."""
    tool = {"name": "book", "description": "Books.", "url": url, **wishes}
    journal = TwinJournal()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:

        def spawn(work: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
            return tasks.create_task(work, name=name)

        tools = ToolsSettings.model_validate({"custom_tools": [tool]})
        toolbox = Toolbox("call_1", tools, http, cast("Journal", journal), spawn, checked_here)
        (result,) = await toolbox.run(3, await toolbox.check([ToolCall("t1", "book", "{}")]))
    problems = [fact for fact in journal.facts if isinstance(fact, ProviderFailed)]
    (finished,) = (fact for fact in journal.facts if isinstance(fact, ToolFinished))
    return problems, finished, result.content


@pytest.mark.parametrize(
    ("status", "body", "reason", "told"),
    [
        (500, "out of order", "error", "the tool answered with status 500: out of order"),
        (503, "", "error", "the tool answered with status 503: "),
        (401, "who?", "key", "the tool answered with status 401: who?"),
        (404, "", "refused", "the tool answered with status 404: "),
        (429, "", "rate_limited", "the tool answered with status 429: "),
        (302, "", "error", "the tool answered with status 302: "),
    ],
)
async def test_a_tool_that_refuses_is_a_problem_with_its_status(status: int, body: str, reason: str, told: str) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body)

    async with serving("/tool", answer) as (session, url):
        (problem,), finished, text = await used(HttpTools(session), f"{url}/tool")
    assert (problem.stage, problem.provider, problem.reason) == (Stage.TOOL, "book", reason)
    assert problem.detail.startswith(f"answered with status {status}")
    assert (problem.turn, problem.action, finished.ok, text) == (3, "the model was told", False, told)
    assert body not in problem.detail or not body


async def test_a_tool_that_is_slow_is_a_problem() -> None:
    never = asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    async with serving("/tool", answer) as (session, url):
        (problem,), _, text = await used(HttpTools(session), f"{url}/tool", timeout_s=0.05)
    assert (problem.reason, problem.detail) == ("deadline", "no answer within 0.05 s")
    assert text == "the tool did not answer within 0.05 seconds"


async def test_a_tool_where_nobody_listens_is_a_problem_and_its_url_stays_untold() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with ClientSession() as session:
            url = f"http://127.0.0.1:{unused.getsockname()[1]}/t0ps3cret"
            (problem,), _, text = await used(HttpTools(session), url)
    assert problem.reason == "dropped"
    assert "nothing listens at its address" in problem.detail
    assert "t0ps3cret" not in problem.detail
    assert text == "the tool failed: it could not be reached"


async def test_a_tool_that_hangs_up_in_mid_answer_is_a_problem() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving("/tool", answer) as (session, url):
        (problem,), _, _ = await used(HttpTools(session), f"{url}/tool")
    assert (problem.reason, problem.detail) == ("dropped", "the connection broke off before the answer was there")


async def test_a_tool_in_a_private_network_is_a_problem() -> None:
    async with egress.session(EgressSettings(), total_s=5, limit=0) as guarded:
        (problem,), _, text = await used(HttpTools(guarded), "http://127.0.0.1:1/tool")
    assert (problem.reason, text) == ("refused", "the tool failed: its address is not allowed")


@pytest.mark.parametrize(
    ("content_type", "body", "malformed"),
    [
        ("application/json", "<html>Sign in</html>", True),
        ("application/problem+json", "", False),
        ("application/json", '{"seats": 4}', False),
        ("application/json", '"' + "x" * 9_000, False),
        ("text/plain", "open at nine", False),
    ],
)
async def test_a_success_that_is_not_the_json_it_says_is_a_problem_and_told_as_it_is(
    content_type: str, body: str, malformed: bool
) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body, content_type=content_type)

    async with serving("/tool", answer) as (session, url):
        problems, finished, text = await used(HttpTools(session), f"{url}/tool")
    assert [problem.reason for problem in problems] == ["malformed"] * malformed
    assert finished.ok
    assert text.partition("\n")[0] == (body[: 8 * 1024] or "done")


async def test_a_bug_of_ours_is_a_problem_without_its_words() -> None:
    async with ClientSession() as session:
        (problem,), finished, text = await used(BrokenTools(session), "https://example.com/tool")
    assert (problem.reason, finished.ok, text) == ("error", False, "the tool failed")
    assert "t0ps3cret" not in problem.detail


@pytest.mark.promise("P4")
async def test_a_tool_of_a_call_that_another_worker_has_is_not_called() -> None:
    class Untouched(HttpTools):
        async def run(self, tool: CustomTool, arguments: dict[str, Any], *, idempotency_key: str) -> ToolAnswer:
            raise AssertionError("called")

    journal = TwinJournal()
    journal.taken_over = True
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks, ClientSession() as session:

        def spawn(work: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
            return tasks.create_task(work, name=name)

        tools = ToolsSettings.model_validate(
            {"custom_tools": [{"name": "book", "description": "Books.", "url": "http://a.example"}]}
        )
        toolbox = Toolbox("call_1", tools, Untouched(session), cast("Journal", journal), spawn, checked_here)
        (result,) = await toolbox.run(1, await toolbox.check([ToolCall("t1", "book", "{}")]))
    assert result.content == NOT_JOURNALLED
