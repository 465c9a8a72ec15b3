"""Every example is what it says: its call, played as `make demo ASSISTANT=…` plays it, lacks nothing."""

import json
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
def disappointed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An example whose caller is to hear what nobody says."""
    file = tmp_path_factory.mktemp("examples") / "disappointed.json"
    document = json.loads((FOLDER / "reception.json").read_text(encoding="utf-8"))
    file.write_text(json.dumps(document | {"name": "Disappointed"}), encoding="utf-8")
    call = {"expect": {"heard": ["We are open at night."], "structured_data": {"open": True}}}
    file.with_suffix(".call.json").write_text(json.dumps(call), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def statuses(stack: LocalStack, disappointed: Path) -> Iterator[dict[Path, int]]:
    """Exit statuses of all demonstrations, played at the same time."""
    files = [*FILES, disappointed]
    with ThreadPoolExecutor(max_workers=len(files)) as threads:
        playing = {
            file: threads.submit(play, stack, file, number=f"+1555000{3_000 + at}") for at, file in enumerate(files)
        }
        yield {file: one.result() for file, one in playing.items()}
    request("POST", f"{stack.address('sandbox')}/sandbox/reset", {})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_is_played_without_anything_missing(statuses: dict[Path, int], file: Path) -> None:
    assert statuses[file] == 0


def test_an_example_that_lacks_something_says_so(statuses: dict[Path, int], disappointed: Path) -> None:
    assert statuses[disappointed] == 1
