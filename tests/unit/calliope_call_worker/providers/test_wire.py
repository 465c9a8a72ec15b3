"""What vendors ask for in headers: believed within bounds, and never the end of a call."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from calliope_call_worker.providers.wire import MAX_RETRY_AFTER_S, retry_after_s


def test_a_vendor_asks_for_patience_in_seconds_in_milliseconds_or_until_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100))

    assert retry_after_s({"retry-after": "7"}) == 7.0
    assert retry_after_s({"retry-after": "7", "retry-after-ms": "250"}) == 0.25
    assert retry_after_s({"retry-after": soon}) == pytest.approx(100, abs=3)


@pytest.mark.parametrize("header", ["inf", "1e300", "Fri, 01 Jan 9999 00:00:00 GMT"])
def test_nobody_is_believed_for_longer_than_a_day(header: str) -> None:
    assert retry_after_s({"retry-after": header}) == MAX_RETRY_AFTER_S


@pytest.mark.parametrize("header", ["", "soon", "nan", "Fri, 01 Jan 99999999999 00:00:00 GMT"])
def test_a_header_that_says_nothing_asks_for_nothing(header: str) -> None:
    assert not retry_after_s({"retry-after": header})
