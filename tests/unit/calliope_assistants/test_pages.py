"""Positions sort, cursors survive a URL and are refused when somebody else made them, pages fit one answer."""

import base64
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from calliope.contracts.errors import ErrorCode
from calliope.errors import CommandError
from calliope_assistants.pages import cursor_of, fitting, position, position_of

moments = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))
ids = st.from_regex(r"[A-Za-z0-9_+-]{1,128}", fullmatch=True)


class Text(BaseModel):
    text: str


@given(moments, ids, moments, ids)
def test_positions_sort_by_moment_then_by_id(one: datetime, a: str, two: datetime, b: str) -> None:
    assert (position(one, a) < position(two, b)) == ((one, a) < (two, b))


@given(moments, ids)
def test_a_cursor_leads_back_to_its_position_and_goes_into_a_url_as_it_is(moment: datetime, id_: str) -> None:
    cursor = cursor_of(position(moment, id_))
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert position_of(cursor) == position(moment, id_)


def test_the_cursor_of_the_longest_id_is_not_too_long_to_come_back() -> None:
    assert len(cursor_of(position(datetime.now(UTC), "x" * 128))) <= 200


def test_the_same_moment_in_another_zone_stands_at_the_same_place() -> None:
    moment = datetime(2026, 1, 2, 12, tzinfo=UTC)
    assert position(moment.astimezone(timezone(timedelta(hours=9))), "a") == position(moment, "a")


@pytest.mark.parametrize("text", ["x", "1767355200000000", "1767355200000000|", "1767355200000000|$ne", "é|a"])
def test_what_is_no_position_is_refused_though_well_encoded(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        position_of(base64.urlsafe_b64encode(text.encode()).decode().rstrip("="))
    assert caught.value.code is ErrorCode.INVALID


@given(st.text(max_size=200))
def test_any_text_is_refused_or_a_position(text: str) -> None:
    try:
        found = position_of(text)
    except CommandError as exc:
        assert exc.code is ErrorCode.INVALID  # noqa: PT017
    else:
        assert found is not None
        assert "|" in found


def test_one_entry_always_fits_and_the_next_only_within_the_budget() -> None:
    assert len(fitting([Text(text="x" * 500)] * 3, 100)[0]) == 1
    shown, size = fitting([Text(text="é" * 20)] * 10, 120)
    assert len(shown) == 2
    assert size <= 120
