"""`calliope-admin keys`: when a key ends, as an operator says it."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

import pytest

from calliope_admin.command_line import run
from calliope_admin.moments import from_now

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12h", NOW + timedelta(hours=12)),
        ("90d", NOW + timedelta(days=90)),
        ("4w", NOW + timedelta(weeks=4)),
        ("2030-01-31T12:00:00Z", datetime(2030, 1, 31, 12, tzinfo=UTC)),
        ("2030-01-31T12:00:00+02:00", datetime(2030, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_an_end_is_a_time_from_now_or_a_moment(text: str, expected: datetime) -> None:
    assert from_now(text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    ["", "90", "d", "9999-12-31T23:59:59-23:59", "-1d", "9m", "tomorrow", "2030-01-31T12:00:00", "9" * 30 + "w", "٣d"],
)
def test_what_is_no_end_is_told_with_examples(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="such as 90d"):
        from_now(text, NOW)


@pytest.mark.parametrize("more", [[], ["--scope", ""], ["--scope", "read", "--all-scopes"]])
def test_what_a_key_may_do_has_to_be_said(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "create", "CI", "--nats", "nats://127.0.0.1:1", *more]) == 2
    assert "--scope calls:read, or --all-scopes" in capsys.readouterr().err
