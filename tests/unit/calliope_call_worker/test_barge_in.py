"""When a caller may cut the assistant short, and what happens to words that may not."""

import pytest

from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.turn_settings import TurnSettings
from support.talk import Talk, commits, kinds


def test_enough_interim_words_interrupt_while_the_caller_is_still_speaking() -> None:
    talk = Talk()
    reply = talk.speaking()
    assert talk.interim("no wait", 1.0) == ()
    assert talk.interim("no wait stop", 1.2) == (ev.Interrupt(reply, "words"),)
    assert commits(talk.says("No, wait, stop it.", 2.0, speech_final=True)) == ["No, wait, stop it."]


def test_words_interrupt_as_soon_as_the_assistant_was_audible_long_enough() -> None:
    talk = Talk()
    reply = talk.speaking(1.0)
    assert talk.interim("no wait stop", 1.2) == ()
    assert talk.machine.deadline == 1.5
    assert talk.tick() == (ev.Interrupt(reply, "words"),)


def test_the_cooldown_only_puts_the_next_interruption_off() -> None:
    talk = Talk()
    talk.speaking(0.0)
    talk.interim("no wait stop", 1.0)
    talk.says("No wait stop.", 1.1, speech_final=True)
    talk.tell(ev.ReplyAudible(talk.live), 1.5)
    assert talk.interim("I said stop", 2.2) == ()
    assert talk.says("I said stop now.", 2.5, speech_final=True) == (ev.Note("held", "I said stop now."),)
    assert talk.machine.deadline == 3.0
    assert kinds(talk.tick()) == ["Interrupt", "Commit"]
    assert commits(talk.decided)[-1] == "I said stop now."


def test_words_held_by_the_cooldown_are_answered_when_the_assistant_ends_first() -> None:
    talk = Talk()
    talk.speaking(0.0)
    talk.interim("no wait stop", 1.0)
    talk.says("No wait stop.", 1.1, speech_final=True)
    talk.tell(ev.ReplyAudible(talk.live), 1.5)
    talk.says("I said stop now.", 2.5, speech_final=True)
    assert commits(talk.tell(ev.ReplyDone(talk.live), 2.7)) == ["I said stop now."]


def test_few_words_while_the_assistant_speaks_are_kept_and_join_the_next_turn() -> None:
    talk = Talk()
    reply = talk.speaking()
    assert talk.says("Uh-huh.", 1.0, speech_final=True) == (ev.Note("backchannel", "Uh-huh."),)
    assert talk.tell(ev.ReplyDone(reply), 3.0) == ()
    assert talk.tick(20.0) == ()
    assert commits(talk.says("A table.", 21.0, speech_final=True)) == ["Uh-huh. A table."]


def test_small_words_do_not_add_up_over_utterances() -> None:
    talk = Talk()
    talk.speaking()
    for at in (1.0, 2.0, 3.0):
        talk.says("yeah sure", at, speech_final=True)
    assert "Interrupt" not in kinds(talk.decided)


def test_an_utterance_that_outlasts_the_assistant_is_answered() -> None:
    talk = Talk()
    reply = talk.speaking()
    talk.interim("yes", 1.0)
    talk.tell(ev.ReplyDone(reply), 1.2)
    assert commits(talk.says("Yes.", 1.5, speech_final=True)) == ["Yes."]


@pytest.mark.parametrize("threshold", [0, 1])
def test_a_threshold_of_zero_or_one_needs_one_word(threshold: int) -> None:
    talk = Talk(TurnSettings(interruption_threshold=threshold, prepare_after_s=None))
    talk.speaking()
    assert talk.tick(1.0) == ()
    assert talk.interim("...", 1.1) == ()
    assert kinds(talk.interim("no", 1.2)) == ["Interrupt"]


def test_words_begun_before_the_assistant_was_audible_do_not_count_but_are_answered() -> None:
    talk = Talk()
    reply = talk.speaking(2.0)
    starts = (1_500.0, 1_700.0, 1_900.0)
    heard = ev.Final("for two please", 1_400, 2_100, word_starts_ms=starts, audio_ms=2_700, speech_final=True)
    assert talk.tell(heard, 2.7) == (ev.Note("held", "for two please"),)
    assert commits(talk.tell(ev.ReplyDone(reply), 4.0)) == ["for two please"]


def test_words_begun_after_the_assistant_was_audible_count() -> None:
    talk = Talk()
    talk.speaking(2.0)
    heard = ev.Interim("no no no", 2_000, 2_700, word_starts_ms=(2_100, 2_300, 2_500), audio_ms=2_700)
    assert kinds(talk.tell(heard, 2.7)) == ["Interrupt"]


