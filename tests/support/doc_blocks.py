"""Code blocks of the documents, for tests that run them: ```language mark … ``` is found by its mark."""

import re
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
_BLOCK = re.compile(r"^```(\w+)(?: ([^\n]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `mark` is what follows the language."""

    language: str
    mark: str
    text: str


def blocks_of(page: str) -> list[Block]:
    """Every fenced block of `docs/<page>`, in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [Block(language, mark or "", body) for language, mark, body in _BLOCK.findall(text)]


def block(page: str, mark: str) -> str:
    """The text of the only block with this mark."""
    [found] = [each.text for each in blocks_of(page) if each.mark == mark]
    return found
