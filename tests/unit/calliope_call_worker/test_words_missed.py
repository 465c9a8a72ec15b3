"""A call taken over in which nobody speaks: what the caller said while nobody listened is asked for, once."""

import pytest

from calliope.contracts.calls import TurnCommitted, TurnKind
from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.turn_settings import TurnSettings
from calliope_call_worker.plan import Continuation
from calliope_call_worker.providers.stt.base import Transcript
from support.talk import Talk, commits, kinds
from support.virtual_time import in_virtual_time
from support.waiting import until
from support.whole_call import a_call

pytestmark = pytest.mark.promise("P4")
ASK = ev.AskToRepeat("r1")


def taken_over(
    *, welcome: bool = False, unanswered: str = "", missed: bool = True, unheard_s: float = 0.0, **settings: object
) -> Talk:
    """Another worker's call, from now on here."""
    talk = Talk(TurnSettings(prepare_after_s=None, **settings))  # type: ignore[arg-type]
    began = ev.MediaStarted(
        welcome=welcome, elapsed_s=30, turns=2, unanswered=unanswered, words_missed=missed, unheard_s=unheard_s
    )
    talk.tell(began)
    return talk


def test_silence_on_both_sides_is_asked_about_once() -> None:
    talk = taken_over()
    assert talk.tick() == (ASK,)
    assert talk.at == 1.5
    talk.tell(ev.ReplyAudible("r1"), 2.6)
    talk.tell(ev.ReplyDone("r1"), 4.6)
    assert talk.tick(600.0) == ()


@pytest.mark.parametrize(("unheard_s", "asked_at"), [(0.5, 1.0), (0.7, 0.8), (20.0, 0.8)])
def test_the_silence_in_which_nobody_listened_counts_but_a_caller_in_mid_sentence_is_noticed_first(
    unheard_s: float, asked_at: float
) -> None:
    talk = taken_over(unheard_s=unheard_s)
    talk.falls_silent(0.0)  # the judge of his audio says so after a tenth of a second
    assert talk.tick(asked_at - 0.01) == ()
    assert talk.tick(asked_at) == (ASK,)


def test_whoever_was_heard_here_is_given_the_whole_silence() -> None:
    talk = taken_over(unheard_s=20.0)
    talk.tell(ev.VoiceStarted(), 0.1)
    talk.falls_silent(0.5)
    talk.tell(ev.Final("", 0, 700, speech_final=False), 0.8)
    assert talk.tick(1.9) == ()
    assert talk.tick(2.0) == (ASK,)


def test_a_long_time_without_a_worker_is_no_reason_to_ask_whether_the_caller_is_there() -> None:
    talk = taken_over(unheard_s=20.0, missed=False, idle_timeout_s=10.0)
    assert talk.tick(9.9) == ()
    assert kinds(talk.tick(10.0)) == ["SayIdle"]


def test_what_the_caller_says_then_is_answered() -> None:
    talk = taken_over()
    talk.tick()
    talk.tell(ev.ReplyAudible("r1"), 2.6)
    talk.tell(ev.ReplyDone("r1"), 4.6)
    assert commits(talk.says("What are your hours?", 6.0, speech_final=True)) == ["What are your hours?"]


def test_a_caller_who_speaks_first_is_not_asked() -> None:
    talk = taken_over()
    talk.interim("your opening", 2.0)
    talk.says("Your opening hours?", 2.6, speech_final=True)
    talk.tell(ev.ReplyAudible("r1"), 2.9)
    talk.tell(ev.ReplyDone("r1"), 4.0)
    assert kinds(talk.tick(600.0)) == []
    assert commits(talk.decided) == ["Your opening hours?"]


def test_a_caller_who_is_loud_is_heard_out() -> None:
    talk = taken_over(interim_ceiling_s=3.0)
    talk.tell(ev.VoiceStarted(), 1.0)
    assert talk.tick(2.6) == ()
    talk.falls_silent(3.0)
    talk.tell(ev.Final("", 0, 3_100, speech_final=False), 3.5)
    assert talk.tick(4.4) == ()
    assert talk.tick(4.5) == (ASK,)


