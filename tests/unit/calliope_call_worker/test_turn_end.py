"""When the caller's turn is over, and that no word of it is lost or doubled."""

import pytest

from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.turn_settings import TurnSettings
from support.talk import Talk, commits, kinds


def test_speech_final_ends_a_turn_with_all_finals_collected() -> None:
    talk = Talk().answered()
    talk.says("I need a table", 1.0)
    assert talk.says("for two.", 2.0, speech_final=True) == (
        ev.Commit("r1", 1, "I need a table for two.", "speech_final"),
    )


def test_an_empty_speech_final_ends_a_turn_with_collected_text() -> None:
    talk = Talk().answered()
    talk.says("A table.", 1.0)
    assert commits(talk.says("", 1.3, speech_final=True)) == ["A table."]


def test_a_speech_final_without_any_text_is_nothing() -> None:
    talk = Talk().answered()
    assert talk.says("", 1.0, speech_final=True) == ()
    assert talk.machine.live_reply is None


def test_utterance_end_ends_a_turn_when_text_is_waiting() -> None:
    talk = Talk().answered()
    talk.says("A table.", 1.0)
    (commit,) = talk.tell(ev.UtteranceEnd(900), 2.0)
    assert commit == ev.Commit("r1", 1, "A table.", "utterance_end")


def test_utterance_end_after_speech_final_is_a_duplicate() -> None:
    talk = Talk().answered()
    talk.says("A table.", 1.0, speech_final=True)
    assert talk.tell(ev.UtteranceEnd(900), 2.0) == ()
    assert talk.tell(ev.UtteranceEnd(-1), 2.1) == ()


def test_an_utterance_end_older_than_the_words_standing_is_ignored() -> None:
    talk = Talk().answered()
    talk.says("A table.", 1.0, speech_final=True)
    talk.interim("for two", 1.9)
    assert talk.tell(ev.UtteranceEnd(900), 2.0) == ()
    assert commits(talk.says("for two please", 2.5, speech_final=True)) == ["A table. for two please"]


def test_a_timer_after_the_last_final_ends_the_turn() -> None:
    talk = Talk().answered()
    talk.says("A table", 1.0)
    talk.says("for two", 2.0)
    assert talk.machine.deadline == 3.5
    assert talk.tick() == (ev.Commit("r1", 1, "A table for two", "timer"),)


def test_an_interim_that_is_never_finalised_is_promoted() -> None:
    talk = Talk().answered()
    talk.interim("I want a refund", 1.0)
    assert talk.machine.deadline == 4.0
    assert talk.tick() == (ev.Note("promoted", "I want a refund"), ev.Commit("r1", 1, "I want a refund", "ceiling"))


def test_the_same_interim_again_does_not_put_the_ceiling_off() -> None:
    talk = Talk().answered()
    talk.interim("hello", 1.0)
    talk.interim("Hello.", 2.0)
    assert talk.machine.deadline == 4.0


def test_interims_replace_and_finals_append() -> None:
    talk = Talk().answered()
    for text in ("I", "I want", "eye want a"):
        talk.interim(text, 1.0)
    talk.says("I want a refund", 1.5)
    talk.interim("right", 2.0)
    assert commits(talk.says("right now", 2.5, speech_final=True)) == ["I want a refund right now"]


def test_a_final_sent_twice_is_heard_once() -> None:
    talk = Talk().answered()
    final = ev.Final("A table.", 0, 1000)
    talk.tell(final, 1.0)
    talk.tell(final, 1.1)
    assert commits(talk.says("", 1.3, speech_final=True)) == ["A table."]
    assert talk.tell(final, 1.4) == ()


def test_the_same_words_said_twice_are_heard_twice() -> None:
    talk = Talk().answered()
    talk.says("No.", 1.0)
    assert commits(talk.says("No.", 2.0, speech_final=True)) == ["No. No."]


def test_a_late_final_of_a_promoted_interim_adds_only_its_new_words() -> None:
    talk = Talk().answered()
    talk.interim("I want", 1.0)
    talk.tick()
    decided = talk.says("I want a refund.", 4.2, speech_final=True)
    assert decided == (ev.Withdraw("r1"), ev.Commit("r2", 1, "I want a refund.", "speech_final", replaces="r1"))


def test_a_late_final_equal_to_the_promoted_interim_changes_nothing() -> None:
    talk = Talk().answered()
    talk.interim("I want", 1.0)
    talk.tick()
    assert talk.says("I want.", 4.2, speech_final=True) == ()


def test_a_late_final_while_the_reply_is_heard_joins_the_next_turn() -> None:
    talk = Talk().answered()
    talk.interim("I want", 1.0)
    talk.tick()
    talk.tell(ev.ReplyAudible("r1"), 4.1)
    talk.says("I want pizza", 4.2, speech_final=True)
    talk.tell(ev.ReplyDone("r1"), 6.0)
    assert commits(talk.says("with cheese", 8.0, speech_final=True)) == ["pizza with cheese"]


