"""An interruption of which no words are left lets the assistant go on."""

import pytest

from calliope.contracts.calls import TurnCommitted, TurnKind
from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.sentences import rest_from_sentence
from calliope_call_worker.pipeline.turn_settings import TurnSettings
from calliope_call_worker.providers.llm.base import Finished, TextDelta
from calliope_call_worker.providers.stt.base import Transcript
from support.talk import Talk, commits, kinds
from support.waiting import until
from support.whole_call import a_call

HELLO = "Good day. You are speaking with Ann."


def cut_short(**settings: object) -> Talk:
    """The assistant was interrupted at 1.0 s by an interim."""
    talk = Talk(TurnSettings(language="en", **settings))  # type: ignore[arg-type]
    talk.speaking()
    assert kinds(talk.interim("not that one", 1.0)) == ["Interrupt"]
    return talk


def test_words_that_are_taken_back_were_no_interruption() -> None:
    talk = cut_short()
    assert talk.says("", 1.4, speech_final=True) == ()
    assert talk.tick() == (ev.GoOn("r2", "r1"),)
    assert talk.at == 2.5


def test_words_that_turn_out_to_show_attention_were_no_interruption() -> None:
    talk = cut_short()
    assert talk.says("Uh huh.", 1.4, speech_final=True) == (ev.Note("backchannel", "Uh huh."),)
    assert talk.tick() == (ev.GoOn("r2", "r1"),)


def test_an_interruption_whose_words_stand_is_answered() -> None:
    talk = cut_short()
    assert commits(talk.says("Not that one.", 1.4, speech_final=True)) == ["Not that one."]
    talk.tell(ev.ReplyDone(talk.live), 2.0)
    assert talk.tick(9.0) == ()


def test_a_caller_who_begins_to_speak_again_is_listened_to() -> None:
    talk = cut_short()
    talk.says("", 1.4, speech_final=True)
    talk.interim("I mean", 2.0)
    assert talk.tick(2.6) == ()
    assert commits(talk.says("I mean the other.", 3.0, speech_final=True)) == ["I mean the other."]


def test_a_key_that_interrupts_is_meant() -> None:
    talk = Talk(TurnSettings())
    talk.speaking()
    talk.tell(ev.Dtmf("5"), 1.0)
    assert commits(talk.tick()) == ["DTMF: 5"]


def test_the_assistant_stays_silent_where_the_document_wants_it() -> None:
    talk = cut_short(false_interruption_s=None)
    talk.says("", 1.4, speech_final=True)
    assert talk.machine.deadline != 2.5
    assert talk.tick(9.0) == ()


def test_what_goes_on_can_be_interrupted_like_everything() -> None:
    talk = cut_short(interruption_cooldown_s=0.0)
    talk.says("", 1.4, speech_final=True)
    talk.tick()
    talk.tell(ev.ReplyAudible("r2"), 2.6)
    assert kinds(talk.interim("please stop it now", 4.0)) == ["Interrupt"]


def test_a_noise_before_the_rest_is_heard_only_puts_it_off() -> None:
    talk = cut_short()
    talk.says("", 1.4, speech_final=True)
    talk.tick()
    assert kinds(talk.interim("uh", 2.7)) == ["Withdraw"]
    assert talk.says("", 2.9, speech_final=True) == ()
    assert talk.tick() == (ev.GoOn("r3", "r1"),)
    assert talk.at == 4.2


def test_a_caller_who_is_loud_may_be_about_to_say_something() -> None:
    talk = cut_short()
    talk.tell(ev.VoiceStarted(), 1.2)
    talk.says("", 1.4, speech_final=True)
    assert talk.tick(2.6) == ()
    assert talk.tell(ev.VoiceStopped(2_600, 0.1), 2.7) == (ev.GoOn("r2", "r1"),)


