"""What a command prints: aligned text for people, one JSON document for scripts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from pydantic import BaseModel

GAP: Final = "  "


@dataclass(frozen=True, slots=True)
class Output:
    """The answer of a command: `data` becomes the JSON document, `text` is for people; `status` is the exit status."""

    data: Any
    text: str
    status: int = 0

    def rendered(self, *, as_json: bool) -> str:
        """What goes to stdout, with the line's end."""
        if as_json:
            return orjson.dumps(self.data, default=_plain, option=orjson.OPT_INDENT_2).decode() + "\n"
        return f"{self.text}\n" if self.text else ""


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, none: str) -> str:
    """Columns aligned to the left under `head`; `none` is the sentence for no rows. None in a cell is left empty."""
    cells = [["" if cell is None else visible(str(cell)) for cell in row] for row in rows]
    if not cells:
        return none
    lines = [list(head), *cells]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def visible(text: str) -> str:
    """Text with what a terminal would obey or hide (line breaks, control, zero-width and bidirectional characters)
    written as `\\n` or `\\u202e`."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def moment(at: datetime) -> str:
    """`2030-01-31 12:00`, in UTC, as columns show it."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no JSON form")
