"""A worker that is gone in mid-reply: what the caller heard is known to the word, and the rest is said by the next."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calliope.contracts.calls import (
    CallEnded,
    EndReason,
    Resumed,
    ToolFinished,
    ToolStarted,
    TurnCommitted,
    TurnKind,
    TurnStarted,
)
from calliope_call_worker.continuation import continuation
from calliope_call_worker.pipeline.playout import Playout
from calliope_call_worker.playback import BegunReply, Playback, begun_reply, heard_until, owners
from calliope_call_worker.providers.llm.base import AssistantMessage, Finished, TextDelta, UserMessage
from calliope_call_worker.providers.stt.base import Transcript
from calliope_call_worker.providers.tts.base import TextSpan
from support.ears import PlayedMedia
from support.recognisers import TwinStt
from support.virtual_time import in_virtual_time
from support.voices import TwinTts
from support.waiting import until
from support.whole_call import WholeCall, a_call
from unit.calliope_call_worker.test_continuation import BEGAN, journal, started

pytestmark = pytest.mark.promise("P4")
SAID: Final = "We open at nine. We close at five. "
ASKED: Final = "What are your hours?"
HELLO: Final = Transcript("Hello?", True, True, 0, 900)
NOW: Final = BEGAN.timestamp() + 60


def a_playback(heard: int = 0, **fields: Any) -> Playback:
    """Of a reply of which each word takes half a second, from second 10 on."""
    ends = [index for index, letter in enumerate(SAID) if letter == " "]
    ahead = tuple((end, 10_000 + 500 * number) for number, end in enumerate(ends, 1))
    known = {"turn": 1, "kind": TurnKind.REPLY, "text": ASKED, "said": SAID, "heard": heard, "ahead": ahead, "after": 3}
    return Playback.model_validate(known | fields)


def a_begun(kind: TurnKind = TurnKind.REPLY, **fields: Any) -> BegunReply:
    known: dict[str, Any] = {
        "turn": 1,
        "text": ASKED,
        "before_tools": "",
        "heard": "We open",
        "rest": " at nine. ",
        "complete": True,
    }
    return BegunReply(**({"kind": kind} | known | fields))


def taken_over(begun: BegunReply, *facts: Any) -> dict[str, Any]:
    return {"continuation": continuation(journal(*facts), NOW, begun=begun)}


def turns(call: WholeCall) -> list[tuple[str, str, str]]:
    return [(fact.kind, fact.user_text, fact.assistant_text) for fact in call.facts(TurnCommitted)]


# What was heard


@given(st.integers(9_000, 16_000))
def test_wherever_it_was_cut_what_was_heard_and_the_rest_are_the_text_divided_between_two_words(cut_at_ms: int) -> None:
    begun = begun_reply(a_playback(complete=True), (), cut_at_ms)
    if begun is None:
        assert cut_at_ms < 10_500
        return
    assert begun.heard + begun.rest == SAID
    assert begun.rest == "" or begun.rest.startswith(" ")
    assert len(begun.heard.split()) == min(8, (cut_at_ms - 10_000) // 500)
    assert begun.over == (cut_at_ms >= 14_000)
    assert begun.estimated


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.floats(0.0, 8.0), st.floats(0.0, 8.0))
def test_what_is_kept_tells_of_later_what_the_one_who_spoke_would_have_known_but_for_a_cut_word(
    words_of_ms: list[int], kept_s: float, more_s: float
) -> None:
    playout, text, at_ms = Playout(), "", 0.0
    for number, tens in enumerate(words_of_ms):
        playout.timed("r1", [TextSpan(f"w{number} ", at_ms, at_ms + 10 * tens)])
        text, at_ms = f"{text}w{number} ", at_ms + 10 * tens
    playout.said("r1", text)
    playout.sent("r1", round(at_ms * 8), 0.0)
    heard, ahead = playout.ahead("r1", kept_s)
    kept = Playback(
        turn=1, kind=TurnKind.REPLY, said=text, heard=heard, ahead=tuple((e, round(t * 1e6)) for e, t in ahead)
    )
    estimated = len(text[: heard_until(kept, (kept_s + more_s) * 1e6)].split())
    known = len(playout.heard("r1", kept_s + more_s).text.split())
    assert known - 1 <= estimated <= known, "a word that was cut is better heard twice than missed"


@pytest.mark.parametrize(
    ("cut_at_ms", "words"),
    [(11_200, 2), (12_900, 5), (13_100, 4), (24_000, 4)],
    ids=["while it spoke", "it may have spoken on", "it would have said so", "frozen for long"],
)
def test_what_a_worker_that_fell_silent_had_still_to_send_was_not_heard(cut_at_ms: int, words: int) -> None:
    """A frozen worker closes no socket: its media is ended by others, much later than it spoke."""
    begun = begun_reply(a_playback(sent_until=12_000), (), cut_at_ms)
    assert begun is not None
    assert len(begun.heard.split()) == words


def test_audio_that_is_about_to_be_sent_counts_too() -> None:
    playout = Playout()
    playout.said("r1", "one two three four ")
    playout.sent("r1", 1_600, 100.0)
    heard, ahead = playout.ahead("r1", 100.1, more_ms=1_000)
    assert (heard, [end for end, _ in ahead]) == (0, [3, 7, 13, 18])
    assert all(later > sooner for (_, sooner), (_, later) in pairwise(ahead))


def test_words_behind_a_pause_of_the_voice_have_no_time_yet() -> None:
    playout = Playout()
    playout.timed("r1", [TextSpan("one ", 0, 100), TextSpan("two ", 100, 200)])
    playout.said("r1", "one two three four ")
    playout.sent("r1", 1_600, 100.0)
    assert [end for end, _ in playout.ahead("r1", 100.0)[1]] == [3, 7, 13, 18], "while it plays, more is on its way"
    assert playout.ahead("r1", 101.0) == (7, [])


def test_of_its_owners_the_latest_are_asked_first() -> None:
    again = Resumed(worker_id="w2", previous_worker_id="w1", reason="media ended")
    assert owners(journal(started(1, ASKED), again, again, again, again)) == (5, 4, 3)
    assert owners(journal(again)) == (1,)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ((), False),
        ((started(1, ASKED),), False),
        ((started(1, ASKED), TurnCommitted(turn=1, kind=TurnKind.REPLY)), True),
        ((started(1, ASKED), started(2, "And then?")), True),
        ((TurnCommitted(turn=1, kind=TurnKind.REPLY), TurnStarted(turn=1, text=ASKED, at_ms=0)), False),
    ],
)
def test_facts_that_say_how_it_ended_come_before_what_was_kept(facts: Any, told: bool) -> None:
    kept = a_playback(after=1)
    assert (begun_reply(kept, journal(*facts), 12_000) is None) == told


@pytest.mark.parametrize("says_so", [True, False])
@pytest.mark.parametrize(("taken_s", "words"), [((11.2,), 2), ((12.1, 19.0), 4), ((), 8)])
def test_a_worker_that_took_the_call_and_died_at_once_proves_that_the_media_had_ended(
    taken_s: tuple[float, ...], words: int, says_so: bool
) -> None:
    """Nothing is known of it but that: how far the caller had heard, the one before it kept."""
    ended_at = [datetime.fromtimestamp(at_s, UTC) for at_s in taken_s]
    known = {"worker_id": "w2", "previous_worker_id": "w1", "reason": "media ended"}
    taken = [Resumed.model_validate({**known, "media_ended_at": at if says_so else None}) for at in ended_at]
    late = timedelta(seconds=5 if says_so else 0)
    facts = journal(started(1, ASKED), *taken)
    facts[1:] = [fact.model_copy(update={"time": at + late}) for fact, at in zip(facts[1:], ended_at, strict=True)]
    begun = begun_reply(a_playback(after=1, complete=True), facts, 24_000)
    assert begun is not None
    assert (len(begun.heard.split()), begun.over) == (words, words == 8)


def test_a_reply_of_which_nothing_was_heard_begins_anew() -> None:
    assert begun_reply(a_playback(), (), 10_100) is None
    assert begun_reply(None, (), 10_100) is None


def test_where_the_worker_said_it_itself_nothing_is_estimated() -> None:
    begun = begun_reply(a_playback(heard=7, ahead=()), (), 99_000)
    assert begun is not None
    assert (begun.heard, begun.rest, begun.estimated) == (SAID[:7], SAID[7:], False)


# What the next worker says


async def test_the_rest_of_an_answer_is_said_without_a_model_and_the_turn_is_told_whole() -> None:
    async with a_call(**taken_over(a_begun(estimated=True), started(1, ASKED))) as call:
        await until(lambda: call.facts(TurnCommitted))
        assert [text.strip() for text in call.tts.said if "nine" in text] == ["at nine."]
        assert not call.model.requests
        assert turns(call) == [("reply", ASKED, "We open at nine.")]
        committed = call.facts(TurnCommitted)[0]
        assert (committed.interrupted, committed.estimated) == (False, True)
        assert [one["text"] for one in committed.messages] == [ASKED, "We open at nine."]


async def test_what_was_not_written_yet_the_model_writes_behind_it_and_repeats_nothing() -> None:
    answer = (TextDelta("at nine. We close at five."), Finished("stop"))
    begun = a_begun(complete=False, estimated=True)
    async with a_call(answers=answer, **taken_over(begun, started(1, ASKED))) as call:
        await until(lambda: call.facts(TurnCommitted))
        assert turns(call) == [("reply", ASKED, "We open at nine. We close at five.")]
        asked = call.model.requests[0].messages
        assert asked[:2] == (UserMessage(ASKED), AssistantMessage("We open at nine."))


async def test_an_answer_heard_to_its_end_is_told_and_not_said_again() -> None:
    begun = a_begun(heard="We open at nine. ", rest="")
    async with a_call(**taken_over(begun, started(1, ASKED))) as call:
        await until(lambda: call.facts(TurnCommitted))
        await call.hears(Transcript("And on Sunday?", True, True, 0, 900))
        await until(lambda: len(call.facts(TurnCommitted)) == 2)
        assert turns(call)[0] == ("reply", ASKED, "We open at nine.")
        assert [fact.turn for fact in call.facts(TurnCommitted)] == [1, 2]
        assert not any("nine" in text for text in call.tts.said)
        assert AssistantMessage("We open at nine.") in call.model.requests[0].messages


async def test_a_turn_whose_beginning_is_not_among_the_facts_is_known_all_the_same() -> None:
    async with a_call(**taken_over(a_begun())) as call:
        await until(lambda: call.facts(TurnCommitted))
        assert turns(call) == [("reply", ASKED, "We open at nine.")]
        assert [(fact.turn, fact.text) for fact in call.facts(TurnStarted)] == [(1, ASKED)]


async def test_the_rest_of_a_welcome_is_said() -> None:
    begun = a_begun(TurnKind.WELCOME, turn=0, text="", heard="Good", rest=" day to you. ")
    welcome: dict[str, Any] = {"llm_settings": {"welcome_message": "Good day to you."}}
    async with a_call(**taken_over(begun), **welcome) as call:
        await until(lambda: call.facts(TurnCommitted))
        assert turns(call) == [("welcome", "", "Good day to you.")]
        assert [text.strip() for text in call.tts.said if "day" in text][-1] == "day to you."


async def test_the_rest_of_a_line_of_its_own_accord_is_said() -> None:
    begun = a_begun(TurnKind.IDLE, text="", heard="Are you", rest=" still there? ")
    async with a_call(**taken_over(begun, started(1, ASKED))) as call:
        await until(lambda: call.facts(TurnCommitted))
        assert turns(call)[0] == ("idle", "", "Are you still there?")


@pytest.mark.parametrize("rest", ["bye then. ", ""])
async def test_a_goodbye_is_said_to_its_end_and_ends_the_call_for_its_own_reason(rest: str) -> None:
    begun = a_begun(TurnKind.GOODBYE, text="", heard="Good ", rest=rest, ends=EndReason.MAX_DURATION)
    async with a_call(**taken_over(begun)) as call:
        await call.over()
        assert turns(call) == [("goodbye", "", f"Good {rest}".strip())]
        assert [fact.reason for fact in call.facts(CallEnded)] == [EndReason.MAX_DURATION]


async def test_last_words_before_the_end_that_the_model_asked_for_are_said_to_their_end() -> None:
    asked = (
        started(1, "Bye."),
        ToolStarted(turn=1, tool_call_id="t1", name="end_call", arguments={}, idempotency_key="k"),
    )
    begun = a_begun(text="Bye.", heard="Have a", rest=" nice day. ", complete=False)
    async with a_call(**taken_over(begun, *asked), tools_settings={"end_call": {"enabled": True}}) as call:
        await call.over()
        assert turns(call) == [("reply", "Bye.", "Have a nice day.")]
        assert not call.model.requests
        assert [fact.reason for fact in call.facts(CallEnded)] == [EndReason.ASSISTANT_ENDED]


async def test_tools_that_answered_after_the_last_words_stand_behind_them() -> None:
    tool = ToolStarted(turn=1, tool_call_id="t1", name="book", arguments={}, idempotency_key="k")
    facts = (
        started(1, ASKED),
        tool,
        ToolFinished(turn=1, tool_call_id="t1", name="book", ok=True, result="booked", duration_ms=1),
    )
    begun = a_begun(heard="One moment.", rest=" ", complete=False)
    async with a_call(**taken_over(begun, *facts)) as call:
        await until(lambda: call.facts(TurnCommitted))
        roles = [one["role"] for one in call.facts(TurnCommitted)[0].messages]
        assert roles == ["user", "assistant", "tool", "assistant"]
        assert turns(call)[0][2].startswith("One moment.")


# What is kept


@in_virtual_time
async def test_a_worker_that_lets_go_says_exactly_how_far_it_came() -> None:
    answer = (TextDelta("We open at nine every day of the week but Sunday. " * 8), Finished("stop"))
    async with a_call(answers=answer, plays_at_once=False) as call:
        await call.hears(HELLO)
        await until(lambda: call.playbacks.kept)
        first = call.playbacks.kept[0]
        assert (first.turn, first.kind, first.text, first.after > 0) == (1, TurnKind.REPLY, "Hello?", True)
        await asyncio.sleep(0.7)
        await call.call.abandon()
        await until(lambda: not call.playbacks.kept[-1].ahead)
        last = call.playbacks.kept[-1]
        begun = begun_reply(last, (), 0.0)
        assert begun is not None
        assert begun.heard
        assert begun.rest.strip()
        assert not begun.estimated
        assert begun.heard + begun.rest == last.said
        assert not call.facts(TurnCommitted)


@pytest.mark.parametrize(("spoken_s", "whole"), [(0.3, 0), (0.7, 0), (0.9, 0), (1.1, 1)])
@in_virtual_time
async def test_a_word_that_is_cut_when_a_worker_lets_go_is_left_to_the_next_one(spoken_s: float, whole: int) -> None:
    words = [letter * 99 for letter in "abc"]  # of a second each
    async with a_call(answers=(TextDelta(" ".join(words)), Finished("stop")), plays_at_once=False) as call:
        await call.hears(HELLO)
        await until(lambda: call.tts.said)
        await asyncio.sleep(spoken_s)
        await call.call.abandon()
        await until(lambda: not call.playbacks.kept[-1].ahead)
        begun = begun_reply(call.playbacks.kept[-1], (), 0.0)
        assert ([] if begun is None else begun.heard.split()) == words[:whole]


@in_virtual_time
async def test_where_a_voice_does_not_tell_its_words_they_are_spread_over_the_whole_answer_once_it_is_known() -> None:
    answer = (TextDelta("We open at nine every day of the week but Sunday. " * 8), Finished("stop"))
    async with a_call(answers=answer, media=PlayedMedia(), tts=TwinTts("twin", times_text=False)) as call:
        await call.hears(HELLO)
        await until(lambda: call.facts(TurnCommitted))
    last = call.playbacks.kept[-1]
    assert last.sent_until is not None
    assert last.ahead[-1][1] == pytest.approx(last.sent_until, abs=20)


@in_virtual_time
async def test_the_carrier_plays_nothing_more_from_the_moment_at_which_the_worker_lets_go() -> None:
    slow = TwinStt()
    slow.closes_in_s = 0.8
    answer = (TextDelta("We open at nine every day of the week but Sunday. " * 8), Finished("stop"))
    async with a_call(answers=answer, plays_at_once=False, stt=slow) as call:
        await call.hears(HELLO)
        await until(lambda: call.playbacks.kept)
        leaving = call.tasks.create_task(call.call.abandon())
        await until(lambda: call.media.cleared)
        assert not leaving.done()
        await leaving


@in_virtual_time
async def test_it_is_kept_twice_a_second_at_the_most() -> None:
    answer = (TextDelta("We open at nine every day of the week but Sunday. " * 40), Finished("stop"))
    async with a_call(answers=answer, plays_at_once=False) as call:
        await call.hears(HELLO)
        await until(lambda: call.playbacks.kept)
        began = asyncio.get_running_loop().time()
        await until(lambda: asyncio.get_running_loop().time() > began + 5.0)
        assert 2 <= len(call.playbacks.kept) <= 11
        assert call.playbacks.kept[-1].complete
