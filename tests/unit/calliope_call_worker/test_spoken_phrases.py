"""Phrases that stop the assistant, and phrases that only show attention."""

import pytest

from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.hearing import keys
from calliope_call_worker.pipeline.spoken_phrases import SpokenPhrases
from calliope_call_worker.pipeline.turn_settings import TurnSettings
from support.talk import Talk, commits, kinds

LANGUAGES = {
    "en": ("Stop!", "Yeah, okay, right, sure."),
    "es": ("Espere.", "Ajá, vale, claro."),
    "fr": ("Attendez !", "D'accord, je vois."),
    "de": ("Moment mal.", "Ach so, alles klar."),
    "pt": ("Um momento.", "Aham, entendi."),
    "it": ("Aspetti!", "Va bene, certo."),
    "nl": ("Wacht even.", "Oké, ik snap het."),
    "ja": ("待って", "はい、なるほど"),
    "hi": ("एक मिनट", "अच्छा, ठीक है"),
}


def talk_in(language: str, **settings: object) -> Talk:
    talk = Talk(TurnSettings(language=language, prepare_after_s=None, **settings))  # type: ignore[arg-type]
    talk.speaking()
    return talk


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_phrase_that_stops_interrupts_whatever_the_threshold(language: str) -> None:
    talk = talk_in(language, interruption_threshold=10)
    assert talk.interim(LANGUAGES[language][0], 1.0) == (ev.Interrupt("r1", "phrase"),)
    assert commits(talk.says(LANGUAGES[language][0], 1.5, speech_final=True)) == [LANGUAGES[language][0]]


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_that_only_show_attention_never_interrupt_and_are_not_answered(language: str) -> None:
    talk = talk_in(language, interruption_threshold=1)
    said = LANGUAGES[language][1]
    assert talk.interim(said, 1.0) == ()
    assert talk.says(said, 1.5, speech_final=True) == (ev.Note("backchannel", said),)
    assert talk.tell(ev.ReplyDone("r1"), 3.0) == ()


def test_a_phrase_stops_only_once_the_assistant_was_heard_for_long_enough() -> None:
    talk = talk_in("en", min_speaking_time_s=2.0)
    assert talk.interim("stop", 1.0) == ()
    assert talk.tick() == (ev.Interrupt("r1", "phrase"),)
    assert talk.at == 2.0


def test_a_phrase_stops_also_right_after_an_interruption() -> None:
    talk = talk_in("en", interruption_cooldown_s=30.0)
    talk.says("I want something else.", 1.0, speech_final=True)
    talk.tell(ev.ReplyAudible(talk.live), 1.5)
    assert kinds(talk.interim("wait", 2.5)) == ["Interrupt"]


def test_a_phrase_stops_behind_words_that_show_attention_but_not_in_the_middle_of_others() -> None:
    assert talk_in("en").interim("okay stop", 1.0) == (ev.Interrupt("r1", "phrase"),)
    assert talk_in("en").interim("bus stop", 1.0) == ()


def test_words_beyond_those_that_show_attention_count_as_ever() -> None:
    talk = talk_in("en")
    assert talk.interim("yeah but", 1.0) == ()
    assert talk.interim("yeah but when", 1.2) == (ev.Interrupt("r1", "words"),)


def test_words_that_show_attention_are_an_answer_while_the_assistant_is_silent() -> None:
    talk = Talk(TurnSettings(language="en")).answered()
    assert commits(talk.says("Yeah, sure.", 1.0, speech_final=True)) == ["Yeah, sure."]


def test_finals_and_interims_are_judged_together() -> None:
    talk = talk_in("en", interruption_threshold=2)
    talk.says("Yeah,", 1.0)
    assert talk.interim("okay right", 1.3) == ()
    assert kinds(talk.interim("okay right then", 1.6)) == ["Interrupt"]


def test_a_document_brings_its_own_phrases_and_an_empty_list_means_none() -> None:
    own = talk_in("en", interrupt_phrases=("red light",), ignore_phrases=("go on please",), interruption_threshold=3)
    assert own.interim("stop", 1.0) == ()
    assert own.interim("red light", 1.2) == (ev.Interrupt("r1", "phrase"),)
    none = talk_in("en", interrupt_phrases=(), ignore_phrases=(), interruption_threshold=3)
    assert none.interim("yeah okay sure", 1.0) == (ev.Interrupt("r1", "words"),)


def test_an_unknown_language_takes_the_phrases_of_all() -> None:
    phrases = SpokenPhrases("", None, None)
    assert phrases.judge(keys("Stopp!")) == "interrupt"
    assert phrases.judge(keys("uh huh")) == "ignore"
    assert phrases.judge(keys("a table")) is None
    assert phrases.judge([]) is None
