"""One local stack for all end-to-end tests of a session; a test that breaks processes starts its own."""

from collections.abc import AsyncIterator, Iterator

import pytest

from calliope_local.stack import LocalStack
from support.house import House, visiting


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture
async def house(stack: LocalStack) -> AsyncIterator[House]:
    async with visiting(stack) as house:
        yield house
        await house.sandbox("POST", "/sandbox/reset")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--interruptions", type=int, default=60, help="how often test_heard_text.py cuts in")
    parser.addoption("--breaks", type=int, default=3, help="answers at each carrier that break, of each kind")
    parser.addoption("--heard-seed", type=int, default=20_261_128, help="when callers cut in and answers break")
