"""A budget of the loop's time: used up it refuses, and it comes back as time goes by."""

from calliope.runtime.loop_share import LoopShare


def test_what_was_used_comes_back_at_the_rate_of_the_share() -> None:
    share = LoopShare(0.25, 0.5)
    assert share.is_left(100.0)
    share.spend(0.75)
    assert not share.is_left(100.9)
    assert share.is_left(101.1)


def test_an_idle_hour_saves_no_more_than_a_burst() -> None:
    share = LoopShare(0.25, 0.5)
    assert share.is_left(0.0)
    assert share.is_left(3_600.0)
    share.spend(0.5)
    assert not share.is_left(3_600.0)


def test_work_of_any_length_takes_no_more_than_its_share_in_the_long_run() -> None:
    share, worked_s = LoopShare(0.25, 0.5), 0.0
    for millisecond in range(20_000):
        if share.is_left(millisecond / 1_000):
            share.spend(0.0007)
            worked_s += 0.0007
    assert 4.9 < worked_s < 0.25 * 20 + 0.5 + 0.001


def test_how_long_to_wait_follows_from_what_is_missing() -> None:
    share = LoopShare(0.25, 0.5)
    assert share.is_left(10.0)
    assert share.wait_s(0.5) == 0.0
    share.spend(0.6)
    assert round(share.wait_s(0.025), 6) == 0.5
    assert share.is_left(10.0 + share.wait_s(0.025))
