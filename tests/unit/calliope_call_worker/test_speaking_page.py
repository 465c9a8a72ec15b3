"""docs/speaking.md: what the page says is spoken, is."""

import re
from pathlib import Path

import pytest

from calliope_call_worker.pipeline.speakable import spoken

PAGE = Path(__file__).parents[3] / "docs" / "speaking.md"
ROW = re.compile(r"^\| `(.+)` \| (.+) \|$", re.MULTILINE)
ROWS = [(written.replace("\\|", "|"), said) for written, said in ROW.findall(PAGE.read_text(encoding="utf-8"))]


def test_the_page_has_its_tables() -> None:
    assert len(ROWS) > 20


@pytest.mark.parametrize(("written", "said"), ROWS)
def test_a_row_of_the_page_is_so(written: str, said: str) -> None:
    assert spoken(written) == said
