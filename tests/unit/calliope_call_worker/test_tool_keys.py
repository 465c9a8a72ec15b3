"""Idempotency keys of tools: two effects never share one, and one effect that is asked for again keeps its own."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, cast

import pytest

from calliope.contracts.calls import ToolStarted, TurnCommitted, TurnKind
from calliope.contracts.document.tools import CustomTool, ToolsSettings
from calliope_call_worker.ports import Journal
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm.base import Finished, TextDelta, ToolCall
from calliope_call_worker.providers.stt.base import Transcript
from calliope_call_worker.reply import Reply
from calliope_call_worker.tools.http import HttpTools, ToolAnswer
from calliope_call_worker.tools.toolbox import Toolbox
from support.waiting import until
from support.whole_call import TwinJournal, a_call, checked_here

NUMBER = "+15550001234"
TRANSFER = {"transfer_call": {"enabled": True, "transfer_numbers": [NUMBER]}}
ASKED = ToolCall("call_0", "transfer_call", json.dumps({"destination": NUMBER}))
"""As of a vendor that numbers the calls of each answer from 0."""


class Effects(HttpTools):
    """Notes with which key each tool was called."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def run(self, tool: CustomTool, arguments: dict[str, Any], *, idempotency_key: str) -> ToolAnswer:
        self.keys.append(idempotency_key)
        return ToolAnswer(True, "done")


class Owner:
    """A worker that answers turn 3 with tools, maybe where another one had begun to."""

    def __init__(self, begun: Sequence[ToolStarted] = (), done: Sequence[str] = ()) -> None:
        tools = [
            CustomTool(name=name, description="Does it.", url="https://example.com/do") for name in ("book", "pay")
        ]
        settings = ToolsSettings().model_copy(update={"custom_tools": tuple(tools)})
        self.effects, self.journal = Effects(), TwinJournal()
        self.toolbox = Toolbox(
            "call_1",
            settings,
            self.effects,
            cast("Journal", self.journal),
            lambda work, name: asyncio.create_task(work, name=name),
            checked_here,
            begun=begun,
            unknown=[one for one in begun if one.tool_call_id not in done],
        )

    async def does(self, *calls: ToolCall, kind: TurnKind = TurnKind.REPLY) -> list[str]:
        """The keys of the calls of one reply to turn 3, in their order."""
        reply, before = Reply("r", kind, 3, ""), len(self.effects.keys)
        for call in calls:
            reply.rounds[-1].calls.append(reply.with_own_id(call, self.toolbox.begun))
        await self.toolbox.run(3, await self.toolbox.check(reply.rounds[-1].calls))
        return self.effects.keys[before:]

    @property
    def begun(self) -> list[ToolStarted]:
        return [fact for fact in self.journal.facts if isinstance(fact, ToolStarted)]


def book(people: int, call_id: str = "call_0", name: str = "book") -> ToolCall:
    return ToolCall(call_id, name, json.dumps({"people": people}))


@pytest.mark.promise("P3")
@pytest.mark.parametrize("call_id", ["call_0", ""], ids=["numbered in each answer", "without an id"])
async def test_a_turn_that_goes_on_after_a_false_interruption_has_keys_of_its_own(call_id: str) -> None:
    owner = Owner()
    keys = await owner.does(book(2, call_id), book(4, call_id))
    keys += await owner.does(book(2, call_id), kind=TurnKind.RESUME)
    assert len(set(keys)) == 3
    assert len({fact.tool_call_id for fact in owner.begun}) == 3


@pytest.mark.promise("P3")
async def test_what_the_next_worker_asks_for_again_keeps_its_key_whichever_it_asks_for_first() -> None:
    first = Owner()
    two, four = await first.does(book(2), book(4))
    assert await Owner(first.begun).does(book(4, "x"), book(2, "y")) == [four, two]


async def test_arguments_in_other_words_are_the_same_call_when_there_was_one() -> None:
    first = Owner()
    (key,) = await first.does(book(2))
    assert await Owner(first.begun).does(book(3, "x")) == [key]


@pytest.mark.promise("P3")
async def test_another_tool_never_takes_the_key_of_one_that_has_begun_though_it_has_its_id() -> None:
    first = Owner()
    (key,) = await first.does(book(2))
    others = await Owner(first.begun).does(book(2, name="pay"), book(2))
    assert others[1] == key
    assert len(set(others)) == 2


async def test_a_tool_that_is_done_and_called_once_more_is_called_once_more() -> None:
    first = Owner()
    (key,) = await first.does(book(2))
    (again,) = await Owner(first.begun, done=["call_0"]).does(book(2))
    assert again != key


@pytest.mark.promise("P3")
async def test_a_call_that_goes_on_after_a_false_interruption_begins_its_tools_by_keys_of_their_own() -> None:
    document: dict[str, Any] = {"tools_settings": TRANSFER, "interruption_settings": {"min_speaking_time": 0}}
    async with a_call(answers=(ASKED, Finished("tool_calls")), **document) as call:

        def refuse() -> None:
            call.media.plays_at_once = False  # what is said next can be interrupted
            raise ProviderError("twilio", Failure.REFUSED, "no")

        call.carrier.on_transfer = refuse
        call.model.then((TextDelta("Nobody is there. "), TextDelta("Shall I "), None), (ASKED, Finished("tool")))
        call.model.then((TextDelta("Nobody is there yet. "), Finished("stop")))
        await call.hears(Transcript("a person please", True, True, 0, 500))
        await until(lambda: "Nobody is there" in "".join(call.tts.said))
        await call.hears(Transcript("or not that", False, False, 60_000, 60_500))
        await until(lambda: [turn for turn in call.facts(TurnCommitted) if turn.user_text])
        call.media.plays_on()
        await call.hears(Transcript("", True, True, 60_000, 60_600))
        await until(lambda: len(call.facts(ToolStarted)) == 2)
        first, second = call.facts(ToolStarted)
    assert first.turn == second.turn
    assert first.tool_call_id != second.tool_call_id
    assert first.idempotency_key != second.idempotency_key
