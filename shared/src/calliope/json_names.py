"""JSON objects that say a name twice: every parser takes one of the two and drops the other without a word."""

import json
from typing import Any


class RepeatedNameError(ValueError):
    """A name stands more than once in one object; `name` is the name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} stands there more than once in the same object")
        self.name = name


def loads(text: bytes | str) -> Any:
    """What `json.loads` reads. Raises: RepeatedNameError; as `json.loads`: ValueError, RecursionError."""
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise RepeatedNameError(name)
            seen.add(name)
    return found
