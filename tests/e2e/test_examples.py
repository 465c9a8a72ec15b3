"""Every example is what it says: its call, played as `make demo ASSISTANT=…` plays it, lacks nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from calliope_local.demo import play
from calliope_local.http import request
from calliope_local.stack import LocalStack

FOLDER = Path(__file__).parents[2] / "examples"
FILES = sorted(file for file in FOLDER.glob("*.json") if not file.name.endswith(".call.json"))


@pytest.fixture(scope="module")
def statuses(stack: LocalStack) -> Iterator[dict[Path, int]]:
    """Exit statuses of all demonstrations, played at the same time."""
    with ThreadPoolExecutor(max_workers=len(FILES)) as threads:
        playing = {
            file: threads.submit(play, stack, file, number=f"+1555000{3_000 + at}") for at, file in enumerate(FILES)
        }
        yield {file: one.result() for file, one in playing.items()}
    request("POST", f"{stack.address('sandbox')}/sandbox/reset", {})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_is_played_without_anything_missing(statuses: dict[Path, int], file: Path) -> None:
    assert statuses[file] == 0