def test_a_noise_that_does_not_end_keeps_nobody_silent_for_ever() -> None:
    talk = cut_short()
    talk.tell(ev.VoiceStarted(), 1.2)
    talk.says("", 1.4, speech_final=True)
    assert talk.tick() == (ev.GoOn("r2", "r1"),)
    assert talk.at == 1.0 + 1.5 + TurnSettings().interim_ceiling_s


def test_a_goodbye_that_goes_on_ends_the_call_as_it_would_have() -> None:
    talk = Talk(TurnSettings(language="en", idle_timeout_s=5, max_idle_messages=0, prepare_after_s=None)).answered()
    talk.tick()
    talk.tell(ev.ReplyAudible("r1"), 5.1)
    assert kinds(talk.interim("what was that", 6.0)) == ["Interrupt"]
    talk.says("", 6.2, speech_final=True)
    talk.tick()
    talk.tell(ev.ReplyAudible("r2"), 7.6)
    assert talk.tell(ev.ReplyDone("r2"), 9.0) == (ev.EndCall("idle"),)


@pytest.mark.parametrize(
    ("heard", "rest"),
    [
        ("", HELLO),
        ("Good", HELLO),
        ("Good day.", "You are speaking with Ann."),
        ("Good day. You are", "You are speaking with Ann."),
    ],
)
def test_what_is_left_begins_with_the_sentence_that_was_cut(heard: str, rest: str) -> None:
    assert rest_from_sentence(HELLO, heard) == rest


def test_a_number_is_not_the_end_of_a_sentence_and_scripts_without_blanks_have_ends() -> None:
    assert rest_from_sentence("It costs 3.50 in all. Fine?", "It costs 3.5") == "It costs 3.50 in all. Fine?"
    assert rest_from_sentence("\u6599\u91d1\u3002\u660e\u65e5", "\u6599\u91d1\u3002\u660e") == "\u660e\u65e5"


async def test_the_caller_hears_the_rest_and_the_record_says_so() -> None:
    answer = (TextDelta("We are open until nine. On Sundays we close at ten. "), Finished("stop"))
    async with a_call(answers=answer, plays_at_once=False, interruption_settings={"min_speaking_time": 0}) as call:
        await call.hears(Transcript("Are you open?", True, True, 0, 500))
        await until(lambda: "On Sundays" in "".join(call.tts.said))
        await call.hears(Transcript("or not that", False, False, 60_000, 60_500))
        await until(lambda: [turn for turn in call.facts(TurnCommitted) if turn.interrupted])
        said = len(call.tts.said)
        await call.hears(Transcript("", True, True, 60_000, 60_600))
        await until(lambda: len(call.tts.said) > said)
        call.media.plays_on()
        await until(lambda: [turn for turn in call.facts(TurnCommitted) if turn.kind is TurnKind.RESUME])
    (turn,) = [turn for turn in call.facts(TurnCommitted) if turn.kind is TurnKind.RESUME]
    assert turn.assistant_text.endswith("On Sundays we close at ten.")
    assert len(call.model.requests) == 1


async def test_what_the_model_had_not_written_yet_it_writes_when_the_assistant_goes_on() -> None:
    first = (TextDelta("Let me look that up for you. "), TextDelta("There is a "), None)
    async with a_call(answers=first, plays_at_once=False, interruption_settings={"min_speaking_time": 0}) as call:
        call.model.then([TextDelta("There is a table at seven. "), Finished("stop")])
        await call.hears(Transcript("A table, please.", True, True, 0, 500))
        await until(lambda: "look that up" in "".join(call.tts.said))
        await call.hears(Transcript("or not that", False, False, 60_000, 60_500))
        await until(lambda: [turn for turn in call.facts(TurnCommitted) if turn.user_text])
        await call.hears(Transcript("", True, True, 60_000, 60_600))
        await until(lambda: "at seven" in "".join(call.tts.said))
        call.media.plays_on()
        await until(lambda: [turn for turn in call.facts(TurnCommitted) if turn.kind is TurnKind.RESUME])
    assert len(call.model.requests) == 2
