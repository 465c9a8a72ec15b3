"""Spans of sequences are the set that they stand for."""

from hypothesis import given
from hypothesis import strategies as st

from calliope_assistants.recorded import Recorded

sequences = st.sets(st.integers(1, 60), max_size=40)


@given(sequences, sequences)
def test_spans_are_the_set_that_they_stand_for(one: set[int], two: set[int]) -> None:
    recorded = Recorded().plus(one).plus(two)
    assert recorded == Recorded().plus(one | two)
    assert {each for each in range(1, 70) if each in recorded} == one | two
    assert recorded.after(0, 100) == sorted(one | two)
    assert recorded.last == max(one | two, default=0)


@given(sequences, st.integers(0, 60), st.integers(0, 60))
def test_the_next_ones_are_those_beyond_in_order(known: set[int], after: int, limit: int) -> None:
    assert Recorded().plus(known).after(after, limit) == sorted(each for each in known if each > after)[:limit]


@given(sequences)
def test_they_survive_being_written_down(known: set[int]) -> None:
    assert Recorded.parse(str(Recorded().plus(known))) == Recorded().plus(known)


def test_ten_hours_take_a_few_bytes_and_a_hole_shows() -> None:
    whole = Recorded().plus(range(1, 50_001))
    assert str(whole) == "1-50000"
    with_hole = Recorded().plus([*range(1, 8), *range(9, 20)])
    assert (str(with_hole), with_hole.contiguous) == ("1-7,9-19", 7)
    assert Recorded().plus([2, 3]).contiguous == 0