def test_a_final_shorter_than_the_interim_keeps_the_words_behind_it() -> None:
    talk = Talk().answered()
    talk.tell(ev.Interim("a table for two tomorrow", 0, 3900), 3.9)
    talk.tell(ev.Final("A table for two", 0, 3100), 4.0)
    assert talk.machine.waiting_text == "A table for two tomorrow"


def test_an_empty_final_over_its_window_takes_a_misheard_interim_back() -> None:
    talk = Talk().answered()
    talk.interim("uh", 1.0)
    talk.says("", 1.4)
    talk.tick()
    assert commits(talk.decided) == []
    assert talk.machine.waiting_text == ""


def test_a_recogniser_without_windows_loses_nothing() -> None:
    talk = Talk().answered()
    talk.tell(ev.Interim("yes"), 1.0)
    assert commits(talk.tell(ev.Final("", speech_final=True), 1.2)) == ["yes"]
    talk.tell(ev.ReplyDone("r1"), 2.0)
    talk.tell(ev.Final("Yes.", speech_final=True), 2.1)
    assert commits(talk.tell(ev.Final("Yes.", speech_final=True), 3.0)) == ["Yes."]


def test_a_caller_who_goes_on_before_the_reply_is_heard_gets_one_answer_to_all() -> None:
    talk = Talk().answered()
    talk.says("A table.", 1.0, speech_final=True)
    assert talk.interim("for two", 1.5) == (ev.Withdraw("r1"),)
    assert talk.says("For two.", 2.0, speech_final=True) == (
        ev.Commit("r2", 1, "A table. For two.", "speech_final", replaces="r1"),
    )


def test_a_reply_whose_tool_has_begun_is_not_withdrawn_and_words_wait() -> None:
    talk = Talk().answered()
    talk.says("Book it.", 1.0, speech_final=True)
    talk.tell(ev.ToolsRunning("r1", True), 1.2)
    assert talk.says("And hurry please.", 2.0, speech_final=True) == (ev.Note("held", "And hurry please."),)
    assert talk.tell(ev.ToolsRunning("r1", False), 3.0) == (
        ev.Interrupt("r1", "superseded"),
        ev.Commit("r2", 2, "And hurry please.", "speech_final"),
    )


def test_words_in_a_pause_of_the_reply_are_answered_without_counting_them() -> None:
    talk = Talk()
    reply = talk.speaking()
    talk.tell(ev.ReplyPaused(reply), 2.0)
    assert kinds(talk.says("Hello?", 3.0, speech_final=True)) == ["Note", "Interrupt", "Commit"]


def test_words_before_a_silence_are_thought_about_and_the_thought_is_used() -> None:
    talk = Talk(prepare=True).answered()
    talk.falls_silent(1.0)
    talk.interim("a table", 1.1)
    assert talk.tick() == (ev.Prepare("r1", "a table"),)
    assert talk.at == 1.25
    assert talk.says("A table.", 1.5, speech_final=True) == (
        ev.Commit("r1", 1, "A table.", "speech_final", prepared=True),
    )


def test_a_prepared_reply_is_thrown_away_when_the_words_change() -> None:
    talk = Talk(prepare=True).answered()
    talk.falls_silent(1.0)
    talk.interim("a table", 1.1)
    talk.tick()
    assert talk.interim("a table for two", 1.6) == (ev.Discard("r1"),)
    assert talk.says("A table for two.", 1.7, speech_final=True) == (
        ev.Commit("r2", 1, "A table for two.", "speech_final"),
    )


def test_nothing_is_prepared_while_the_caller_speaks_however_long_the_words_stand() -> None:
    talk = Talk(prepare=True).answered()
    talk.falls_silent(0.5)
    talk.tell(ev.VoiceStarted(), 0.8)
    talk.interim("a table for", 1.0)
    talk.interim("a table for two", 2.0)
    assert "Prepare" not in kinds(talk.tick(2.9))


def test_nothing_is_prepared_before_the_recogniser_has_told_all_that_was_said() -> None:
    talk = Talk(prepare=True).answered()
    talk.interim("a table", 1.0)
    talk.falls_silent(1.4)
    assert talk.tick(1.9) == ()
    assert talk.interim("a table for two", 2.0) == (ev.Prepare("r1", "a table for two"),)


def test_nothing_is_prepared_on_a_single_word_that_may_change() -> None:
    talk = Talk(prepare=True).answered()
    talk.falls_silent(1.0)
    talk.interim("yes", 1.1)
    assert talk.tick(1.6) == ()
    assert kinds(talk.says("Yes.", 1.7)) == ["Prepare"]


