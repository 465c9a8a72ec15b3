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
SEED, SHARE = 4, 0.3


@pytest.fixture(scope="module")
def played(stack: LocalStack) -> Iterator[tuple[dict[str, int], int]]:
    """Exit statuses of all demonstrations, played at the same time, and how many requests misbehaved."""
    sandbox = stack.address("sandbox")
    with ThreadPoolExecutor(max_workers=len(MODELS)) as threads:
        playing = {
            model: threads.submit(
                play, stack, BOOKING, number=f"+1555000{4_000 + at}", rehearsal=Rehearsal(model, SEED, SHARE)
            )
            for at, model in enumerate(MODELS)
        }
        statuses = {model: one.result() for model, one in playing.items()}
    entries = request("GET", f"{sandbox}/sandbox/records/llm")
    yield statuses, sum("sloppy" in entry for entry in entries)
    request("POST", f"{sandbox}/sandbox/reset", {})


def test_models_misbehaved_in_these_calls(played: tuple[dict[str, int], int]) -> None:
    assert played[1] > 3


@pytest.mark.parametrize("model", MODELS)
def test_a_booking_ends_well_with_a_sloppy_model(played: tuple[dict[str, int], int], model: str) -> None:
    assert played[0][model] == 0
