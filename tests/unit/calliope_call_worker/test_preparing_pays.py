"""What preparing a reply costs and brings, on five hundred utterances with the pauses that people make."""

from functools import cache

import pytest

from calliope_call_worker.pipeline.turn_settings import TurnSettings
from calliope_sandbox.utterances import Kind, utterances
from support.turn_corpus import Figures, Recogniser, play

RECOGNISERS: tuple[Recogniser, ...] = ("nova", "flux", "flux-eager")
CORPUS = tuple(utterances(seed=7, count=500))


@cache
def played(recogniser: Recogniser, *, prepares: bool = True) -> Figures:
    settings = TurnSettings(
        language="en",
        eager_recogniser=recogniser == "flux-eager",
        max_preparations=TurnSettings().max_preparations if prepares else 0,
    )
    return play(CORPUS, recogniser, settings)


@pytest.mark.parametrize("recogniser", RECOGNISERS)
def test_a_turn_is_paid_once_and_answered_sooner(recogniser: Recogniser) -> None:
    with_, without = played(recogniser), played(recogniser, prepares=False)
    assert with_.requests_per_answer <= 1.2
    assert with_.used_share >= 0.7
    assert with_.quantile(0.5) <= without.quantile(0.5) - 50
    assert with_.quantile(0.9) <= without.quantile(0.9)


@pytest.mark.parametrize("recogniser", ["nova", "flux"])
def test_words_that_were_told_early_enough_save_half_of_the_wait_for_the_end_of_the_turn(
    recogniser: Recogniser,
) -> None:
    figures = played(recogniser)
    early = [asked_ms for asked_ms, over_ms in figures.gains if asked_ms <= over_ms / 2]
    assert len(early) >= 0.15 * figures.used


@pytest.mark.parametrize("recogniser", RECOGNISERS)
def test_callers_who_hesitate_are_interrupted_less_when_words_that_lead_on_are_waited_for(
    recogniser: Recogniser,
) -> None:
    hesitating = tuple(each for each in CORPUS if each.kind in {Kind.HESITATING, Kind.TRAILING})
    patient = play(hesitating, recogniser, TurnSettings(language="en"))
    hasty = play(hesitating, recogniser, TurnSettings(language="en", unfinished_wait_s=0.0))
    assert patient.answers < 0.95 * hasty.answers


def test_the_corpus_is_the_same_for_the_same_seed_and_holds_every_kind() -> None:
    assert tuple(utterances(seed=7, count=500)) == CORPUS
    assert {each.kind for each in CORPUS} == set(Kind)