@pytest.mark.parametrize(
    "words", ["I would like to", "a table, and", "it is, um", "five five", "my number is 5 5", "so,"]
)
def test_nothing_is_prepared_for_words_that_lead_on(words: str) -> None:
    talk = Talk(TurnSettings(prepare_after_s=0.1, language="en")).answered()
    talk.falls_silent(1.0)
    talk.interim(words, 1.1)
    assert talk.tick(2.0) == ()


def test_a_recogniser_that_says_when_a_turn_is_probably_over_is_believed_before_the_silence() -> None:
    talk = Talk(TurnSettings(prepare_after_s=0.1, eager_recogniser=True)).answered()
    talk.falls_silent(1.0)
    talk.interim("a table", 1.1)
    assert talk.tick(1.5) == ()
    assert talk.tell(ev.Interim("a table", 0, 1_500, eager=True), 1.6) == (ev.Prepare("r1", "a table"),)


def test_words_that_lead_on_are_answered_only_when_nothing_follows_them() -> None:
    talk = Talk(TurnSettings(language="en", unfinished_wait_s=0.6)).answered()
    assert talk.says("I would like to", 1.0, speech_final=True) == ()
    assert talk.tick() == (ev.Commit("r1", 1, "I would like to", "speech_final"),)
    assert talk.at == 1.6


def test_words_that_lead_on_and_those_that_follow_are_one_turn() -> None:
    talk = Talk(TurnSettings(language="en", unfinished_wait_s=0.6)).answered()
    talk.says("I would like to", 1.0, speech_final=True)
    talk.interim("book", 1.4)
    assert talk.tick(1.7) == ()
    assert commits(talk.says("book a table.", 2.0, speech_final=True)) == ["I would like to book a table."]


def test_an_eager_interim_is_thought_about_at_once() -> None:
    talk = Talk(prepare=True).answered()
    assert talk.tell(ev.Interim("a table", 0, 900, eager=True), 1.0) == (ev.Prepare("r1", "a table"),)


def test_words_that_stand_already_are_thought_about_when_they_turn_eager() -> None:
    talk = Talk(prepare=True).answered()
    assert talk.tell(ev.Interim("a table", 0, 900), 1.0) == ()
    assert talk.tell(ev.Interim("a table", 0, 950, eager=True), 1.05) == (ev.Prepare("r1", "a table"),)


def test_a_caller_who_goes_on_is_not_answered_with_what_was_prepared() -> None:
    talk = Talk(TurnSettings(max_preparations=2)).answered()
    talk.tell(ev.Interim("a table", 0, 900, eager=True), 1.0)
    assert talk.tell(ev.TurnResumed(), 1.2) == (ev.Discard("r1"),)
    assert talk.tell(ev.Interim("a table for two", 0, 1_900, eager=True), 2.0) == (ev.Prepare("r2", "a table for two"),)
    assert talk.tell(ev.Final("A table for two.", 0, 2_000, speech_final=True), 2.1) == (
        ev.Commit("r2", 1, "A table for two.", "speech_final", prepared=True),
    )


def test_a_turn_that_is_resumed_without_new_words_is_given_time_again() -> None:
    talk = Talk(prepare=True).answered()
    talk.tell(ev.Interim("a table", 0, 900, eager=True), 1.0)
    talk.tell(ev.TurnResumed(), 3.5)
    assert talk.tick(4.1) == ()
    assert talk.machine.deadline == 3.5 + TurnSettings().interim_ceiling_s


def test_a_turn_resumed_out_of_nowhere_means_nothing() -> None:
    talk = Talk(prepare=True).answered()
    assert talk.tell(ev.TurnResumed(), 1.0) == ()
    assert commits(talk.says("Hello.", 2.0, speech_final=True)) == ["Hello."]


def test_a_turn_has_a_limited_number_of_thoughts() -> None:
    talk = Talk(TurnSettings(prepare_after_s=0.1, max_preparations=2)).answered()
    for at, text in enumerate(("a table", "a table please", "a table please Ann"), start=1):
        talk.falls_silent(float(at))
        talk.interim(text, at + 0.2)
        talk.tick(at + 0.5)
    assert kinds(talk.decided) == ["Prepare", "Discard", "Prepare", "Discard"]


def test_nothing_is_prepared_while_the_assistant_is_heard() -> None:
    talk = Talk(prepare=True)
    talk.speaking()
    talk.falls_silent(0.9)
    talk.interim("uh huh", 1.0)
    assert "Prepare" not in kinds(talk.tick(2.0))


@pytest.mark.promise("P4")
def test_words_of_a_lost_call_are_answered_by_the_worker_that_takes_it_over() -> None:
    talk = Talk()
    assert talk.tell(ev.MediaStarted(welcome=False, turns=4, replies=9, unanswered="A table.")) == (
        ev.Commit("r10", 5, "A table.", "resumed"),
    )


def test_languages_without_blanks_are_counted_in_words_too() -> None:
    talk = Talk()
    talk.speaking()
    assert kinds(talk.interim("等一下我不要", 1.0)) == ["Interrupt"]
