"""Moments as an operator writes them."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

import pytest

from calliope_admin.moments import age, ago

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("2h", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
        ("2029-12-31T12:00:00Z", datetime(2029, 12, 31, 12, tzinfo=UTC)),
    ],
)
def test_a_past_moment_is_how_long_ago_or_a_date_with_its_zone(text: str, expected: datetime) -> None:
    assert ago(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "h", "-2h", "2029-12-31", "9" * 30 + "h", "yesterday"])
def test_what_is_no_moment_is_told_with_examples(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="such as 30m, 2h or 3d"):
        ago(text, NOW)


def test_a_moment_to_come_is_refused() -> None:
    with pytest.raises(ArgumentTypeError, match="still to come"):
        ago("2030-01-01T00:00:01Z", NOW)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-1, "0 s"), (59.9, "59 s"), (60, "1 min"), (7_300, "2 h"), (90_000, "1 day"), (2e5, "2 days")],
)
def test_an_age_is_told_in_its_largest_unit(seconds: float, expected: str) -> None:
    assert age(seconds) == expected
