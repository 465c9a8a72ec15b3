"""When an endpoint is left alone, and how it comes back."""

from calliope_webhooks.breaker import Breaker, BreakerRules
from calliope_webhooks.model import TIMEOUT, Answer

RULES = BreakerRules()
GOOD, BROKEN, DEAF = Answer(status=200), Answer(status=500), Answer(error=TIMEOUT)


def after(*answers: Answer, breaker: Breaker | None = None, now_s: float = 0.0) -> Breaker:
    breaker = breaker or Breaker()
    for answer in answers:
        breaker = breaker.after(answer, now_s, RULES)
    return breaker


def test_five_timeouts_in_a_row_open_it_for_half_a_minute() -> None:
    breaker = after(*[DEAF] * 5)
    assert breaker.is_open(29.9)
    assert not breaker.is_open(30.0)
    assert breaker.is_probing


def test_an_answer_between_the_timeouts_keeps_it_closed() -> None:
    assert not after(DEAF, DEAF, DEAF, DEAF, BROKEN, DEAF, DEAF, DEAF, DEAF).is_probing


def test_seventy_percent_of_ten_failing_opens_it() -> None:
    assert not after(GOOD, GOOD, GOOD, *[BROKEN] * 6).is_probing
    assert after(GOOD, GOOD, GOOD, *[BROKEN] * 7).is_probing


def test_failures_of_another_window_do_not_count() -> None:
    breaker = after(*[BROKEN] * 9)
    assert not after(BROKEN, breaker=breaker, now_s=301).is_probing


def test_each_failed_probe_doubles_the_pause_up_to_a_quarter_of_an_hour() -> None:
    breaker, pauses = after(*[DEAF] * 5), []
    for _ in range(8):
        now_s = breaker.open_until_s
        breaker = breaker.after(BROKEN, now_s, RULES)
        pauses.append(breaker.open_until_s - now_s)
    assert pauses == [60, 120, 240, 480, 900, 900, 900, 900]


def test_late_failures_of_requests_on_their_way_change_nothing() -> None:
    breaker = after(*[DEAF] * 5)
    assert after(DEAF, DEAF, breaker=breaker, now_s=10) == breaker


def test_one_good_answer_closes_it() -> None:
    assert after(GOOD, breaker=after(*[DEAF] * 5), now_s=31) == Breaker()
