"""The words that no turn holds yet stay in the order in which they were spoken, whenever they are confirmed."""

import pytest

from calliope_call_worker.pipeline.hearing import Ear, Piece


@pytest.mark.promise("P6")
def test_a_late_final_stands_where_the_words_that_it_confirms_stood() -> None:
    ear = Ear()
    ear.hear_interim(Piece("book a", 0, 800))
    ear.promote()
    ear.hear_interim(Piece("table now", 7_200, 7_400))
    ear.promote()

    ear.hear_final(Piece("Book a", 0, 7_200))

    assert ear.text == "Book a table now"


@pytest.mark.promise("P6")
def test_a_final_for_the_first_of_the_words_that_stood_leaves_the_others_behind_it() -> None:
    ear = Ear()
    ear.hear_interim(Piece("book a table", 0, 1_000))
    ear.promote()

    ear.hear_final(Piece("Book a", 0, 600))
    assert ear.text == "Book a table"
    ear.hear_final(Piece("table.", 600, 1_000))

    assert ear.text == "Book a table."
