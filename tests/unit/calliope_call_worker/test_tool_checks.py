"""Arguments of tool calls are checked once and outside the loop; whatever breaks, the model gets an answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from calliope.contracts.base import Message
from calliope.contracts.calls import ProviderFailed, ToolFinished, ToolStarted
from calliope.contracts.document.tools import CustomTool, ToolsSettings
from calliope.errors import TransientError
from calliope_call_worker.analysis.checking import Check, UnusableSchemaError, schema_checker
from calliope_call_worker.errors import JournalFullError
from calliope_call_worker.ports import Journal
from calliope_call_worker.providers.llm.base import ToolCall
from calliope_call_worker.tools.http import HttpTools, ToolAnswer
from calliope_call_worker.tools.toolbox import CHECK_S, NOT_JOURNALLED, UNCHECKED, UNUSABLE, Toolbox, Wish
from support.loop_steps import watched_steps
from support.whole_call import TwinJournal, checked_here

NUMBER = "+15550001234"
PEOPLE = {"type": "object", "required": ["people"], "properties": {"people": {"type": "integer"}}}
LONGEST_STEP_S = 0.002
LISTS = json.dumps({"seats": [[n] for n in range(990)]})
"""As many values as are taken, that can be neither sorted nor hashed: each is compared with each."""
LONG = json.dumps({str(n): -n for n in range(900)})
DEEP: dict[str, Any] = {"$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(12)}}
DEEP["$defs"]["d12"] = {"type": "object", "maxProperties": 0}


class NotedTools(HttpTools):
    """Notes what is called."""

    def __init__(self) -> None:
        self.called: list[dict[str, Any]] = []

    async def run(self, tool: CustomTool, arguments: dict[str, Any], *, idempotency_key: str) -> ToolAnswer:
        self.called.append(arguments)
        return ToolAnswer(True, "booked")


class FullJournal(TwinJournal):
    """Takes `room` facts and no more."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def append(self, fact: Message) -> None:
        if len(self.facts) >= self.room:
            raise JournalFullError("too many facts of a call wait for the bus")
        super().append(fact)


@asynccontextmanager
async def a_toolbox(
    check: Check = checked_here,
    *,
    http: HttpTools | None = None,
    journal: TwinJournal | None = None,
    parameters: dict[str, Any] = PEOPLE,
) -> AsyncIterator[Toolbox]:
    """One tool, and one number to connect callers to. Schemas are as older documents may still have them."""
    tool = CustomTool(name="book", description="Books.", url="https://example.com/book")
    tools = ToolsSettings.model_validate(
        {"end_call": {"enabled": True}, "transfer_call": {"enabled": True, "transfer_numbers": [NUMBER]}}
    )
    tools = tools.model_copy(update={"custom_tools": (tool.model_copy(update={"parameters": parameters}),)})
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:

        def spawn(work: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
            return tasks.create_task(work, name=name)

        yield Toolbox("call_1", tools, http or NotedTools(), cast("Journal", journal or TwinJournal()), spawn, check)


def a_call(arguments: str = '{"people": 2}', name: str = "book") -> ToolCall:
    return ToolCall("t1", name, arguments)


async def told(toolbox: Toolbox, call: ToolCall) -> str:
    """What the model is told of a call."""
    (result,) = await toolbox.run(1, await toolbox.check([call]))
    return result.content


def refusing(error: Exception) -> Check:
    async def check(schema: Any, value: Any) -> list[str]:
        raise error

    return check


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("{}", "at the top: 'people' is a required property"),
        ('{"people": "two"}', "at people: 'two' is not of type 'integer'"),
        ("{", "the arguments are not JSON"),
    ],
)
async def test_a_tool_is_not_called_with_arguments_that_do_not_match(arguments: str, words: str) -> None:
    http = NotedTools()
    async with a_toolbox(http=http) as toolbox:
        assert await told(toolbox, a_call(arguments)) == words
    assert http.called == []


async def test_every_mistake_is_told_at_once() -> None:
    schema = {**PEOPLE, "required": ["people", "day"]}
    async with a_toolbox(parameters=schema) as toolbox:
        said = await told(toolbox, a_call('{"people": "two"}'))
    assert said == "at the top: 'day' is a required property; at people: 'two' is not of type 'integer'"


async def test_a_call_is_checked_once_whatever_is_asked_of_it_then() -> None:
    checks = list[Any]()

    async def counted(schema: Any, value: Any) -> list[str]:
        checks.append(value)
        return []

    http = NotedTools()
    async with a_toolbox(counted, http=http) as toolbox:
        (checked,) = await toolbox.check([a_call()])
        assert toolbox.wish(checked) is None
        assert toolbox.custom(checked)
        await toolbox.run(1, [checked])
    assert checks == http.called == [{"people": 2}]


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        ({"type": "object", "properties": {"seats": {"uniqueItems": True}}}, LISTS),
        ({"type": "object", "properties": {"name": {"pattern": "^(a+)+$"}}}, json.dumps({"name": "a" * 40 + "!"})),
        ({"$ref": "#/$defs/d0", **DEEP}, '{"a": 1}'),
        ({"type": "object", "additionalProperties": {"enum": [*range(2_000)]}}, LONG),
    ],
    ids=["unique", "pattern", "references", "long"],
)  # fmt: skip
async def test_no_schema_holds_the_loop(schema: dict[str, Any], arguments: str) -> None:
    """The best of three: a step may be longer by chance, never shorter."""
    longest = list[float]()
    async with schema_checker() as checker:
        check = checker.check("org_1", deadline_s=CHECK_S)
        async with a_toolbox(check, parameters=schema) as toolbox:
            for _ in range(3):
                with watched_steps() as steps:
                    assert await told(toolbox, a_call(arguments))
                longest.append(steps.longest_s)
    assert min(longest) < LONGEST_STEP_S


