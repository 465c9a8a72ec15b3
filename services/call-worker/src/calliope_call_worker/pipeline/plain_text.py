"""Finds the stretches of a model's text that reach the voice as they are: most of an answer, and cheap to find. Pure.

A stretch holds nothing that `machine_text.py` holds back or `speakable.py` changes. What is left out of it without need
is only looked at more closely, character by character.
"""

import re
from functools import lru_cache
from typing import Final

LOOKED_AT: Final = 4
"""So many characters tell most words from the names that a tool call written as text begins with."""
KEPT: Final = 256
"""Patterns that are kept, one for each list of names: of as many assistants that offer tools of their own."""


def run_without(marks: str) -> re.Pattern[str]:
    """Text without the characters of `marks`, as a character class writes them.

    White space is part of it only as one blank before something else. Compile it when the module is loaded: a class of
    many characters takes some 20 ms.
    """
    return re.compile(rf"(?: ?+[^\s{marks}]++)+")


class PlainText:
    """A `run`, without words that may become one of `names` when more of them is known."""

    def __init__(self, run: re.Pattern[str], names: tuple[str, ...]) -> None:
        self._run = run
        self._name = _name_begun(names)

    def find(self, text: str, start: int) -> str:
        """The plain text at `start`; empty, when there is none."""
        found = self._run.match(text, start)
        if found is None:
            return ""
        run = found.group()
        name = self._name.search(run)  # for itself: what stands before `start` may have been taken away
        return run if name is None else run[: name.start()].rstrip(" ")


@lru_cache(maxsize=KEPT)
def _name_begun(names: tuple[str, ...]) -> re.Pattern[str]:
    """A word that may become one of the names, when more of it is known."""
    heads = {name[:LOOKED_AT] for name in names}
    short = {head[:length] for head in heads for length in range(1, len(head))}
    begun = [*map(re.escape, sorted(heads)), *(rf"{re.escape(part)}\Z" for part in sorted(short))]
    return re.compile(rf"(?<![\w.])(?:{'|'.join(begun)})")
