"""What the bench calls added, from records made by hand."""

import math

import pytest

from calliope_local.bench.figures import covered, figures, percentile

CALL = {
    "exchanges": [{"text": "question k0001 0 please", "last_voice_at_s": 10.0, "first_audio_at_s": 10.6}],
    "clears_at_s": [12.004],
    "failed": None,
    "gaps_ms": [20],
    "ticks_late_ms": [[0, 97], [1, 2], [30, 1]],
}
HEARD = {
    "finals": [{"text": "question k0001 0 please", "sent_at_s": 10.3}],
    "interims": [
        {"text": "sorry k0001", "sent_at_s": 11.0},
        {"text": "sorry k0001 1", "sent_at_s": 12.0},
        {"text": "sorry k0002 1", "sent_at_s": 12.003},
    ],
}
ASKED = {"user_text": "question k0001 0 please", "received_at_s": 10.305, "first_token_at_s": 10.405}
SPOKEN = {
    "texts": [
        {"text": "Hello", "asked_at_s": 1.0, "first_byte_at_s": 1.1},
        {"text": "You said k0001, yes.", "asked_at_s": 10.41, "first_byte_at_s": 10.59},
    ]
}


def test_what_the_providers_took_is_not_added() -> None:
    seen = figures([CALL], [HEARD], [ASKED], [SPOKEN])

    assert [answer.added_ms for answer in seen.answers] == [pytest.approx(20)]  # 5 + 5 + 10
    assert seen.answers[0].total_ms == pytest.approx(600)
    assert seen.missed == 0
    assert seen.gaps_ms == (20,)


def test_how_late_the_callers_were_is_told_of_all_their_ticks_together() -> None:
    other = CALL | {"ticks_late_ms": [[0, 99], [4, 1]]}
    seen = figures([CALL, other], [HEARD], [ASKED], [SPOKEN])
    assert [seen.late_ms(share) for share in (0.98, 0.99, 0.995, 1.0)] == [0, 1, 4, 30]


def test_a_model_asked_before_the_final_is_waited_for_only_once() -> None:
    early = ASKED | {"received_at_s": 10.25, "first_token_at_s": 10.35}
    spoken = {"texts": [{"text": "You said k0001", "asked_at_s": 10.35, "first_byte_at_s": 10.6}]}

    seen = figures([CALL], [HEARD], [early], [spoken])

    assert seen.answers[0].added_ms == pytest.approx(0)


def test_a_reaction_is_counted_from_the_deciding_interim_of_that_caller() -> None:
    assert list(figures([CALL], [HEARD], [ASKED], [SPOKEN]).reactions_ms) == [pytest.approx(4)]


@pytest.mark.parametrize(
    ("heard", "asked"), [({"finals": [], "interims": []}, ASKED), (HEARD, ASKED | {"user_text": "another"})]
)
def test_words_without_an_answer_are_missed_never_left_out(heard: dict[str, object], asked: dict[str, object]) -> None:
    seen = figures([CALL], [heard], [asked], [SPOKEN])

    assert (seen.answers, seen.missed) == ((), 1)


def test_covered_counts_overlaps_once_and_only_what_is_inside() -> None:
    assert covered([(0, 2), (1, 3), (5, 9)], 1, 6) == 3
    assert covered([], 0, 1) == 0


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile([7.0], 0.99) == 7
    assert math.isnan(percentile([], 0.5))
