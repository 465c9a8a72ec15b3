"""The table from error to acknowledgement."""

import asyncio
import json

import pytest
from faststream.exceptions import NackMessage
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from calliope.contracts.errors import ErrorCode
from calliope.errors import CommandError, PermanentError, TransientError, not_found, unavailable
from calliope.messaging.outcome import Ack, Dead, Leave, Nak, Outcome, outcome
from calliope.messaging.streams import DURABLES, Durable

DURABLE = Durable(
    "webhooks-fanout", "EVENTS", ("a.>",), 30, max_deliver=4, max_ack_pending=16, retry_delays_s=(1, 5, 30)
)


class Thing(BaseModel):
    n: int


def a_validation_error() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Thing.model_validate({})
    return caught.value


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, Ack()),
        (TransientError("later"), Nak(1)),
        (TransientError("later", retry_after_s=7), Nak(7)),
        (TransientError("at once", retry_after_s=0.01), Nak(1)),
        (CommandError(ErrorCode.BUSY, "at once", retry_after_s=0.01), Nak(1)),
        (TransientError("much later", retry_after_s=3600), Nak(60)),
        (unavailable("away", retry_after_s=2), Nak(2)),
        (CommandError(ErrorCode.TIMEOUT, "slow"), Nak(1)),
        (not_found("assistant", "asst_1"), Dead("permanent")),
        (PermanentError("never"), Dead("permanent")),
        (a_validation_error(), Dead("malformed")),
        (json.JSONDecodeError("no", "x", 0), Dead("malformed")),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), Dead("malformed")),
        (KeyError("a bug"), Nak(1)),
        (TimeoutError(), Nak(1)),
        (asyncio.CancelledError(), Leave()),
        (KeyboardInterrupt(), Leave()),
        (NackMessage(), Leave()),
    ],
    ids=repr,
)
def test_the_first_delivery_ends_as_the_table_says(error: BaseException | None, expected: Outcome) -> None:
    assert outcome(error, 1, DURABLE) == expected


def test_delays_follow_the_durable_and_then_it_is_over() -> None:
    outcomes = [outcome(KeyError(), delivery, DURABLE) for delivery in range(1, 6)]

    assert outcomes == [Nak(1), Nak(5), Nak(30), Dead("exhausted"), Dead("exhausted")]


@pytest.mark.parametrize("durable", DURABLES, ids=lambda durable: durable.name)
@given(wishes=st.lists(st.none() | st.floats(0, 1e6)))
def test_no_wish_shortens_the_time_until_a_message_is_given_up(durable: Durable, wishes: list[float | None]) -> None:
    """The dead letter of a store that asks to be asked again soon came after 58 s instead of 17 minutes."""
    errors = [TransientError("later", retry_after_s=wish) for wish in wishes]

    for delivery, error in enumerate(errors[: durable.max_deliver - 1], 1):
        told = outcome(error, delivery, durable)
        assert isinstance(told, Nak)
        assert durable.retry_delay_s(delivery) <= told.delay_s <= 60


def test_a_wish_does_not_outlive_the_last_delivery() -> None:
    assert outcome(TransientError("later", retry_after_s=1), 4, DURABLE) == Dead("exhausted")


@pytest.mark.parametrize("durable", DURABLES, ids=lambda durable: durable.name)
def test_every_declared_durable_is_bounded(durable: Durable) -> None:
    """A delayed message holds its place, and the server must outlast our own giving up."""
    assert max(durable.retry_delays_s) <= 60
    assert (durable.config().max_deliver or 0) > durable.max_deliver
    assert durable.name.startswith(durable.service + "-")
