"""What the record says was heard is what was heard, also when the worker or the carrier fails in mid-answer.

`make test-heard` breaks hundreds of answers at each carrier and prints the rows of docs/resilience.md; the smoke a few.
"""

import random
from collections.abc import Iterator
from typing import Final

import pytest

from calliope_local.stack import LocalStack
from support.heard import COLUMNS, row
from support.heard_calls import CARRIERS, VOICES, Listening, Rounds, listen, paces, shares, with_faults
from support.house import visiting

pytestmark = [pytest.mark.soak, pytest.mark.promise("P6")]
SEED: Final = 20_261_128
A_FEW: Final = 3
"""Answers of the smoke, at each carrier."""
AT_ONCE: Final = 10
"""Calls at each carrier that one break strikes."""
GRACE_S: Final = "2"
WITHIN_ONE: Final = 0.99
ENOUGH: Final = 50
"""Answers from which on their share says something."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(
        tmp_path_factory.mktemp("stack"), extra={"worker": {"CALLIOPE_SHUTDOWN_TIMEOUT_S": GRACE_S}}, workers=2
    ) as stack:
        yield stack


@pytest.fixture
def wanted(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--breaks", A_FEW))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--heard-seed", SEED))


@pytest.mark.parametrize("what", [pytest.param("killed", marks=pytest.mark.smoke), "drained"])
async def test_an_answer_whose_worker_ends_is_on_the_record_as_it_was_heard(
    stack: LocalStack, wanted: int, seed: int, what: str
) -> None:
    async with visiting(stack) as house:
        rounds = Rounds(house, stack, random.Random(f"{seed} {what}"), graceful=what == "drained")
        await rounds.prepare()
        for begun in range(0, wanted, AT_ONCE):
            await rounds.play(min(AT_ONCE, wanted - begun))
        await rounds.end()

    judge(f"worker {what}", rounds.seen, wanted)


@pytest.mark.parametrize("kind", ["stops_reading", "loses_marks"])
async def test_an_answer_whose_carrier_fails_is_on_the_record_as_it_was_heard(
    stack: LocalStack, wanted: int, seed: int, kind: str
) -> None:
    chance = random.Random(f"{seed} {kind}")
    scenes = [
        with_faults(chance, carrier, list(VOICES)[number % len(VOICES)], kind)
        for number in range(wanted)
        for carrier in CARRIERS
    ]
    async with visiting(stack) as house:
        await house.sandbox("PATCH", "/sandbox/knobs", paces())
        seen = await listen(house, scenes, at_once=AT_ONCE * 2)

    judge(f"carrier {kind.replace('_', ' ')}", seen, wanted)


def judge(what: str, seen: Listening, wanted: int) -> None:
    """Show the rows, and hold them against what is promised."""
    print(f"\n{COLUMNS}")
    for carrier in CARRIERS:
        print(row(what, carrier, seen.replies[carrier], seen.left_out[carrier]))
    for carrier, replies in seen.replies.items():
        print(*(f"{carrier}: {reply.told}" for reply in replies if reply.wrong > 1 or reply.twice), sep="\n", end="")
    assert not seen.problems, "\n".join(seen.problems)
    assert {carrier: len(seen.replies[carrier]) + seen.left_out[carrier] for carrier in CARRIERS} == dict.fromkeys(
        CARRIERS, wanted
    )
    for replies in seen.replies.values():
        assert max((reply.twice for reply in replies), default=0) <= 1
    if wanted >= ENOUGH:
        assert min(shares(seen).values()) >= WITHIN_ONE