@pytest.mark.parametrize(
    ("error", "text", "reason"),
    [
        (UnusableSchemaError("the schema takes over 0.25 s to check"), UNUSABLE, "refused"),
        (TransientError("could not be checked just now"), UNCHECKED, "error"),
    ],
)
async def test_a_tool_whose_arguments_cannot_be_checked_is_not_called_and_the_record_says_why(
    error: Exception, text: str, reason: str
) -> None:
    http, journal = NotedTools(), TwinJournal()
    async with a_toolbox(refusing(error), http=http, journal=journal) as toolbox:
        assert await told(toolbox, a_call()) == text
    (problem,) = journal.facts
    assert isinstance(problem, ProviderFailed)
    assert (problem.provider, problem.reason, str(error) in problem.detail) == ("book", reason, True)
    assert http.called == []


async def test_built_in_tools_need_nobody_to_check_them() -> None:
    async with a_toolbox(refusing(TransientError("could not be checked just now"))) as toolbox:
        end, transfer = await toolbox.check(
            [a_call("{}", "end_call"), a_call(json.dumps({"destination": NUMBER}), "transfer_call")]
        )
        assert toolbox.wish(end) == Wish(end)
        assert toolbox.wish(transfer) == Wish(transfer, NUMBER)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("end_call", '{"reason": "done"}', "end_call takes no argument 'reason'"),
        ("transfer_call", "{}", "'destination' is a required property"),
        ("transfer_call", '{"destination": "+1900"}', f"destination: '+1900' is not one of {NUMBER}"),
        ("transfer_call", '{"destination": ["+1900"]}', f"destination: \"['+1900']\" is not one of {NUMBER}"),
        ("destroy", "{}", "there is no tool named destroy"),
    ],
)
async def test_what_is_no_call_of_a_built_in_tool_is_told_so(name: str, arguments: str, words: str) -> None:
    async with a_toolbox() as toolbox:
        (checked,) = await toolbox.check([a_call(arguments, name)])
        assert toolbox.wish(checked) is None
        assert await told(toolbox, checked.call) == words


async def test_a_tool_is_not_begun_when_its_start_cannot_be_journalled() -> None:
    http, journal = NotedTools(), FullJournal(room=0)
    async with a_toolbox(http=http, journal=journal) as toolbox:
        assert await told(toolbox, a_call()) == NOT_JOURNALLED
        assert toolbox.outcome(1, "t1") is None
    assert http.called == []


async def test_a_hand_over_is_not_begun_when_its_start_cannot_be_journalled() -> None:
    """Nothing is left that was made and never awaited: warnings are errors here."""
    begun = asyncio.Event()

    async def transfer(_: str) -> ToolAnswer:
        begun.set()
        return ToolAnswer(True, "connected")

    async with a_toolbox(journal=FullJournal(room=0)) as toolbox:
        (checked,) = await toolbox.check([a_call(json.dumps({"destination": NUMBER}), "transfer_call")])
        answer = await toolbox.grant(1, Wish(checked, NUMBER), transfer)
    assert (answer.ok, answer.text) == (False, NOT_JOURNALLED)
    assert not begun.is_set()


async def test_what_a_tool_did_is_told_though_its_end_cannot_be_journalled() -> None:
    journal = FullJournal(room=1)
    async with a_toolbox(journal=journal) as toolbox:
        assert await told(toolbox, a_call()) == "booked"
        assert toolbox.outcome(1, "t1") == "booked"
    assert [type(fact) for fact in journal.facts] == [ToolStarted]


@pytest.mark.parametrize("crashes", ["append", "flush"])
async def test_a_tools_task_that_crashes_is_a_failure_in_words(crashes: str) -> None:
    journal = TwinJournal()

    def broken(*_: object) -> None:
        raise LookupError(crashes)

    setattr(journal, crashes, broken)
    async with a_toolbox(journal=journal) as toolbox:
        assert await told(toolbox, a_call()) == "the tool failed"


async def test_a_tool_that_was_called_is_journalled_before_and_behind() -> None:
    journal = TwinJournal()
    async with a_toolbox(journal=journal) as toolbox:
        assert await told(toolbox, a_call()) == "booked"
    assert [type(fact) for fact in journal.facts] == [ToolStarted, ToolFinished]


async def test_the_outcome_of_an_effect_that_outlives_its_turn_is_not_kept() -> None:
    may_end = asyncio.Event()

    async def transfer(_: str) -> ToolAnswer:
        await may_end.wait()
        return ToolAnswer(True, "connected")

    async with a_toolbox() as toolbox:
        (checked,) = await toolbox.check([a_call(json.dumps({"destination": NUMBER}), "transfer_call")])
        late = asyncio.create_task(toolbox.grant(1, Wish(checked, NUMBER), transfer), name="late")
        await toolbox.run(2, await toolbox.check([a_call()]))
        may_end.set()
        assert (await late).text == "connected"
        assert (toolbox.outcome(1, "t1"), toolbox.outcome(2, "t1")) == (None, "booked")
