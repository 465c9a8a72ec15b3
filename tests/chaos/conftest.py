"""Stacks of their own for tests that break processes."""

from collections.abc import Iterator
from typing import Final

import pytest

from calliope_local.stack import LocalStack

GRACE_S = "2"
LOST_AFTER_S = "8"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Two workers, which hand their calls over soon after SIGTERM, and end those that nobody takes over."""
    worker = {"CALLIOPE_SHUTDOWN_TIMEOUT_S": GRACE_S, "CALLIOPE_CALL__LOST_AFTER_S": LOST_AFTER_S}
    with LocalStack(tmp_path_factory.mktemp("stack"), extra={"worker": worker}, workers=2) as stack:
        yield stack


OPTIONS: Final = {
    "--calls": 10,
    "--kills": 5,
    "--deploys": 1,
    "--bus-restarts": 1,
    "--store-restarts": 1,
    "--away-s": 10,
    "--pause-s": 3,
    "--seed": 20_261_128,
}
"""Of test_many_calls.py and test_away.py; `make chaos` gives the large ones."""


def pytest_addoption(parser: pytest.Parser) -> None:
    for name, default in OPTIONS.items():
        parser.addoption(name, type=int, default=default)
