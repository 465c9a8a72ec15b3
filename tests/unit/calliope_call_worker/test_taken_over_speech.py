"""A worker that dies while the assistant speaks leaves no word twice and none out: the next one says the rest."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calliope.contracts.calls import CallEnded, EndReason, Interrupted, ToolStarted, TurnCommitted, TurnKind
from calliope_call_worker.continuation import continuation
from calliope_call_worker.plan import Continuation
from calliope_call_worker.playback import BegunReply, Playback, begun_reply, heard_until
from calliope_call_worker.providers.errors import Failure
from calliope_call_worker.providers.llm.base import (
    AssistantMessage,
    Finished,
    TextDelta,
    ToolCall,
    ToolResult,
    UserMessage,
)
from calliope_call_worker.providers.llm.seam import INSTRUCTION
from calliope_call_worker.providers.stt.base import Transcript
from support.call_events import journal_of
from support.models import Step
from support.virtual_time import in_virtual_time
from support.waiting import until
from support.whole_call import WholeCall, a_call

pytestmark = pytest.mark.promise("P4")
WELCOME: dict[str, Any] = {"llm_settings": {"welcome_message": "Good day. You are speaking with Ann."}}
ENDING: dict[str, Any] = {"tools_settings": {"end_call": {"enabled": True}}}
HELLO = Transcript("When are you open?", is_final=True, speech_final=True, start_ms=0, end_ms=500)
HOURS = "From nine to five, and on Sundays until noon. "
STALLS: tuple[Step, ...] = (TextDelta(HOURS), TextDelta("But "), None)
"""An answer whose end never comes."""
BYE = "Good bye, and have a nice day. "


def after_words(kept: Playback, words: int) -> float:
    """The moment, in Unix ms, at which so many words had been heard."""
    return next(at for end, at in kept.ahead if len(kept.said[:end].split()) >= words)


async def speaking(call: WholeCall, text: str) -> Playback:
    """What the worker kept last when all of the text was given to the voice."""
    await until(lambda: call.playbacks.kept and call.playbacks.kept[-1].said == text)
    return call.playbacks.kept[-1]


def killed(call: WholeCall, kept: Playback, words: int) -> Continuation:
    """What the next worker knows when the stream ended behind so many words."""
    facts = journal_of(call.journal.facts, began=datetime.now(UTC) - timedelta(seconds=len(call.journal.facts) + 20))
    begun = begun_reply(kept, facts, after_words(kept, words))
    assert begun is not None
    return continuation(facts, datetime.now(UTC).timestamp(), begun=begun)


def spoken(call: WholeCall) -> str:
    """All that the voice was given, but lines that it speaks in advance."""
    return " ".join("".join(call.tts.said).split())


def texts(call: WholeCall) -> list[tuple[str, str]]:
    return [(turn.kind, turn.assistant_text) for turn in call.facts(TurnCommitted)]


async def cut_answer(answers: Sequence[Step], text: str, words: int, **document: Any) -> Continuation:
    """An answer to `HELLO` that was heard up to there."""
    async with a_call(plays_at_once=False, answers=answers, **document) as call:
        await call.hears(HELLO)
        return killed(call, await speaking(call, text), words)


@in_virtual_time
async def test_the_rest_of_a_welcome_is_said_without_a_model() -> None:
    async with a_call(plays_at_once=False, **WELCOME) as first:
        past = killed(first, await speaking(first, "Good day. You are speaking with Ann. "), 3)
    async with a_call(continuation=past, **WELCOME) as second:
        await until(lambda: second.facts(TurnCommitted))
    assert spoken(second).endswith("are speaking with Ann.")
    assert texts(second) == [("welcome", "Good day. You are speaking with Ann.")]
    assert second.facts(TurnCommitted)[0].estimated
    assert not second.model.requests


@in_virtual_time
async def test_an_answer_goes_on_at_the_next_word_and_then_the_model_does() -> None:
    past = await cut_answer(STALLS, HOURS, 4)
    more = (TextDelta("until noon. But not in "), TextDelta("August. "), Finished("stop"))
    async with a_call(continuation=past, answers=more) as second:
        await until(lambda: second.facts(TurnCommitted))
    whole = f"{HOURS}But not in August."
    assert spoken(second).endswith("and on Sundays until noon. But not in August.")
    assert "nine" not in spoken(second)
    [turn] = second.facts(TurnCommitted)
    assert (turn.turn, turn.user_text, turn.assistant_text) == (1, "When are you open?", whole)
    assert [message["text"] for message in turn.messages] == ["When are you open?", whole]
    [request] = second.model.requests
    assert request.messages[-2:] == (AssistantMessage(HOURS.strip()), UserMessage(INSTRUCTION))


@pytest.mark.parametrize("rest", ["", "for tonight."])
@in_virtual_time
async def test_what_tools_did_for_an_answer_belongs_to_that_answer_alone(rest: str) -> None:
    began = ToolStarted(turn=1, tool_call_id="t1", name="book", arguments={}, idempotency_key="k1")
    done = (ToolCall("t1", "book", "{}"), ToolResult("t1", "book", "booked"))
    begun = BegunReply("reply", 1, "Book a table.", "", "It is booked ", rest, complete=True, tools=1)
    past = Continuation((), 1 if not rest else 0, "Book a table." if rest else "", 9.0, begun=begun)
    async with a_call(continuation=replace(past, tools_begun=(began,), tools_done=(done,))) as second:
        await until(lambda: second.facts(TurnCommitted))
        await second.hears(HELLO)
        await until(lambda: len(second.facts(TurnCommitted)) == 2)
    booked, answered = second.facts(TurnCommitted)
    roles = ["user", "assistant", "tool", "assistant"]
    assert [message["role"] for message in booked.messages] == roles
    assert [(message["role"], message["text"]) for message in answered.messages] == [
        ("user", "When are you open?"),
        ("assistant", "We are open."),
    ]
    asked = second.model.requests[-1].messages
    assert [each for each in asked if isinstance(each, ToolResult)] == [done[1]]
    assert asked[-1] == UserMessage("When are you open?")


@in_virtual_time
async def test_what_tools_did_is_known_to_the_next_answer_when_nothing_was_said_of_it() -> None:
    began = ToolStarted(turn=1, tool_call_id="t1", name="book", arguments={}, idempotency_key="k1")
    done = (ToolCall("t1", "book", "{}"), ToolResult("t1", "book", "booked"))
    past = Continuation((), 1, "", 9.0, tools_begun=(began,), tools_done=(done,))
    async with a_call(continuation=past) as second:
        await second.hears(HELLO)
        await until(lambda: second.facts(TurnCommitted))
    assert [each for each in second.model.requests[0].messages if isinstance(each, ToolResult)] == [done[1]]


@in_virtual_time
async def test_who_was_only_asked_to_wait_gets_a_whole_answer_from_the_next_worker() -> None:
    waiting: tuple[Step, ...] = (None,)
    past = await cut_answer(waiting, "One moment, please. ", 2)
    async with a_call(continuation=past, answers=(TextDelta(HOURS), Finished("stop"))) as second:
        await until(lambda: second.facts(TurnCommitted))
    assert texts(second) == [("reply", f"One moment, please. {HOURS.strip()}")]
    assert second.model.requests[0].messages == (UserMessage("When are you open?"),)


@in_virtual_time
async def test_a_goodbye_of_the_model_is_heard_to_its_end_and_ends_the_call() -> None:
    answer = (TextDelta(BYE), ToolCall("t1", "end_call", "{}"), Finished("tool_calls"))
    past = await cut_answer(answer, BYE, 3, **ENDING)
    async with a_call(continuation=past, **ENDING) as second:
        await second.over()
    assert spoken(second).endswith("have a nice day.")
    assert [end.reason for end in second.facts(CallEnded)] == [EndReason.ASSISTANT_ENDED]
    assert texts(second) == [("reply", BYE.strip())]
    assert not second.model.requests


@in_virtual_time
async def test_the_assistants_own_goodbye_follows_the_rest_of_the_last_answer() -> None:
    document: dict[str, Any] = {"tools_settings": {"end_call": {"enabled": True, "custom_message": "Come again."}}}
    answer = (TextDelta(BYE), ToolCall("t1", "end_call", "{}"), Finished("tool_calls"))
    past = await cut_answer(answer, BYE, 3, **document)
    async with a_call(continuation=past, **document) as second:
        await second.over()
    assert texts(second) == [("reply", BYE.strip()), ("goodbye", "Come again.")]


@in_virtual_time
async def test_a_goodbye_line_ends_the_call_for_its_own_reason() -> None:
    idle: dict[str, Any] = {"idle_timeout": 1, "max_idle_messages": 0, "messages": {"idle_goodbye": BYE.strip()}}
    async with a_call(plays_at_once=False, **idle) as first:
        past = killed(first, await speaking(first, BYE), 2)
    async with a_call(continuation=past, **idle) as second:
        await second.over()
    assert [end.reason for end in second.facts(CallEnded)] == [EndReason.IDLE]
    assert texts(second) == [("goodbye", BYE.strip())]


@in_virtual_time
async def test_the_rest_of_an_apology_is_said_and_told_as_one() -> None:
    own: dict[str, Any] = {"messages": {"apology": "Sorry, I could not think of an answer."}}
    past = await cut_answer([Failure.ERROR], "Sorry, I could not think of an answer. ", 3, **own)
    async with a_call(continuation=past, **own) as second:
        await until(lambda: second.facts(TurnCommitted))
    assert texts(second) == [("apology", own["messages"]["apology"])]


@pytest.mark.parametrize("kind", [TurnKind.IDLE, TurnKind.ASK_TO_REPEAT])
@in_virtual_time
async def test_the_rest_of_a_question_of_the_assistants_own_accord_is_said(kind: TurnKind) -> None:
    kept = Playback(turn=0, kind=kind, said="Are you still there? ", heard=7, complete=True, after=1)
    facts = journal_of((), began=datetime.now(UTC) - timedelta(seconds=20))
    past = continuation(facts, datetime.now(UTC).timestamp(), begun=begun_reply(kept, facts, 0))
    async with a_call(continuation=past) as second:
        await until(lambda: second.facts(TurnCommitted))
    assert spoken(second).endswith("still there?")
    assert texts(second)[0] == (kind, "Are you still there?")


@in_virtual_time
async def test_what_the_model_was_resuming_it_goes_on_with() -> None:
    kept = Playback(turn=1, kind=TurnKind.RESUME, said=HOURS, heard=4, complete=False, after=1)
    facts = journal_of((), began=datetime.now(UTC) - timedelta(seconds=20))
    past = continuation(facts, datetime.now(UTC).timestamp(), begun=begun_reply(kept, facts, 0))
    async with a_call(continuation=past, answers=(TextDelta("But not in August. "), Finished("stop"))) as second:
        await until(lambda: second.facts(TurnCommitted))
    assert texts(second)[0] == ("resume", f"{HOURS}But not in August.")


@in_virtual_time
async def test_words_of_the_caller_before_the_rest_is_heard_take_nothing_back() -> None:
    past = await cut_answer(STALLS, HOURS, 4)
    async with a_call(continuation=past, plays_at_once=False, answers=(None,)) as second:
        await second.hears(Transcript("And on Sundays?", is_final=False, speech_final=False, start_ms=600, end_ms=900))
        await second.hears(Transcript("And on Sundays?", is_final=True, speech_final=True, start_ms=600, end_ms=900))
        await until(lambda: second.facts(TurnCommitted))
    [turn, *_] = second.facts(TurnCommitted)
    assert (turn.turn, turn.user_text) == (1, "When are you open?")
    assert turn.assistant_text.startswith("From nine to five,")


@in_virtual_time
async def test_an_answer_to_words_that_seem_unfinished_goes_on_at_once() -> None:
    said = Transcript("I wanted to ask about the", is_final=True, speech_final=True, start_ms=0, end_ms=500)
    async with a_call(plays_at_once=False, answers=STALLS) as first:
        await first.hears(said)
        past = killed(first, await speaking(first, HOURS), 4)
    async with a_call(continuation=past, plays_at_once=False, answers=STALLS) as second:
        began = second.call._loop.time()
        await until(lambda: "and on Sundays" in spoken(second))
        assert second.call._loop.time() - began < 0.5
    assert not second.facts(Interrupted)


@in_virtual_time
async def test_a_second_worker_that_dies_before_it_speaks_leaves_what_it_knew() -> None:
    past = await cut_answer(STALLS, HOURS, 4)
    async with a_call(continuation=past, answered=False) as second:
        await until(lambda: second.playbacks.kept)
    [kept] = second.playbacks.kept
    assert kept.said[: heard_until(kept, 9e15)] == "From nine to five,"
    assert (kept.said, kept.turn, kept.estimated) == (HOURS, 1, True)