def test_a_voice_of_which_the_recogniser_has_told_nothing_yet_is_waited_for() -> None:
    talk = taken_over(interim_ceiling_s=3.0)
    talk.tell(ev.VoiceStarted(), 0.1)
    talk.falls_silent(1.0)
    assert talk.tick(3.9) == ()
    assert commits(talk.says("and what does it cost?", 4.0, speech_final=True)) == ["and what does it cost?"]


def test_a_recogniser_that_stays_silent_only_puts_the_question_off() -> None:
    talk = taken_over(interim_ceiling_s=3.0)
    talk.tell(ev.VoiceStarted(), 0.1)
    talk.falls_silent(1.0)
    assert talk.tick(5.4) == ()
    assert talk.tick(5.5) == (ASK,)


def test_a_pause_in_the_middle_of_a_sentence_is_no_silence() -> None:
    talk = taken_over()
    talk.interim("I wanted to ask", 0.4)
    talk.falls_silent(0.5)
    assert "AskToRepeat" not in kinds(talk.tick(3.0))
    talk.says("I wanted to ask what it costs", 3.2, speech_final=True)
    assert commits(talk.decided) == ["I wanted to ask what it costs"]


def test_a_noise_that_never_ends_only_puts_the_question_off() -> None:
    talk = taken_over(interim_ceiling_s=3.0)
    talk.tell(ev.VoiceStarted(), 1.0)
    assert talk.tick(4.4) == ()
    assert talk.tick(4.5) == (ASK,)


def test_a_key_is_as_good_as_a_word() -> None:
    talk = taken_over()
    talk.tell(ev.Dtmf("#"), 1.0)
    assert "AskToRepeat" not in kinds(talk.tick(1.5))


@pytest.mark.parametrize(
    "owed",
    [{"welcome": True}, {"unanswered": "What are your hours?"}, {"missed": False}, {"ask_to_repeat_s": None}],
    ids=["the welcome", "an answer", "nothing was missed", "not wanted"],
)
def test_a_caller_who_is_owed_something_else_is_not_asked(owed: dict[str, object]) -> None:
    talk = taken_over(**owed)  # type: ignore[arg-type]
    if talk.machine.live_reply is not None:
        talk.tell(ev.ReplyAudible(talk.live), 0.5)
        talk.tell(ev.ReplyDone(talk.live), 2.0)
    assert "AskToRepeat" not in kinds([*talk.decided, *talk.tick(600.0)])


def test_a_call_that_is_about_to_end_ends() -> None:
    talk = taken_over()
    assert kinds(talk.tell(ev.EndRequested("assistant_ended", say=True), 0.0)) == ["SayGoodbye"]
    assert talk.tick(2.6) == ()


@pytest.mark.parametrize(
    ("messages", "asked"), [({}, "Perdone, no le he oído."), ({"ask_to_repeat": "¿Qué?"}, "¿Qué?")]
)
def test_it_is_asked_in_the_assistants_language_and_is_part_of_the_talk(messages: dict[str, str], asked: str) -> None:
    @in_virtual_time
    async def call_taken_over() -> None:
        past = Continuation(history=(), turns=1, unanswered="", elapsed_s=20.0, words_missed=True)
        async with a_call(continuation=past, stt_settings={"language": "es"}, messages=messages) as call:
            await until(lambda: call.facts(TurnCommitted))
            await call.hears(Transcript("¿Abren hoy?", True, True, 0, 900))
            await until(lambda: len(call.facts(TurnCommitted)) == 2)
        turn = call.facts(TurnCommitted)[0]
        assert (turn.kind, turn.turn, turn.user_text) == (TurnKind.ASK_TO_REPEAT, 1, "")
        assert turn.assistant_text.startswith(asked)
        assert turn.assistant_text in str(call.model.requests[0].messages)

    call_taken_over()


def test_a_call_is_not_handed_over_while_its_caller_is_loud() -> None:
    talk = Talk().answered()
    inputs: tuple[ev.Input, ...] = (ev.Tick(), ev.VoiceStarted(), ev.VoiceStopped(2_000, 0.1))
    may_go = [(talk.tell(event, float(at)), talk.machine.between_turns)[1] for at, event in enumerate(inputs)]
    assert may_go == [True, False, True]