def test_finals_and_interims_of_one_utterance_count_together_and_once() -> None:
    talk = Talk()
    talk.speaking()
    talk.interim("no", 1.0)
    talk.says("No,", 1.1)
    assert talk.interim("not", 1.3) == ()
    assert kinds(talk.interim("not that", 1.5)) == ["Interrupt"]


def test_nothing_is_interrupted_while_a_tool_runs_but_right_after() -> None:
    talk = Talk()
    reply = talk.speaking()
    talk.tell(ev.ToolsRunning(reply, True), 0.5)
    talk.says("no stop that please", 2.0, speech_final=True)
    assert "Interrupt" not in kinds(talk.decided)
    assert kinds(talk.tell(ev.ToolsRunning(reply, False), 3.0)) == ["Interrupt", "Commit"]


def test_the_welcome_survives_a_hello_before_it_is_heard() -> None:
    talk = Talk()
    assert talk.tell(ev.MediaStarted()) == (ev.SayWelcome("r1"),)
    assert talk.says("Hello?", 0.5, speech_final=True) == (ev.Note("backchannel", "Hello?"),)
    talk.tell(ev.ReplyAudible("r1"), 0.6)
    assert talk.tell(ev.ReplyDone("r1"), 3.0) == ()


def test_a_request_before_the_welcome_is_heard_is_answered_after_it() -> None:
    talk = Talk()
    talk.tell(ev.MediaStarted())
    talk.says("I want a table.", 0.5, speech_final=True)
    talk.tell(ev.ReplyAudible("r1"), 0.6)
    assert commits(talk.tell(ev.ReplyDone("r1"), 3.0)) == ["I want a table."]


def test_news_of_a_reply_that_is_gone_change_nothing() -> None:
    talk = Talk()
    reply = talk.speaking()
    talk.interim("no wait stop", 1.0)
    for stale in (ev.ReplyAudible(reply), ev.ReplyDone(reply), ev.ToolsRunning(reply, True), ev.ReplyFailed("r99")):
        assert talk.tell(stale, 1.1) == ()
    assert commits(talk.says("No, wait, stop.", 1.5, speech_final=True)) == ["No, wait, stop."]


def test_keys_are_collected_up_to_the_hash_and_are_a_turn() -> None:
    talk = Talk().answered()
    for digit in "123":
        assert talk.tell(ev.Dtmf(digit), 1.0) == ()
    assert talk.tell(ev.Dtmf("#"), 1.5) == (ev.Commit("r1", 1, "DTMF: 123", "dtmf"),)


def test_keys_without_a_hash_are_a_turn_after_a_pause() -> None:
    talk = Talk().answered()
    talk.tell(ev.Dtmf("4"), 1.0)
    assert talk.machine.deadline == 3.0
    assert commits(talk.tick()) == ["DTMF: 4"]


def test_a_key_interrupts_at_once() -> None:
    talk = Talk()
    reply = talk.speaking(1.0)
    assert talk.tell(ev.Dtmf("1"), 1.1) == (ev.Interrupt(reply, "dtmf"),)


def test_a_key_before_the_reply_is_heard_joins_its_turn() -> None:
    talk = Talk().answered()
    talk.says("My number is", 1.0, speech_final=True)
    assert talk.tell(ev.Dtmf("7"), 1.2) == (ev.Withdraw("r1"),)
    assert commits(talk.tell(ev.Dtmf("#"), 1.3)) == ["My number is DTMF: 7"]


def test_a_turn_waits_for_keys_still_being_pressed() -> None:
    talk = Talk().answered()
    talk.tell(ev.Dtmf("7"), 1.0)
    assert talk.says("Seven.", 1.5, speech_final=True) == ()
    assert commits(talk.tick()) == ["Seven. DTMF: 7"]


@pytest.mark.promise("P6")
@pytest.mark.parametrize("over", [False, True])
def test_words_that_a_final_adds_to_promoted_ones_are_answered(over: bool) -> None:
    talk = Talk()
    talk.tell(ev.MediaStarted())
    talk.tell(ev.ReplyAudible("r1"), 0.1)
    talk.tell(ev.Interim("okay", 1_500, 2_000), 2.0)
    talk.tell(ev.UtteranceEnd(2_000), 3.0)
    if over:
        talk.tell(ev.ReplyDone("r1"), 3.2)
    talk.tell(ev.Final("okay but I want to speak to a human", 1_500, 3_400, speech_final=True), 3.5)
    assert commits(talk.decided) == ["okay but I want to speak to a human"]
