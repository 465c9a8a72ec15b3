"""How calls close and are let go: the end is fixed first, nothing is heard of lost media, turns are not torn."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from calliope.contracts.base import Message
from calliope.contracts.calls import CallAnswered, CallEnded, EndReason, HandedOver, TurnCommitted, TurnKind
from calliope_call_worker import call as call_module
from calliope_call_worker.closing import Closing, End
from calliope_call_worker.dialogue import Dialogue
from calliope_call_worker.media import CarrierGoneError
from calliope_call_worker.plan import Continuation
from calliope_call_worker.ports import Journal
from calliope_call_worker.providers.stt.base import Transcript
from calliope_call_worker.tools.toolbox import Toolbox
from support.waiting import until
from support.whole_call import BEGAN, a_call

WELCOME: dict[str, Any] = {"llm_settings": {"welcome_message": "Hello there, this is Ann."}}


class Everything:
    """The parts of a call that closes; notes what is done with them."""

    turns = 3
    goodbye_heard = True

    def __init__(self) -> None:
        self.done: list[str] = []
        self.facts: list[Message] = []
        self.tool = asyncio.Event()

    def stop(self) -> None:
        self.done.append("stop")

    def close(self) -> None:
        self.done.append("last turn")

    async def finish(self, timeout_s: float) -> None:
        await self.tool.wait()
        self.done.append("tools")

    def append(self, fact: Message) -> None:
        self.facts.append(fact)
        self.done.append("ended")

    async def flush(self, timeout_s: float) -> bool:
        return True

    async def hang_up(self) -> None:
        self.done.append("hang-up")


async def test_the_line_is_put_down_before_tools_end_and_the_end_stays_what_it_was() -> None:
    parts = Everything()
    async with asyncio.TaskGroup() as tasks:
        closing = Closing(
            "call_1",
            cast("Dialogue", parts),
            cast("Toolbox", parts),
            cast("Journal", parts),
            parts.hang_up,
            lambda work, name: tasks.create_task(work, name=name),
        )
        end = End(EndReason.ASSISTANT_ENDED, 300.0, at=BEGAN)
        closed = tasks.create_task(closing.close(end, line_is_up=lambda: True, tell_problem=lambda: ""))
        await until(lambda: "hang-up" in parts.done)
        assert not closed.done()
        parts.tool.set()
    assert closed.result()
    assert parts.done == ["stop", "hang-up", "tools", "last turn", "ended"]
    assert parts.facts == [CallEnded(reason=EndReason.ASSISTANT_ENDED, duration_ms=300.0, turns=3, ended_at=BEGAN)]


async def test_a_call_ended_when_its_end_was_fixed_however_long_closing_takes() -> None:
    async with a_call(**WELCOME) as call:
        await call.conversing()
        stopped, may_end = asyncio.Event(), asyncio.Event()

        async def finish(timeout_s: float) -> None:
            stopped.set()
            await may_end.wait()

        call.call._toolbox.finish = finish  # type: ignore[method-assign]
        call.media.hang_up()
        await stopped.wait()
        at_the_latest = datetime.now(UTC)
        may_end.set()
        await call.over()
        (ended,) = call.facts(CallEnded)
    assert ended.ended_at <= at_the_latest


async def test_media_that_cannot_be_written_are_lost_at_once_and_nothing_more_is_taken_as_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(call_module, "REATTACH_S", 0.05)
    async with a_call(plays_at_once=False, **WELCOME) as call:
        broken = asyncio.Event()

        async def drain() -> None:
            await broken.wait()
            raise CarrierGoneError("scripted")

        monkeypatch.setattr(call.media, "drain", drain)
        await until(lambda: call.media.unplayed)
        broken.set()
        await call.over()

        (ended,), turns = call.facts(CallEnded), call.facts(TurnCommitted)
    assert (ended.reason, ended.detail) == (EndReason.CARRIER_FAILED, "the media stream was lost")
    assert [turn.assistant_text for turn in turns if turn.assistant_text == "Hello there, this is Ann."] == []


async def test_a_call_is_handed_over_when_its_turn_is_over() -> None:
    async with a_call(plays_at_once=False, **WELCOME) as call:
        await until(lambda: call.media.unplayed)
        handed_over = call.tasks.create_task(call.call.hand_over(10.0))
        await asyncio.sleep(0)
        assert not handed_over.done()
        call.media.plays_on()
        await handed_over

        assert call.call.abandoned
        assert call.journal.facts[-1] == HandedOver(between_turns=True)
        assert [turn.assistant_text for turn in call.facts(TurnCommitted)] == ["Hello there, this is Ann."]
        assert call.facts(CallEnded) == []


async def test_a_turn_that_takes_too_long_does_not_hold_the_hand_over_up() -> None:
    async with a_call(plays_at_once=False, **WELCOME) as call:
        await until(lambda: call.media.unplayed)
        await call.call.hand_over(0.01)
        assert (call.call.abandoned, call.facts(CallEnded)) == (True, [])
        assert call.journal.facts[-1] == HandedOver(between_turns=False)


@pytest.mark.promise("P4")
@pytest.mark.parametrize("owed", [True, False], ids=["killed in the welcome", "killed after it"])
async def test_a_welcome_that_was_not_heard_to_its_end_is_said_by_the_next_worker(owed: bool) -> None:
    past = Continuation(history=(), turns=0, unanswered="", elapsed_s=2.0, welcome_owed=owed)
    async with a_call(continuation=past, **WELCOME) as call:
        await call.hears(Transcript("Are you open?", True, True, 0, 900))
        await until(lambda: "We are open." in str(call.facts(TurnCommitted)))

        said = [turn.assistant_text for turn in call.facts(TurnCommitted)]
    assert said == ["Hello there, this is Ann."] * owed + ["We are open."]


@pytest.mark.promise("P4")
@pytest.mark.parametrize(("unanswered", "spoken"), [("thank you, goodbye", True), ("", False)], ids=["owed", "heard"])
async def test_a_call_whose_worker_died_while_ending_it_is_ended_by_the_next(unanswered: str, spoken: bool) -> None:
    past = Continuation(history=(), turns=3, unanswered=unanswered, elapsed_s=20.0, ends=True)
    async with a_call(continuation=past, **WELCOME) as call:
        await call.over()

        said = [turn.kind for turn in call.facts(TurnCommitted) if turn.assistant_text]
        users = [turn.user_text for turn in call.facts(TurnCommitted) if turn.user_text]
        end = call.facts(CallEnded)
    assert said == [TurnKind.GOODBYE] * spoken
    assert users == [unanswered] * spoken
    assert [(one.reason, one.turns) for one in end] == [(EndReason.ASSISTANT_ENDED, 3 + spoken)]


async def test_media_that_flows_again_tells_how_long_the_caller_heard_nothing() -> None:
    now = datetime.now(UTC)
    past = Continuation(
        history=(),
        turns=1,
        unanswered="",
        elapsed_s=9.0,
        answered_at=now - timedelta(seconds=8),
        media_ended_at=now - timedelta(milliseconds=700),
    )
    async with a_call(continuation=past) as call:
        (again,) = call.facts(CallAnswered)
    async with a_call() as call:
        (first,) = call.facts(CallAnswered)
    assert 700 <= again.silence_ms < 8_000
    assert first.silence_ms is None


async def test_a_call_that_was_taken_over_lasted_since_its_first_media() -> None:
    answered_at = datetime.now(UTC) - timedelta(seconds=90)
    past = Continuation(history=(), turns=3, unanswered="", elapsed_s=92.0, answered_at=answered_at, ends=True)
    async with a_call(continuation=past, **WELCOME) as call:
        await call.over()
        (ended,) = call.facts(CallEnded)
    assert ended.duration_ms == (ended.ended_at - answered_at) / timedelta(milliseconds=1) >= 90_000
