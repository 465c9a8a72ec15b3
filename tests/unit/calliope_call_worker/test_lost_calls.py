"""When a call counts as lost."""

from calliope_call_worker.lost_calls import MOST_AT_ONCE, Absences


def test_a_call_is_lost_when_nobody_has_held_it_for_long() -> None:
    absences = Absences(lost_after_s=60)
    assert absences.lost({"call_1"}, 10.0) == []
    assert absences.lost({"call_1"}, 69.9) == []
    assert absences.lost({"call_1", "call_2"}, 70.0) == ["call_1"]


def test_a_call_that_somebody_took_over_begins_anew() -> None:
    absences = Absences(lost_after_s=60)
    absences.lost({"call_1"}, 0.0)
    absences.lost(set(), 30.0)
    assert absences.lost({"call_1"}, 61.0) == []
    assert absences.lost({"call_1"}, 121.0) == ["call_1"]


def test_so_many_lost_at_once_take_several_rounds() -> None:
    absences = Absences(lost_after_s=1)
    calls = {f"call_{number}" for number in range(MOST_AT_ONCE + 50)}
    absences.lost(calls, 0.0)
    first = absences.lost(calls, 1.0)
    assert len(first) == MOST_AT_ONCE
    assert len(absences.lost(calls - set(first), 2.0)) == 50
