"""When a delivery is tried again: the schedule, its jitter, the receiver's wishes, the ends."""

from datetime import UTC, datetime

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calliope_webhooks.model import BLOCKED, EXHAUSTED, GONE, INVALID_URL, NO_SECRET, REMOVED, TIMEOUT, Answer
from calliope_webhooks.retry import DEFAULT_STEPS_S, Again, Dead, Delivered, Schedule
from calliope_webhooks.targets.http import _reason, retry_after_s

SCHEDULE = Schedule()
BROKEN = Answer(status=500)


def delay_after(answer: Answer, tries: int = 1, schedule: Schedule = SCHEDULE) -> float:
    verdict = schedule.judge(answer, tries=tries, delivery_id="dlv_1", attempt=tries)
    assert isinstance(verdict, Again)
    return verdict.delay_s


def test_the_default_schedule_makes_ten_attempts_in_seventy_five_hours() -> None:
    assert len(DEFAULT_STEPS_S) == 10
    assert sum(DEFAULT_STEPS_S) / 3_600 == pytest.approx(75.6, abs=0.1)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_only_2xx_is_delivered(status: int) -> None:
    assert SCHEDULE.judge(Answer(status=status), tries=1, delivery_id="d", attempt=1) == Delivered()


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 409, 500, 503])
def test_other_answers_are_tried_again(status: int) -> None:
    assert delay_after(Answer(status=status)) > 0


@given(tries=st.integers(1, 9), delivery=st.text(min_size=1, max_size=40))
def test_every_wait_is_the_step_within_a_fifth(tries: int, delivery: str) -> None:
    verdict = SCHEDULE.judge(BROKEN, tries=tries, delivery_id=delivery, attempt=tries)
    assert isinstance(verdict, Again)
    assert 0.8 * DEFAULT_STEPS_S[tries] <= verdict.delay_s <= 1.2 * DEFAULT_STEPS_S[tries]


def test_the_jitter_follows_from_delivery_and_attempt() -> None:
    again = [SCHEDULE.judge(BROKEN, tries=3, delivery_id=f"dlv_{n % 50}", attempt=3) for n in range(100)]
    assert again[:50] == again[50:]
    assert len(set(again)) == 50


def test_after_the_last_attempt_it_is_dead() -> None:
    assert SCHEDULE.judge(BROKEN, tries=10, delivery_id="d", attempt=10) == Dead(EXHAUSTED)


def test_a_replayed_delivery_has_the_whole_schedule_again() -> None:
    assert isinstance(SCHEDULE.judge(BROKEN, tries=1, delivery_id="d", attempt=11), Again)


def test_410_ends_the_endpoint() -> None:
    assert SCHEDULE.judge(Answer(status=410), tries=1, delivery_id="d", attempt=1) == Dead(GONE, gone=True)


@pytest.mark.parametrize("error", [BLOCKED, GONE, INVALID_URL, REMOVED])
def test_what_cannot_be_sent_is_dead_at_once(error: str) -> None:
    assert SCHEDULE.judge(Answer(error=error), tries=1, delivery_id="d", attempt=1) == Dead(error)


@pytest.mark.parametrize(
    "error",
    [aiohttp.InvalidURL("http://["), aiohttp.NonHttpUrlClientError("ftp://x"), UnicodeError("label too long")],
    ids=repr,
)
def test_a_url_that_can_never_be_asked_is_dead_at_once(error: Exception) -> None:
    answer = Answer(error=_reason(error))

    assert SCHEDULE.judge(answer, tries=1, delivery_id="d", attempt=1) == Dead(INVALID_URL)
    assert not answer.was_sent, "it says nothing about the receiver"


@pytest.mark.parametrize(
    "error",
    ["dns", "tls", "connection_refused", "connection_lost", "malformed_answer", TIMEOUT, NO_SECRET],
)
def test_what_somebody_can_mend_is_tried_again(error: str) -> None:
    assert delay_after(Answer(error=error)) > 0


@pytest.mark.parametrize("answer", [Answer(status=429), Answer(error=TIMEOUT)])
def test_a_tired_receiver_has_at_least_a_minute(answer: Answer) -> None:
    assert delay_after(answer, tries=1) == 60
    assert delay_after(answer, tries=2) >= 240


def test_a_wish_is_honoured() -> None:
    assert delay_after(Answer(status=503, retry_after_s=400), tries=2) == 400


def test_a_wish_is_never_more_than_twice_the_step() -> None:
    assert delay_after(Answer(status=503, retry_after_s=1e9), tries=2) == 600
    assert delay_after(Answer(status=429, retry_after_s=1e9), tries=1) == 120


def test_a_wish_never_shortens_the_step() -> None:
    assert delay_after(Answer(status=503, retry_after_s=1), tries=2) >= 240


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120),
        (" 7 ", 7),
        ("Fri, 02 Jan 2026 00:01:00 GMT", 60),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("٣", None),
        ("9" * 400, 999_999_999),
        ("Fri, 02 Jan 99999999999 00:01:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, datetime(2026, 1, 2, tzinfo=UTC)) == seconds


@given(header=st.text(max_size=60))
def test_no_retry_after_header_breaks_anything(header: str) -> None:
    wish = retry_after_s(header, datetime(2026, 1, 2, tzinfo=UTC))
    assert wish is None or wish >= 0
