"""`make demo ASSISTANT=examples/booking.json MODEL=… SLOPPY=…`: the booking is made, whichever model is sloppy."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from calliope_local.demo import play
from calliope_local.http import request
from calliope_local.rehearsal import MODELS, Rehearsal
from calliope_local.stack import LocalStack

BOOKING = Path(__file__).parents[2] / "examples" / "booking.json"
SEED = 7


@pytest.fixture(scope="module")
def statuses(stack: LocalStack) -> Iterator[dict[str, int]]:
    """Exit statuses of all demonstrations, played at the same time."""
    with ThreadPoolExecutor(max_workers=len(MODELS)) as threads:
        playing = {
            model: threads.submit(
                play, stack, BOOKING, number=f"+1555000{4_000 + at}", rehearsal=Rehearsal(model, SEED)
            )
            for at, model in enumerate(MODELS)
        }
        yield {model: one.result() for model, one in playing.items()}
    request("POST", f"{stack.address('sandbox')}/sandbox/reset", {})


@pytest.mark.parametrize("model", MODELS)
def test_a_booking_ends_well_with_a_sloppy_model(statuses: dict[str, int], model: str) -> None:
    assert statuses[model] == 0
