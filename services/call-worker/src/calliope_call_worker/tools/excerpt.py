"""What the model is told of an answer that is too long for it: a part that ends where a value ends, and that it is one.

Pure.
"""

import re
from typing import Final

from calliope.bodies import Body

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)|[,\[\]{}]', re.DOTALL)
_GIVEN_UP: Final = 0.5
"""How much of the part may be given up so that it ends at the edge of a whole record."""


def excerpt(text: str, body: Body, *, may_be_json: bool) -> str:
    """The text as it is, when it is the whole body; else its beginning with a note of how much is missing."""
    if not body.cut:
        return text
    part = text[: _json_edge(text) if may_be_json else _text_edge(text)].rstrip()
    missing = body.size - len(body.data) + len(text[len(part) :].encode("utf-8", "replace"))
    counted = f"{missing}" if body.counted else f"more than {missing}"
    note = (
        f"[This is only the beginning of the answer: {counted} bytes after it are missing. What is not in it may "
        "still be in the rest; ask for less at a time if the tool allows it.]"
    )
    return f"{part}\n{note}"


def _json_edge(text: str) -> int:
    """Where the last whole element of the outermost list or object ends that is long enough, without its comma."""
    depth, least = 0, len(text) * _GIVEN_UP
    edges: dict[int, int] = {}
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
        elif mark == "," and token.start() >= least:
            edges[depth] = token.start()
    return edges[min(edges)] if edges else _text_edge(text)


def _text_edge(text: str) -> int:
    """Before the last line or word that may be cut, when it is near the end."""
    near = len(text) * 9 // 10
    for blank in ("\n", " "):
        if (at := text.rfind(blank, near)) > 0:
            return at
    return len(text)
