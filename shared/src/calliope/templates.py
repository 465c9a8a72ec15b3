"""Texts with `{{variables}}`: finding them, and filling them in. Pure.

Whitespace inside the braces means nothing. A backslash makes braces literal: `\\{{` is `{{`. Backslashes directly
before `{{` are read in pairs, each pair as one. Values are inserted as they are; braces in them are only text.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

OPEN: Final = "{{"
_REST: Final = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]{0,63})\s*\}\}")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable in a text; `written` is what stands there."""

    name: str
    written: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """`{{` that no name and `}}` follow."""

    written: str = OPEN


def parts(text: str) -> Iterator[str | Variable | Unreadable]:
    """The text in its order: literal pieces with their backslashes read, and what begins with `{{`."""
    at = 0
    while (found := text.find(OPEN, at)) >= 0:
        literal = text[at:found].rstrip("\\")
        slashes = found - at - len(literal)
        yield literal + "\\" * (slashes // 2)
        at = found + len(OPEN)
        if slashes % 2:
            yield OPEN
        elif rest := _REST.match(text, at):
            at = rest.end()
            yield Variable(rest[1], text[found:at])
        else:
            yield Unreadable()
    yield text[at:]


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with every known variable replaced, once; what is not known stays as it is written."""
    return "".join(
        part if isinstance(part, str) else values.get(part.name, part.written) if isinstance(part, Variable) else OPEN
        for part in parts(text)
    )
