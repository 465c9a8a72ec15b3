"""Fifty live calls over three workers and both carriers while processes are killed, deployed over and restarted.

`make chaos` breaks hundreds of times and prints the rows of docs/resilience.md; the smoke breaks each once or twice.
"""

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from calliope_local.stack import LocalStack
from support.chaos_run import COLUMNS, Break, Outcome, at, deploy, kill_a_worker, restart, run

pytestmark = [pytest.mark.chaos, pytest.mark.promise("P4")]
SLOTS: Final = "60"
GRACE_S: Final = "2"
P50_MS: Final = 1_000
P95_MS: Final = 2_000
ENOUGH: Final = 50
"""Takeovers from which on the distribution of silences says something."""
BROKEN: Final[dict[str, tuple[Break, str]]] = {
    "kill -9 of a worker": (kill_a_worker, "--kills"),
    "rolling restart of the workers": (deploy, "--deploys"),
    "restart of the bus": (restart("nats"), "--bus-restarts"),
    "restart of the store": (restart("mongo"), "--store-restarts"),
}
"""How it is broken, and the option that says how often."""
A_FEW: Final = (kill_a_worker, restart("nats"), kill_a_worker, restart("mongo"), deploy)
FEW_CALLS: Final = 6


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    worker = {"CALLIOPE_SHUTDOWN_TIMEOUT_S": GRACE_S, "CALLIOPE_CALL__LOST_AFTER_S": "15", "CALLIOPE_SLOTS": SLOTS}
    with LocalStack(tmp_path_factory.mktemp("stack"), extra={"worker": worker}, workers=3, outside_first=True) as stack:
        yield stack


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[[Outcome], None]:
    """Prints an outcome as a row of the table."""

    def show(outcome: Outcome) -> None:
        with capsys.disabled():
            print(f"\n{COLUMNS}\n{outcome.row()}\n{outcome.steps()}\nlongest silences: {outcome.longest()}")

    return show


@pytest.mark.smoke
async def test_a_few_calls_outlive_one_of_each(
    stack: LocalStack, pytestconfig: pytest.Config, shown: Callable[[Outcome], None]
) -> None:
    seed, pause_s = int(pytestconfig.getoption("--seed")), int(pytestconfig.getoption("--pause-s"))

    outcome = await run(stack, "one of each", A_FEW, calls=FEW_CALLS, seed=seed, pause_s=pause_s)

    shown(outcome)
    assert not outcome.problems, "\n".join(outcome.problems)


@pytest.mark.parametrize("what", BROKEN)
async def test_every_call_goes_on_and_is_told_whole(
    stack: LocalStack, what: str, pytestconfig: pytest.Config, shown: Callable[[Outcome], None]
) -> None:
    breaks, option = BROKEN[what]
    names = (option, "--calls", "--seed", "--pause-s")
    times, calls, seed, pause_s = (int(pytestconfig.getoption(name)) for name in names)

    outcome = await run(stack, what, [breaks] * times, calls=calls, seed=seed, pause_s=pause_s)

    shown(outcome)
    assert not outcome.problems, "\n".join(outcome.problems)
    if len(outcome.silences_ms) >= ENOUGH:
        assert at(outcome.silences_ms, 0.5) < P50_MS
        assert at(outcome.silences_ms, 0.95) < P95_MS
