"""Silence, the longest call, and how a call ends."""

import pytest

from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.turn_settings import TurnSettings
from support.talk import Talk, commits, kinds

IDLE = TurnSettings(idle_timeout_s=5, max_idle_messages=2, prepare_after_s=None)


def _say(talk: Talk, *, audible_at: float, done_at: float) -> tuple[ev.Decision, ...]:
    reply = talk.live
    talk.tell(ev.ReplyAudible(reply), audible_at)
    return talk.tell(ev.ReplyDone(reply), done_at)


def test_silence_is_asked_about_then_said_goodbye_to() -> None:
    talk = Talk(IDLE).answered()
    assert talk.tick() == (ev.SayIdle("r1", 1),)
    _say(talk, audible_at=5.1, done_at=6.0)
    assert talk.machine.deadline == 11.0
    assert talk.tick() == (ev.SayIdle("r2", 2),)
    _say(talk, audible_at=11.1, done_at=12.0)
    assert talk.tick() == (ev.SayGoodbye("r3", "idle"),)
    assert _say(talk, audible_at=17.1, done_at=18.0) == (ev.EndCall("idle"),)


def test_silence_is_measured_from_the_end_of_audible_speech() -> None:
    talk = Talk(IDLE)
    reply = talk.speaking(0.0)
    assert talk.tick(60.0) == ()
    talk.tell(ev.ReplyDone(reply), 61.0)
    assert talk.machine.deadline == 66.0


def test_thinking_is_not_silence() -> None:
    talk = Talk(IDLE).answered()
    talk.says("A table.", 1.0, speech_final=True)
    assert talk.tick(20.0) == ()


def test_speech_of_the_caller_resets_the_count() -> None:
    talk = Talk(IDLE).answered()
    talk.tick()
    _say(talk, audible_at=5.1, done_at=6.0)
    talk.says("I am here.", 7.0, speech_final=True)
    _say(talk, audible_at=7.5, done_at=8.0)
    assert talk.tick() == (ev.SayIdle("r3", 1),)


def test_a_caller_in_mid_sentence_is_not_idle() -> None:
    talk = Talk(IDLE).answered()
    talk.interim("well", 4.9)
    assert kinds(talk.tick(5.5)) == []
    assert talk.machine.deadline == 7.9


def test_a_key_resets_the_count() -> None:
    talk = Talk(IDLE).answered()
    talk.tick()
    _say(talk, audible_at=5.1, done_at=6.0)
    talk.tell(ev.Dtmf("#"), 7.0)
    _say(talk, audible_at=7.5, done_at=8.0)
    assert talk.tick() == (ev.SayIdle("r3", 1),)


def test_without_an_idle_timeout_nobody_asks() -> None:
    for timeout in (None, 0.0):
        talk = Talk(TurnSettings(idle_timeout_s=timeout, max_call_s=None)).answered()
        assert talk.machine.deadline is None


def test_no_idle_messages_at_all_means_goodbye_at_once() -> None:
    talk = Talk(TurnSettings(idle_timeout_s=5, max_idle_messages=0)).answered()
    assert talk.tick() == (ev.SayGoodbye("r1", "idle"),)


def test_an_idle_message_not_yet_heard_gives_way_to_the_caller() -> None:
    talk = Talk(IDLE).answered()
    talk.tick()
    assert talk.interim("sorry", 5.2) == (ev.Withdraw("r1"),)
    assert commits(talk.says("Sorry, here.", 6.0, speech_final=True)) == ["Sorry, here."]


def test_a_caller_who_speaks_into_the_idle_goodbye_keeps_the_call() -> None:
    talk = Talk(TurnSettings(idle_timeout_s=5, max_idle_messages=0, prepare_after_s=None)).answered()
    talk.tick()
    talk.tell(ev.ReplyAudible("r1"), 5.1)
    talk.interim("wait", 5.8)
    assert talk.tell(ev.ReplyDone("r1"), 6.0) == ()
    assert commits(talk.says("Wait!", 6.2, speech_final=True)) == ["Wait!"]


def test_the_longest_call_ends_with_a_goodbye_that_is_heard() -> None:
    talk = Talk(TurnSettings(max_call_s=60))
    reply = talk.speaking(1.0)
    assert talk.tick(60.0) == (ev.Interrupt(reply, "max_duration"), ev.SayGoodbye("r2", "max_duration"))
    talk.tell(ev.ReplyAudible("r2"), 60.2)
    assert talk.says("no no no no", 61.0, speech_final=True) == (ev.Note("held", "no no no no"),)
    assert talk.tell(ev.ReplyDone("r2"), 62.0) == (ev.EndCall("max_duration", "no no no no"),)


@pytest.mark.promise("P4")
def test_the_longest_call_counts_from_its_first_worker() -> None:
    talk = Talk(TurnSettings(max_call_s=60))
    talk.tell(ev.MediaStarted(welcome=False, elapsed_s=50))
    assert talk.machine.deadline == 10.0


def test_the_longest_call_lets_an_effect_in_flight_end_for_a_while() -> None:
    talk = Talk(TurnSettings(max_call_s=60))
    reply = talk.speaking(1.0)
    talk.tell(ev.ToolsRunning(reply, True), 59.0)
    assert talk.tick(60.0) == ()
    assert talk.machine.deadline == 70.0
    assert kinds(talk.tell(ev.ToolsRunning(reply, False), 61.0)) == ["Interrupt", "SayGoodbye"]


def test_a_goodbye_that_is_never_played_does_not_hold_the_line() -> None:
    talk = Talk(TurnSettings(max_call_s=60)).answered()
    talk.tick()
    assert talk.machine.deadline == 75.0
    assert talk.tick() == (ev.EndCall("max_duration"),)


def test_an_assistant_that_ends_the_call_is_heard_to_its_end_first() -> None:
    talk = Talk()
    reply = talk.speaking(0.0)
    assert talk.tell(ev.EndRequested("assistant_ended"), 1.0) == ()
    assert talk.interim("no wait stop", 2.0) == ()
    assert talk.tell(ev.ReplyDone(reply), 3.0) == (ev.SayGoodbye("r2", "assistant_ended"),)
    assert talk.tell(ev.ReplyDone("r2"), 5.0) == (ev.EndCall("assistant_ended", "no wait stop"),)


def test_a_call_may_end_without_a_goodbye() -> None:
    talk = Talk().answered()
    assert talk.tell(ev.EndRequested("transferred", say=False), 1.0) == (ev.EndCall("transferred"),)


def test_after_the_end_nothing_is_decided() -> None:
    talk = Talk().answered()
    talk.interim("hello", 1.0)
    assert talk.tell(ev.HungUp(), 1.5) == (ev.EndCall("caller_hung_up", "hello"),)
    assert talk.says("Hello?", 2.0, speech_final=True) == ()
    assert talk.machine.deadline is None
    assert talk.machine.ended


def test_a_reply_that_fails_leaves_the_call_going() -> None:
    talk = Talk().answered()
    talk.says("A table.", 1.0, speech_final=True)
    assert talk.tell(ev.ReplyFailed("r1"), 3.0) == ()
    assert commits(talk.says("Hello?", 4.0, speech_final=True)) == ["Hello?"]


def test_a_reply_that_nobody_hears_is_given_up() -> None:
    talk = Talk().answered()
    talk.says("A table.", 1.0, speech_final=True)
    assert talk.tick() == (ev.Interrupt("r1", "stalled"),)
