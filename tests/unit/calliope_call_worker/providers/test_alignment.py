"""Spans join to the text that was given, whatever times a voice streams."""

import random

import pytest

from calliope_call_worker.providers.tts.alignment import Aligner
from calliope_call_worker.providers.tts.base import TextSpan

TEXT = "Hello there, the table is booked. "
CHAR_MS = 50.0


def chunk(text: str) -> tuple[float, list[str], list[float], list[float]]:
    return len(text) * CHAR_MS, list(text), [n * CHAR_MS for n in range(len(text))], [CHAR_MS] * len(text)


def joined(spans: list[TextSpan]) -> str:
    return "".join(span.text for span in spans)


def test_words_get_the_times_of_their_characters() -> None:
    aligner = Aligner()
    aligner.say("Hello there ")
    spans = aligner.hear(*chunk("Hello there "))
    assert spans == (TextSpan("Hello ", 0, 250), TextSpan("there ", 300, 550))
    assert aligner.complete


def test_a_word_that_is_cut_by_a_chunk_waits_for_its_rest() -> None:
    aligner = Aligner()
    aligner.say("Hello there ")
    assert [span.text for span in aligner.hear(*chunk("Hello the"))] == ["Hello "]
    assert aligner.hear(*chunk("re ")) == (TextSpan("there ", 300, 550),)


@pytest.mark.parametrize("seed", range(30))
def test_any_chunking_joins_to_the_text_with_growing_times(seed: int) -> None:
    rng, aligner, spans, at = random.Random(seed), Aligner(), list[TextSpan](), 0
    aligner.say(TEXT[:13])
    aligner.say(TEXT[13:])
    while at < len(TEXT):
        size = rng.randint(1, 9)
        times = chunk(TEXT[at : at + size])
        spans += aligner.hear(times[0]) if rng.random() < 0.3 else aligner.hear(*times)
        at += size
    spans += aligner.finish()
    assert joined(spans) == TEXT
    assert [span.start_ms for span in spans] == sorted(span.start_ms for span in spans)
    assert all(0 <= span.start_ms <= span.end_ms <= aligner.audio_ms for span in spans)


def test_without_any_times_words_are_spread_over_the_audio() -> None:
    aligner = Aligner()
    aligner.say("Hello there ")
    assert aligner.hear(1_200) == ()
    spans = aligner.finish()
    assert joined(list(spans)) == "Hello there "
    assert spans[-1].end_ms == 1_200
    assert not aligner.exact


def test_a_blank_that_was_never_given_and_one_that_is_left_out_do_no_harm() -> None:
    aligner = Aligner()
    aligner.say("Hello there ")
    spans = [*aligner.hear(*chunk(" Hello")), *aligner.hear(*chunk("there")), *aligner.finish()]
    assert joined(spans) == "Hello there "
    assert aligner.complete


def test_lists_of_different_length_count_as_far_as_all_go() -> None:
    aligner = Aligner()
    aligner.say("Hi you ")
    spans = [*aligner.hear(350, list("Hi you "), [0, 50, 100, 150, 200], [50] * 7), *aligner.finish()]
    assert joined(spans) == "Hi you "


def test_text_that_was_given_and_not_spoken_is_not_complete() -> None:
    aligner = Aligner()
    aligner.say("Hello there ")
    aligner.hear(*chunk("Hello "))
    assert not aligner.complete
    assert aligner.exact
