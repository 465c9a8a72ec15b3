"""What the twins saw: live entries by kind, bounded, shown as they stand when they are asked for."""

from collections import deque
from typing import Any, Final

MAX_ENTRIES: Final = 5_000


class Records:
    """Entries stay the dictionaries that a twin goes on filling."""

    def __init__(self) -> None:
        self._kinds: dict[str, deque[dict[str, Any]]] = {}

    def add(self, kind: str, entry: dict[str, Any]) -> None:
        """Keep an entry; the oldest of its kind goes when there are too many."""
        self._kinds.setdefault(kind, deque(maxlen=MAX_ENTRIES)).append(entry)

    def listing(self, kind: str, wanted: dict[str, str]) -> list[dict[str, Any]]:
        """Entries of a kind, oldest first, whose fields have the wanted values."""
        return [
            entry
            for entry in self._kinds.get(kind, ())
            if all(str(entry.get(name)) == value for name, value in wanted.items())
        ]

    def counts(self) -> dict[str, int]:
        """How many entries of each kind there are."""
        return {kind: len(entries) for kind, entries in self._kinds.items()}

    def clear(self) -> None:
        """Forget everything."""
        self._kinds.clear()
