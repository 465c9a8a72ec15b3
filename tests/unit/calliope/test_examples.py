"""Every example is a document that would be stored as it stands."""

import json
from pathlib import Path

import pytest

from calliope.contracts.document.spec import AssistantSpec

FOLDER = Path(__file__).parents[3] / "examples"
FILES = sorted(file for file in FOLDER.glob("*.json") if not file.name.endswith(".call.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_is_a_valid_assistant(file: Path) -> None:
    AssistantSpec.model_validate(json.loads(file.read_text(encoding="utf-8")))


def test_there_are_examples() -> None:
    assert len(FILES) >= 4
